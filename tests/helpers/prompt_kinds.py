"""Options of stronger prompts, by name: tests train, save, resume each, and hand it to transformers."""

SENTENCES = ("bird=a bird is in the tree", "cat=a cat in the house", "dog=the dog and a river")
STRONGER = {
    "mixture": {"init": "mixture"},
    "residual": {"residual": 4},
    "late": {"layer": 1},
    "late instance": {"layer": 2, "instance": 3, "prompt_layers": "input"},
    "instance": {"instance": 4},
    "descriptions": {"init": "descriptions", "descriptions": SENTENCES},
    "all": {"init": "descriptions", "descriptions": SENTENCES, "residual": 4, "instance": 2, "layer": 1},
}
