"""The table of commands, and their words."""

from __future__ import annotations

# Name -> (module here, summary), in the order in which a newcomer meets them. A further command is one line here and
# one function of that name in the module, whose docstring is the rest of its help.
COMMANDS = {
    "demo": ("runs", "Train on the shipped questions, print the scores and where the report is."),
    "train": ("runs", "Learn to label texts from labelled ones: a model, its scores on held-out rows, and a report."),
    "predict": ("runs", "Label new texts with a trained run."),
    "report": ("runs", "Write a run's report once more, or one page over several results; nothing is trained."),
    "explore": ("explore", "Show a run (also one that is being trained), points or a map on a page of this machine."),
    "rank": ("points", "Which frozen encoder, layer and pooling suits these texts?"),
    "extract": (
        "points",
        "Read vectors out of a transformer: hidden states, logits, tokens, attention heads, a run's outputs.",
    ),
    "score": ("points", "Do the classes of these points separate? Every figure with its baseline and its null."),
    "project": ("points", "Draw points in two or three dimensions, and say how far the map can be trusted."),
    "cluster": ("points", "Group points; numbers of clusters and radii are chosen by a stated criterion."),
    "associate": ("points", "What do clusters have to do with labels, layers, groups? With a permutation null."),
    "suspects": ("points", "Rows whose label is likely wrong, and near-duplicates with different labels."),
    "compare": ("points", "Several runs, points or maps in one table and one figure."),
    "import": ("points", "Vectors of other programs as points: .npy, safetensors, Parquet, CSV shards."),
    "export": (
        "points",
        "For other programs: a run as ONNX, points as .npy, safetensors or Parquet, an atlas for HeadVis.",
    ),
    "compress": ("points", "Points in fewer bytes, and the share of nearest neighbors that each step keeps."),
    "sweep": ("runs", "A grid of trainings x seeds, killed and resumed at will: one table with intervals."),
    "plan": ("plan", "What would a command cost? Rows, bytes, FLOP, minutes and memory, before it is begun."),
    "heads": ("heads", "Cluster every attention head of a model over a corpus, and say what the clusters mean."),
    "heads-qa": ("heads", "Fine-tune a model for question answering; exact match and F1 as the official script."),
}
# Panels of the list of commands.
GROUPS = {
    "Labelled texts": ("demo", "train", "predict", "sweep", "report", "explore", "rank", "suspects"),
    "Vectors": ("extract", "score", "project", "cluster", "associate", "compare"),
    "Attention heads": ("heads", "heads-qa"),
    "Files and cost": ("import", "export", "compress", "plan"),
}
RESUMABLE = ("train", "extract", "heads", "heads-qa", "import")  # those with --resume
# Other spellings: the first words -> the command.
SPELLINGS: dict[tuple[str, ...], str] = {("heads", "finetune-qa"): "heads-qa"}
# Other flags that are understood, most of them of earlier versions: command -> flag -> that of today.
EARLIER = {
    "train": {"--layers": "--prompt-layers", "--weights": "--vote", "--draw": "--pairs-per-row"},
    "extract": {"--weights": "--layer-weights"},
    "export": {"--onnx": "--to=onnx"},
    "associate": {"--within": "--shuffle-within", "--units": "--shuffle-units"},
    "heads": {"--draw": "--sampling", "--feature": "--cluster-feature"},
}


STDIN = "/dev/stdin"


def spelled(words: list[str]) -> list[str]:
    """The words with the names of today, of the command and of its flags; `predict RUN -` with a name of its input.

    >>> spelled(["heads", "finetune-qa", "train.json"]), spelled(["train", "q.csv", "--layers=input"])
    (['heads-qa', 'train.json'], ['train', 'q.csv', '--prompt-layers=input'])
    """
    if (name := SPELLINGS.get(tuple(words[:2]))) is not None:
        words = [name, *words[2:]]
    if words[:1] == ["predict"]:
        words = [STDIN if word == "-" else word for word in words]  # to the parser a - alone is an unknown option
    flags = EARLIER.get("".join(words[:1]), {})
    typed = (word.partition("=") for word in words)
    return [flags.get(flag, flag) + sign + value for flag, sign, value in typed]
