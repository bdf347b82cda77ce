"""Training an encoder: it learns, keeps what was frozen, goes on after a stop, and gives the same vectors from disk."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import numpy as np
import pytest
import torch

from align_steps import gradients, steps_of
from separatrix import recipe as recipes
from separatrix.errors import DataError, ModelError, OptionError, StoreError
from separatrix.geometry.evidence import VoteEvidence
from separatrix.geometry.neighbors import WEIGHTS
from separatrix.learn.align import train_encoder
from separatrix.learn.objectives.bank import neighbor_scores
from separatrix.learn.objectives.pairs import RowVectors
from separatrix.learn.trainables.encoder import start_encoder, thinned
from separatrix.learn.trained.encoder import ENCODER, INDEX
from separatrix.learn.trained.index import KS, Vote, shares, smooth
from separatrix.learn.trained.loading import load_model
from separatrix.models.load import load_backbone
from separatrix.recipe import ModelRecipe
from separatrix.recipe.align import AlignRecipe, EncoderRecipe
from separatrix.store.files import read_json, write_json
from separatrix.store.points import open_points
from separatrix.texts import Texts
from separatrix.texts.table import few


@pytest.fixture(scope="session")
def trained(order):
    """One finished training that the tests read."""
    return train_encoder(order())


def accuracy(model, texts):
    return float((model.answer(texts.text).labels == texts.label).mean())


CASES = {
    "nca": {},
    "centroid_ce": {"loss": "centroid_ce"},
    "supcon": {"loss": "supcon", "pairs": "batch", "sampler": "balanced"},
    "cosine_mse": {"loss": "cosine_mse", "pairs": "mixed", "pairs_per_row": "one", "epochs": 5},
    "datapoint": {"loss": "cosine_mse", "pairs": "datapoint"},
    "finetune": {"loss": "linear", "decision": "head"},
    "head and votes": {"head_weight": 1.0, "decision": "both"},
    "mixture": {
        "loss": "supcon",
        "pairs": "memory",
        "head_weight": 1.0,
        "decision": "mean",
        "pool": "layer_mean",
        "epochs": 5,
    },
}


@pytest.fixture(scope="session")
def untrained(order, few_animals):
    """Accuracy of the nearest training rows before any training."""
    job = order()
    backbone = load_backbone(job.recipe.backbone)
    encoder = start_encoder(backbone, job.recipe.encoder)
    train, held = (torch.from_numpy(encoder.encode(backbone.tokenize(texts.text))) for texts in few_animals)
    names, numbers = np.unique(few_animals[0].label.astype(str), return_inverse=True)
    y = torch.from_numpy(numbers)
    scores = neighbor_scores(held, RowVectors(torch.nn.functional.normalize(train), y, y), 3, 0.07)
    return float((names[scores.argmax(1)] == few_animals[1].label).mean())


@pytest.mark.parametrize("case", CASES)
def test_every_objective_learns_what_the_frozen_model_cannot_tell(case, order, few_animals, trained, untrained):
    got = trained if case == "nca" else train_encoder(order(**CASES[case]))
    assert untrained < 0.75
    assert got.fitted.metrics[-1]["loss"] < got.fitted.metrics[0]["loss"]
    assert accuracy(got.model, few_animals[1]) >= 0.9


def test_counts_and_shape_stand_in_every_line_of_metrics(trained):
    for line in trained.fitted.metrics:
        assert line["parts"]["positive_pairs"] > 0
        assert 0 <= line["parts"]["staleness"] <= 2
        assert {"alignment", "uniformity"} <= set(line["validation"])


@pytest.mark.parametrize("draw", ["one", "all"])
@pytest.mark.parametrize("pairs", ["batch", "memory", "mixed", "datapoint", "bank"])
def test_every_scheme_takes_a_step_with_a_gradient(pairs, draw, order):
    steps = steps_of(order(pairs=pairs, pairs_per_row=draw, loss="supcon", epochs=1))
    value = [steps.backward(rows, step)[1] for step, rows in enumerate(steps.batches(0)[:2])]
    assert all(torch.isfinite(one.total) for one in value)
    assert value[1].parts["positive_pairs"] > 0
    assert gradients(steps).norm() > 0


@pytest.mark.parametrize(("pairs", "fresh"), [("memory", False), ("datapoint", True)])
def test_memory_is_stale_and_datapoint_is_not(pairs, fresh, order):
    """After the weights moved, the stored vectors of a class are old ones, or run again with gradient."""
    steps = steps_of(order(pairs=pairs))
    first, second = steps.batches(0)[:2]
    steps.backward(first, 0)
    with torch.no_grad():
        for tensor in steps.trainable.encoder.named().values():
            tensor += 0.05 * torch.randn(tensor.shape, generator=torch.Generator().manual_seed(0))
    places = np.concatenate([second, steps.objective.companions(second)])
    ran = steps.objective._row_vectors(torch.from_numpy(places), steps.trainable.outputs("train", places))
    stored = steps.objective._stored(ran)
    now = torch.nn.functional.normalize(steps.trainable.outputs("train", stored.rows.numpy()).detach(), dim=1)
    gap = 1 - (stored.vectors.detach() * now).sum(dim=1)
    assert stored.vectors.requires_grad == fresh
    assert (gap.max() < 1e-5) == fresh
    assert gap.min() > 1e-3 or fresh


def test_text_dropout_leaves_tokens_out_in_training_steps_only(order):
    learner, rows = steps_of(order(text_dropout=0.5)).trainable, np.arange(24)
    whole, other = (learner.outputs("train", rows, step) for step in (None, None))
    thin, again, later = (learner.outputs("train", rows, step) for step in (3, 3, 4))
    assert torch.equal(whole, other)
    assert torch.equal(thin, again)
    assert float((thin - whole).detach().abs().max()) > 1e-3
    assert float((thin - later).detach().abs().max()) > 1e-3


def test_thinned_texts_keep_special_tokens_and_lose_the_share():
    generator, text = np.random.default_rng(0), (1, *range(5, 1005), 2)
    left = thinned(text, 0.25, frozenset({1, 2}), generator)
    assert (left[0], left[-1]) == (1, 2)
    assert len(left) == pytest.approx(750, abs=45)
    assert set(left) <= set(text)
    assert thinned((7,), 0.9, frozenset(), np.random.default_rng(1)) == (7,)


def test_what_is_frozen_stays_and_the_rest_moves(order):
    job = order(frozen_layers=1, freeze_embeddings=True, epochs=1)
    before = load_backbone(job.recipe.backbone).body.state_dict()
    after = train_encoder(job).model.backbone.body.state_dict()
    moved = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    assert moved
    assert all("layer.1." in name or "layer.2." in name for name in moved)


@pytest.mark.parametrize("family", ["bert", "roberta", "electra", "distilbert", "modernbert", "gpt2"])
def test_every_family_has_embeddings_and_layers_to_freeze(family, tiny):
    def names(**options):
        backbone = load_backbone(ModelRecipe(model=str(tiny(family)), device="cpu"))
        return set(start_encoder(backbone, EncoderRecipe(**options)).named())

    everything, frozen, no_tables = names(), names(frozen_layers=3), names(freeze_embeddings=True)
    assert len(everything) > len(no_tables) > 0
    assert any("embed" in name or "wte" in name for name in everything - no_tables)
    assert len(everything - frozen) >= 3 * 4
    assert not any("pooler" in name for name in everything)


def test_weighted_layers_are_learnt(order):
    model = train_encoder(order(pool="layer_mix", head_lr=0.1)).model
    shares = model.encoder.mix.detach().softmax(0)
    assert len(shares) == 3
    assert float(shares.max() - shares.min()) > 0.01


def test_stopped_and_resumed_ends_with_the_same_bytes(order, tmp_path):
    options = {"pairs": "datapoint", "loss": "cosine_mse", "pairs_per_row": "one", "head_weight": 0.5, "dropout": 0.1}
    options |= {"text_dropout": 0.2}
    whole = train_encoder(order(tmp_path / "whole", **options))

    class Stop(Exception):
        pass

    def stop(stage, done, _total, _note):
        if stage == "training" and done == 8:
            raise Stop("here")

    job = order(tmp_path / "parts", **options)
    with pytest.raises(Stop, match="here"):
        train_encoder(replace(job, progress=stop))
    again = train_encoder(job)
    assert again.fitted.metrics == whole.fitted.metrics
    for name, tensor in whole.fitted.tensors.items():
        assert torch.equal(tensor, again.fitted.tensors[name]), name


def test_saved_encoder_answers_alike(trained, few_animals, tmp_path):
    trained.model.write_files(tmp_path)
    texts = few_animals[1].text
    one, two = trained.model.answer(texts), load_model(tmp_path, device="cpu").answer(texts)
    assert np.array_equal(one.vectors, two.vectors)
    assert np.array_equal(one.probabilities, two.probabilities)
    assert np.array_equal(one.neighbors, two.neighbors)
    assert not any(few_animals[0].text[0].encode() in path.read_bytes() for path in tmp_path.rglob("*.safetensors"))


def test_saved_encoder_is_read_by_transformers(trained, few_animals, tmp_path):
    from transformers import AutoModel, AutoTokenizer

    trained.model.write_files(tmp_path)
    model = AutoModel.from_pretrained(tmp_path / ENCODER).eval()
    batch = AutoTokenizer.from_pretrained(tmp_path / ENCODER)(
        list(few_animals[1].text[:4]), padding=True, return_tensors="pt"
    )
    with torch.no_grad():
        states = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
    mask = batch["attention_mask"][..., None]
    mean = (states * mask).sum(1) / mask.sum(1)
    assert np.abs(mean.numpy() - trained.model.encode(few_animals[1].text[:4])).max() < 1e-5


@pytest.mark.parametrize("pool", ["mean", "cls"])
def test_saved_encoder_gives_the_same_vectors_in_sentence_transformers(pool, order, few_animals, tmp_path):
    library = pytest.importorskip("sentence_transformers")
    model = train_encoder(order(pool=pool, epochs=1, max_length=6)).model
    model.write_files(tmp_path)
    theirs = library.SentenceTransformer(str(tmp_path / ENCODER), device="cpu")
    ours = model.encode(few_animals[1].text)
    unit = ours / np.linalg.norm(ours, axis=1, keepdims=True)
    assert np.abs(theirs.encode(list(few_animals[1].text)) - unit).max() < 1e-5
    # What the index holds is what both give, so its rows can be searched with either.
    rows = dict(zip(few_animals[0].id.tolist(), few_animals[0].text, strict=True))
    kept = theirs.encode([rows[id] for id in model.index.ids.tolist()])
    assert np.abs(kept - open_points(tmp_path / "index").values).max() < 1e-5


def test_card_says_what_it_is_and_other_pooling_has_its_modules_too(order, trained, tmp_path):
    trained.model.write_files(tmp_path / "mean")
    card = (tmp_path / "mean" / ENCODER / "README.md").read_text()
    assert "classes (3): bird, cat, dog" in card
    assert "objective: nca, temperature 0.07, pairs from bank (all)" in card
    other = replace(trained.model, recipe=recipes.replace(trained.model.recipe, pool="layer_mean"))
    other.save(tmp_path / "layers")
    assert (tmp_path / "layers" / ENCODER / "modules.json").exists()
    assert "pooling: layer_mean" in (tmp_path / "layers" / ENCODER / "README.md").read_text()


def test_every_epoch_says_how_the_vectors_lie(trained):
    """Collapse of the whole validation part, by the unit vectors and the answers of that epoch."""
    for line in trained.fitted.metrics:
        assert {"alignment", "uniformity", "nc1", "nc2_norm", "nc2_angle", "nc4"} <= set(line["validation"])
        assert 0 <= line["validation"]["nc4"] <= 1
    assert trained.fitted.metrics[-1]["validation"]["nc1"] < trained.fitted.metrics[0]["validation"]["nc1"]


def test_other_weights_and_damaged_files_are_refused(trained, tiny, tmp_path):
    trained.model.write_files(tmp_path)
    with pytest.raises(ModelError, match="is not the one that was saved"):
        load_model(tmp_path, model=str(tiny("bert")), device="cpu")
    shard = next((tmp_path / INDEX).rglob("*.f*"))
    shard.write_bytes(shard.read_bytes()[:-4])
    with pytest.raises(StoreError, match="is truncated"):
        load_model(tmp_path, device="cpu")


def test_answers_are_the_votes_and_their_probabilities_are_fine(trained, few_animals):
    model, texts = trained.model, few_animals[1].text
    answer = model.answer(texts)
    counted = replace(model, evidence=None).answer(texts)
    assert answer.labels.tolist() == counted.labels.tolist()
    assert (answer.probabilities.argmax(axis=1) == answer.scores.argmax(axis=1)).all()
    distinct = [len(np.unique(one.probabilities.max(axis=1))) for one in (answer, counted)]
    assert distinct[0] > 0.9 * len({*texts})
    assert distinct[0] > distinct[1]


def test_a_model_of_an_earlier_version_answers_as_it_did(trained, few_animals, tmp_path):
    """Before there was evidence, probabilities were smoothed votes over a temperature."""
    trained.model.write_files(tmp_path)
    notes = read_json(tmp_path / "model.json")
    write_json(tmp_path / "model.json", {key: notes[key] for key in notes if key not in ("evidence", "calibration")})
    model, texts = load_model(tmp_path, device="cpu"), few_animals[1].text
    assert model.evidence is None
    vectors = model.encode(texts)
    votes = shares(model.neighbors(vectors), model.index.labels, 3, model.vote)
    np.testing.assert_allclose(model.answer(texts).scores, smooth(votes, model.vote.k))


def test_evidence_that_the_index_cannot_give_is_damage(trained, tmp_path):
    trained.model.write_files(tmp_path)
    notes = read_json(tmp_path / "model.json")
    write_json(tmp_path / "model.json", notes | {"evidence": notes["evidence"] | {"k": 5000}})
    with pytest.raises(StoreError, match="asks for more neighbors than its index has"):
        load_model(tmp_path, device="cpu")


def test_rows_are_added_without_training(trained):
    before = trained.model
    after = before.add(["the river who"], ["bird"])
    assert len(after.index) == len(before.index) + 1
    near = after.neighbors(after.encode(["the river who"]), 1)
    assert after.index.labels[near.index[0, 0]] == 0
    assert float(near.distance[0, 0]) < 1e-6
    with pytest.raises(DataError, match="fish"):
        before.add(["a"], ["fish"])
    with pytest.raises(DataError, match="a row is in the index already: got id"):
        before.add(["a"], ["bird"], ids=[int(before.index.ids[0])])


def test_head_that_decides_takes_no_new_rows(trained):
    head = replace(trained.model, recipe=recipes.replace(trained.model.recipe, decision="head", head_weight=1.0))
    with pytest.raises(DataError, match="the head decides"):
        head.add(["a"], ["cat"])
    evidence = VoteEvidence(k=3, temperature=0.1, votes=0.0, means=0.0)
    unheard = replace(head, recipe=recipes.replace(head.recipe, decision="both"), evidence=evidence)
    with pytest.raises(DataError, match="the head decides"):
        unheard.add(["a"], ["cat"])


def test_head_and_votes_decide_together_and_come_back_from_disk(order, few_animals, tmp_path):
    model = train_encoder(order(loss="linear", decision="both", epochs=1)).model
    assert "the linear head and" in model.note
    model = replace(model, evidence=replace(model.evidence, votes=2.0, temperature=0.1))
    vectors = model.encode(few_animals[1].text)
    near, logits = model.neighbors(vectors), vectors @ model.head[0].T + model.head[1]
    for row, scores in enumerate(model.scores(vectors)):
        far = near.distance[row, : model.evidence.k].astype(float)
        for label, score in enumerate(scores):
            own = model.index.labels[near.index[row, : len(far)]] == label
            votes = np.log(np.exp((far[0] - far[own]) / 0.1).sum() + np.exp((far[0] - far[-1]) / 0.1) / len(scores))
            sure = logits[row, label] - np.log(np.exp(logits[row]).sum())
            assert score == pytest.approx(sure + 2 * votes, abs=1e-4)
    model.write_files(tmp_path / "both")
    again = load_model(tmp_path / "both", device="cpu")
    np.testing.assert_allclose(again.scores(vectors), model.scores(vectors), atol=1e-6)


def test_class_with_one_row_is_told_and_learnt(order, few_animals):
    train, validation = few_animals
    odd = Texts.of([*train.text, "a fish tree"], [*train.label, "fish"])
    got = train_encoder(order(parts=(odd, validation), epochs=1))
    assert any("the class 'fish' has one row" in note for note in got.notes)


def test_few_rows_of_each_class(few_animals):
    some = few(few_animals[0], 5, seed=1)
    assert np.unique(some.label, return_counts=True)[1].tolist() == [5, 5, 5]
    assert some.text == few(few_animals[0], 5, seed=1).text
    assert some.text != few(few_animals[0], 5, seed=2).text
    with pytest.raises(OptionError, match="--per-class is out of range"):
        few(some, 0)
    with pytest.raises(DataError, match="need one class a row"):
        few(Texts.of(["a", "b"], [0.5, 1.5]), 1)


def test_recipe_refuses_what_cannot_be():
    for decision in ("head", "both"):
        with pytest.raises(OptionError, match=f"--decision {decision} needs a head"):
            recipes.replace(AlignRecipe(), decision=decision)
    with pytest.raises(OptionError, match="trained with float32 weights"):
        recipes.replace(AlignRecipe(), dtype="bfloat16")


def test_bfloat16_trains_and_vectors_are_those_of_float32(order, few_animals):
    """Regression: index and `encode` ran in 16 bits too, so a reload on another machine gave other vectors."""
    got = train_encoder(order(precision="bfloat16", epochs=2))
    assert got.fitted.metrics[-1]["loss"] < got.fitted.metrics[0]["loss"]
    exact = replace(got.model.encoder, recipe=replace(got.model.encoder.recipe, precision="float32"))
    tokens = got.model.backbone.tokenize(few_animals[0].text)
    vectors = exact.encode(tokens)
    assert np.array_equal(got.model.encode(few_animals[0].text), vectors)
    assert np.abs(got.model.index.vectors - vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).max() < 1e-6
    with torch.no_grad():
        step = got.model.encoder.forward(tokens.ids, seed=(0, 0, 0)).numpy()
    assert 1e-4 < np.abs(step - vectors).max() < 0.5  # a training step is rounded to 16 bits


def test_the_job_score_chooses_the_vote_too(order):
    """Regression: the epoch was chosen by the job's own score, k by plain accuracy."""

    def cautious(scores, gold):
        return {"accuracy": -float(scores.max(axis=1).mean())}  # the less sure, the better

    got = train_encoder(replace(order(epochs=1), score=cautious)).model
    found = got.index.nearest(got.encode(order().validation.text), 50)
    votes = [Vote(k, weights, 0.07) for k in KS for weights in WEIGHTS]
    sure = {vote: smooth(shares(found, got.index.labels, 3, vote), vote.k).max(axis=1).mean() for vote in votes}
    assert sure[got.vote] == pytest.approx(min(sure.values()))
    assert sure[got.vote] < max(sure.values()) - 0.1


def test_the_score_that_chooses_the_epoch_chooses_the_vote(order):
    """The whole way from the job to the index. One smoothed vote says little, many say more: k follows the score."""

    def vote(sign):
        def score(scores, gold):
            return {"accuracy": sign * float((np.max(scores, axis=1) - np.min(scores, axis=1)).mean())}

        return train_encoder(replace(order(epochs=1, vote="uniform"), score=score)).model.vote.k

    assert vote(-1.0) == 1
    assert vote(1.0) > 1


def test_two_trainings_with_dropout_in_two_threads_are_as_alone(order):
    """Each draws from a generator of its own; the state of the process is neither read nor moved."""
    jobs = [order(dropout=0.3, loss="linear", epochs=2, seed=seed) for seed in (1, 2)]
    alone = [train_encoder(job).fitted.tensors for job in jobs]
    before, together = torch.get_rng_state(), Barrier(len(jobs))

    def run(job):
        together.wait()
        return train_encoder(job).fitted.tensors

    with ThreadPoolExecutor(len(jobs)) as pool:
        found = list(pool.map(run, jobs))
    assert torch.equal(before, torch.get_rng_state())
    for one, other in zip(alone, found, strict=True):
        assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
    assert any(not torch.equal(tensor, alone[1][name]) for name, tensor in alone[0].items())
