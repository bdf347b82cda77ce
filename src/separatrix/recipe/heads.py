"""Recipes of the head atlas: what is read, what is kept of a map, how rows are clustered, what the page shows."""

from __future__ import annotations

from dataclasses import replace

from separatrix.errors import OptionError
from separatrix.recipe.cluster import METHODS as CLUSTERINGS
from separatrix.recipe.core import MOST_SHUFFLES, option, recipe_class, to_dict
from separatrix.recipe.load import LoadRecipe
from separatrix.recipe.train import LoopRecipe, ModelRecipe, as_in_model
from separatrix.recipe.vectors import FEATURE_NAMES, AttentionRecipe, ExtractRecipe, VectorsRecipe

STEPS = ("extract", "features", "cluster", "associate", "atlas")
METHODS = CLUSTERINGS.built_in
LOSSES = ("auto", "language", "match", "none")


@recipe_class
class MapModelRecipe:
    """Model."""

    model: str = as_in_model("model")
    revision: str | None = as_in_model("revision")
    dtype: str = option("float32", "number format of the model", choices=("float32", "bfloat16"))
    device: str = as_in_model("device")
    trust_remote_code: bool = as_in_model("trust_remote_code")
    special_tokens: str = as_in_model("special_tokens")

    def of_length(self, max_length: int) -> ModelRecipe:
        """The model as the backbone asks for it, with windows of so many tokens."""
        return ModelRecipe(max_length=max_length, **to_dict(self))


@recipe_class
class ReadingRecipe:
    """Windows of text."""

    text: str | None = option(None, "column of plain texts (default: `question` and `context` where both are there)")
    pair: str | None = option(None, "column of the second text of each row")
    windows: int = option(1000, "windows to read, drawn as whole examples", low=1)
    max_length: int = option(384, "most tokens of a window", low=8, high=131072)
    shards: int = option(10, "parts of the data from which equally many examples are drawn", low=1, high=100_000)
    sampling: str = option(
        "consecutive",
        "examples of a shard: one after the other, or at random",
        choices=("consecutive", "random"),
        earlier_name="draw",
    )
    seed: int = option(0, "seed of every random choice", low=0)

    def __post_init__(self) -> None:
        if self.pair is not None and self.text is None:
            raise OptionError("--pair needs --text", hint="name the column of the first texts")


@recipe_class
class MapRecipe:
    """Learnt features and raw maps."""

    twins_epochs: int = option(4, "passes of the small Barlow Twins over the grids", low=1)
    twins_views: str = option(
        "crops", "its two views: crops of one map, or two windows of one head", choices=("crops", "sentences")
    )
    raw: bool = option(False, "keep the raw maps as well (very large)")


@recipe_class
class HeadClusterRecipe:
    """Clustering."""

    cluster_feature: str = option(
        "descriptors", "the feature that is clustered", choices=FEATURE_NAMES, earlier_name="feature"
    )
    method: str = option("kmeans", "method", choices=METHODS)
    k: int | None = option(None, "number of clusters (default: chosen by the silhouette)", low=2)
    eps: float | None = option(None, "radius of dbscan (default: chosen near the knee of the k-distance)", low=1e-12)
    min_samples: int = option(10, "rows within the radius that make a row a core (dbscan, hdbscan)", low=1)
    min_cluster_size: int | None = option(None, "smallest cluster of hdbscan (default: chosen by its stability)", low=2)
    components: int = option(20, "principal components kept of a feature", low=2, high=2048)
    k_grid: tuple[int, ...] = option(
        (2, 3, 4, 5, 7, 10, 15, 20, 25, 30, 40), "numbers of clusters that are tried", low=2
    )
    density_rows: int = option(10000, "most rows given to dbscan and hdbscan (whole contexts)", low=100)
    permutations: int = option(199, "shuffles of each null", low=19, high=MOST_SHUFFLES)


@recipe_class
class PageRecipe:
    """Page."""

    sentences: int = option(6, "windows whose maps the page holds", low=1, high=50)
    sentence: tuple[str, ...] = option((), "texts of your own, whose maps the page holds as well")
    page_tokens: int = option(96, "most tokens of such a window; longer ones are passed over where possible", low=8)
    importance: str = option("auto", "loss for the importance of heads (none leaves it out)", choices=LOSSES)
    importance_windows: int = option(32, "windows for the importance of heads", low=2)
    repeats: int = option(
        8, "draws of repeated random tokens behind the induction and duplicate-token scores (0: no scores)", low=0
    )

    def __post_init__(self) -> None:
        if not all(text.strip() for text in self.sentence):
            raise OptionError("--sentence is empty", hint='type the text, as --sentence "the cat sat on the mat"')


@recipe_class
class HeadsRecipe:
    """A whole atlas."""

    source: MapModelRecipe = MapModelRecipe()
    reading: ReadingRecipe = ReadingRecipe()
    loading: LoadRecipe = LoadRecipe()
    attention: AttentionRecipe = AttentionRecipe()
    maps: MapRecipe = MapRecipe()
    clusters: HeadClusterRecipe = HeadClusterRecipe()
    page: PageRecipe = PageRecipe()

    def __post_init__(self) -> None:
        if self.clusters.cluster_feature not in self.attention.features:
            raise OptionError(
                "--cluster-feature is not computed",
                got=self.clusters.cluster_feature,
                expected="one of " + ", ".join(self.attention.features),
                hint=f"add it: --features {' '.join((*self.attention.features, self.clusters.cluster_feature))}",
            )

    @property
    def extraction(self) -> ExtractRecipe:
        """What is extracted: features that are read off the maps, and the grids behind exemplars and twins."""
        names = dict.fromkeys([*(name for name in self.attention.features if name != "twins"), "grid"])
        return ExtractRecipe(self.model, VectorsRecipe("attention"), replace(self.attention, features=tuple(names)))

    @property
    def model(self) -> ModelRecipe:
        """The model as the backbone asks for it."""
        return self.source.of_length(self.reading.max_length)


@recipe_class
class AnswerRecipe:
    """Fine-tuning (the usual defaults of SQuAD)."""

    train_windows: int | None = option(None, "training windows (default: all)", low=1)
    test_examples: int | None = option(None, "questions to evaluate (default: all)", low=1)
    max_length: int = option(384, "most tokens of a window", low=8)
    stride: int = option(128, "tokens between the beginnings of two windows of one context", low=1)
    max_query_length: int = option(64, "tokens kept of the question", low=1)
    epochs: int = option(2, "passes over the training windows", low=1)
    batch_size: int = option(4, "windows a step", low=1)
    lr: float = option(3e-5, "learning rate; it falls to 0 in a straight line", low=0)
    weight_decay: float = option(0.0, "decay of the weights", low=0)
    warmup: float = option(0.0, "share of all steps in which the rate rises", low=0, high=1)
    clip: float = option(1.0, "largest gradient norm", low=0)
    best: int = option(20, "places of start and end that are tried", low=1)
    max_answer: int = option(30, "most tokens of an answer", low=1)
    null_threshold: float = option(0.0, "no answer if its score is more than this above the best answer's")
    seed: int = option(42, "seed of every random choice", low=0)
    checkpoint_seconds: float = as_in_model("checkpoint_seconds", LoopRecipe)

    @property
    def loop(self) -> LoopRecipe:
        """What the training loop reads."""
        names = ("epochs", "batch_size", "lr", "weight_decay", "warmup", "clip", "seed", "checkpoint_seconds")
        return LoopRecipe(**{name: getattr(self, name) for name in names}, snapshots=0)


@recipe_class
class AnswerTrainingRecipe:
    """A whole training for question answering."""

    source: MapModelRecipe = MapModelRecipe()
    answers: AnswerRecipe = AnswerRecipe()

    @property
    def backbone(self) -> ModelRecipe:
        """The model, whose windows are as long as the answers ask for."""
        return self.source.of_length(self.answers.max_length)
