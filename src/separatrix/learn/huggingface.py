"""A soft prompt as a model of transformers: trained by its `Trainer`, saved and loaded by its own functions.

    model = PromptForSequenceClassification.start(texts, labels, model="gpt2", tokens=8)
    model = PromptForSequenceClassification.from_run("runs/questions")

The transformer below is frozen and no submodule: neither the optimiser nor a checkpoint sees it. A saved folder holds
`config.json` (what `model.json` of a run holds), `model.safetensors` (the prompt and the objective's tensors) and the
tokenizer; the transformer stands in it by name and hash of its weights.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from separatrix import recipe as recipes
from separatrix.errors import DataError, ModelError, OptionError, ShapeError, choose, raise_interrupt
from separatrix.learn.objectives import OBJECTIVES, LossBatch, Objective
from separatrix.learn.objectives.centroids import CentroidObjective
from separatrix.learn.prompt import start_prompt_model
from separatrix.learn.trained.loading import load_model
from separatrix.learn.trained.prompt import SCHEMA, PromptModel, read_prompt
from separatrix.learn.trained.saved import FORMAT, TENSORS, SavedModel, Trained, check_notes, one_label_each
from separatrix.models.cache import LAYER_MEAN, TextBatch, run_text
from separatrix.models.candidates import named_pooling
from separatrix.models.pool import pooled
from separatrix.models.quiet import usual_rights
from separatrix.models.suffix import TRAINED as PROMPT_PARTS
from separatrix.models.suffix import read, run_prompt
from separatrix.models.tokens import ESCAPE
from separatrix.paths import text_path
from separatrix.recipe import TrainRecipe
from separatrix.store.files import check_format, damaged, hash_file, read_json, write_json
from separatrix.texts import Texts

HASH = "sha256"  # of the tensors, in the notes
CONFIG, ADAPTER = "config.json", "adapter_config.json"
HUB = ("cache_dir", "force_download", "local_files_only", "proxies", "revision", "token")  # how the hub is asked
DTYPE = ("dtype", "torch_dtype")
FROM_AUTO = ("_from_auto", "adapter_kwargs")  # what AutoModel hands over, and what is of no use here
NO_TRAINER = "the Trainer cannot train this objective: it needs all training rows, or moves its tensors itself"


class PromptConfig(PreTrainedConfig):
    """What a saved prompt says of itself: `prompt` has the recipe, classes, calibration, and the base model's hash."""

    model_type = "separatrix_prompt"
    prompt: dict[str, Any] | None = None

    @classmethod
    def of(cls, notes: dict[str, Any]) -> PromptConfig:
        """The config of these notes, with labels and task as transformers names them."""
        if notes["classes"] is None:
            return cls(prompt=notes, id2label={0: "value"}, label2id={"value": 0}, problem_type="regression")
        names = [str(value) for value in notes["classes"]["classes"]]
        numbers = {name: number for number, name in enumerate(names)}
        return cls(
            prompt=notes, id2label=dict(enumerate(names)), label2id=numbers, problem_type="single_label_classification"
        )


class PromptForSequenceClassification(PreTrainedModel):
    """A frozen transformer with a trained prompt behind the text. Make one with `start`, `from_run`, `from_pretrained`.

    Logits are the scores of the objective, before calibration; with `problem_type` "regression", numbers in their own
    unit. Only the prompt and the objective's tensors are parameters.
    """

    config_class = PromptConfig
    base_model_prefix = ""
    main_input_name = "input_ids"

    def __init__(self, config: PromptConfig, model: PromptModel | None = None) -> None:
        super().__init__(config)
        if model is None:
            hint = "use its start, from_run or from_pretrained"
            raise ModelError("a PromptForSequenceClassification is not made from a config alone", hint=hint)
        self.source = model  # what it was made from; no submodule
        self.objective = OBJECTIVES[model.recipe.objective.loss].build(model.recipe, len(model.classes or ()))
        self.objective.load({name: tensor.detach() for name, tensor in model.objective.deciding().items()})
        named = model.prompt.named().items()
        learnt = {name for names in PROMPT_PARTS.values() for name in names}
        self.prompt = nn.ParameterDict(
            {name: nn.Parameter(tensor.detach().clone(), requires_grad=name in learnt) for name, tensor in named}
        )
        trained = {name for group in self.objective.parameters().values() for name in group}
        for name, tensor in self.objective.deciding().items():
            own = tensor.detach().clone()
            if name in trained:
                self.register_parameter(name, nn.Parameter(own))
            else:
                self.register_buffer(name, own)
        self.post_init()

    @classmethod
    def start(
        cls, texts: Sequence[str], labels: Sequence[Any], *, recipe: TrainRecipe | None = None, **options: Any
    ) -> Self:
        """A prompt to be trained: it and its objective start from these training rows, as in `train`.

        Args:
            texts: (rows,) of the training part; at most some 2,000 of them are run.
            labels: (rows,) names or whole numbers; floats with `loss="mse"`.
            recipe: the options to start from.
            options: single options of `TrainRecipe`, by name; those of the loop (`lr`, `epochs`) are the Trainer's.

        Raises:
            SeparatrixError: texts or a model that cannot be used.
        """
        whole = recipes.replace(recipe or TrainRecipe(), **options)
        if whole.prompt.residual or whole.prompt.init == "mixture":
            hint = "type separatrix train and use from_run, or start with another init and residual=0"
            raise OptionError(
                "the Trainer trains a prompt's vectors themselves", got="a residual or mixture", hint=hint
            )
        return cls.from_run(start_prompt_model(whole, Texts.of(list(texts), list(labels))))

    @classmethod
    def from_run(
        cls,
        run: PromptModel | Trained | str | Path,
        *,
        base_model: str | Path | None = None,
        device: str = "auto",
        trust_remote_code: bool = False,
    ) -> Self:
        """The prompt that `train` made.

        Args:
            run: its folder, what `train` or `load` gave, or the model in it.
            base_model: of a folder: another place of the transformer.
            device: of a folder: where to compute.
            trust_remote_code: of a folder: run code that the transformer brings.

        Raises:
            StoreError: no trained prompt is there.
            ModelError: the transformer has other weights now, or no prompt was trained.
        """
        if isinstance(run, str | Path):
            options: dict[str, Any] = {"model": base_model, "device": device, "trust_remote_code": trust_remote_code}
            model: Any = load_model(run, kind="prompt", **options)
        else:
            model = getattr(run, "model", run)
        one_label_each(model, "a prompt as a model of transformers")
        if not isinstance(model, PromptModel):
            raise ModelError("no prompt was trained", got=type(model).__name__, hint="train with --method prompt")
        return cls(PromptConfig.of(model.notes()), model).eval()

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str],
        *,
        config: PreTrainedConfig | None = None,
        base_model: str | Path | None = None,
        device: str = "auto",
        trust_remote_code: bool = False,
        **options: Any,
    ) -> Self:
        """Load what `save_pretrained` wrote, from a folder or from the hub.

        Args:
            pretrained_model_name_or_path: the folder, or the name of a repository.
            config: labels of your own in place of those in the folder.
            base_model: another place of the transformer below.
            options: revision, token, cache_dir and others of the hub; `dtype` "auto", which pipelines give: the number
                format is that of the run.

        Raises:
            ModelError: no such model, or a transformer with other weights.
            StoreError: files that are damaged or written by a newer version.
        """
        for name in DTYPE:
            if (dtype := options.pop(name, None)) not in (None, "auto", "float32", torch.float32):
                hint = "train with another dtype: it is the transformer's"
                raise OptionError(f"{name} is that of the run", got=dtype, expected="auto", hint=hint)
        for name in set(options) - set(FROM_AUTO):
            choose(name, ("config", "base_model", "device", "trust_remote_code", *HUB), "option of from_pretrained")
        folder = _folder(pretrained_model_name_or_path, {name: options[name] for name in HUB if name in options})
        path = folder / CONFIG
        if (kind := read_json(path, {}).get("model_type")) != cls.config_class.model_type:
            raise ModelError(
                f"{folder} holds no prompt", got=f"a model of the kind {kind}", hint="use from_run, or start"
            )
        notes = read_json(path, {"prompt": {"format": int, "kind": str}})["prompt"]
        check_format(notes["format"], FORMAT, path)
        check_notes(path, notes, SCHEMA)
        if notes["kind"] != "prompt":
            raise damaged(path, f"it holds a {notes['kind']}", "a prompt")
        written, tensors = notes.pop(HASH, None), folder / TENSORS
        if written is not None and tensors.is_file() and written != hash_file(tensors):
            raise damaged(tensors, "it was altered")
        base = None if base_model is None else str(base_model)
        model = read_prompt(
            SavedModel(folder, notes, base, device, trust_remote_code, file=CONFIG, option="base_model")
        )
        own = PromptConfig.of(notes)
        if config is not None and config.id2label is not None and len(config.id2label) == own.num_labels:
            own.id2label, own.label2id = config.id2label, config.label2id
        return cls(own, model).eval()

    def save_pretrained(self, save_directory: str | os.PathLike[Any], *args: Any, **options: Any) -> None:
        """Write config, tensors and tokenizer; all other arguments are those of transformers.

        Raises:
            OptionError: `push_to_hub`, which is a method of its own.
        """
        if options.get("push_to_hub"):
            raise OptionError("save_pretrained writes a folder", got="push_to_hub=True", hint="call model.push_to_hub")
        super().save_pretrained(save_directory, *args, **options)
        folder = Path(save_directory)
        with text_path(folder) as path:
            self.tokenizer.save_pretrained(path)
        if options.get("is_main_process", True):
            config = read_json(folder / CONFIG, {"prompt": dict})
            config["prompt"][HASH] = hash_file(folder / TENSORS)
            write_json(folder / CONFIG, config)
            usual_rights(folder)

    def push_to_hub(self, *args: Any, **options: Any) -> Any:  # type: ignore[override]
        """As of transformers; a transformer of this machine goes by its name, without its path."""
        own, self.config = self.config, self.public_config()
        try:
            return super().push_to_hub(*args, **options)
        finally:
            self.config = own

    def public_config(self) -> PromptConfig:
        """The config without a path of this machine."""
        config = PromptConfig.of(self.source.notes() | {"recipe": recipes.record(self.source.recipe)})
        config.id2label, config.label2id = self.config.id2label, self.config.label2id
        return config

    def prompt_model(self) -> PromptModel:
        """The same prompt as `train` gives it: it predicts, and its `save` writes what `separatrix predict` reads."""
        named = {name: tensor.detach().clone() for name, tensor in self.prompt.items()}
        objective = copy.copy(self.objective)
        objective.load({name: tensor.detach().clone() for name, tensor in self._deciding().items()})
        return replace(self.source, prompt=self.source.prompt.having(named), objective=objective)

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of the transformer; with `truncation=True` it leaves room for the prompt."""
        recipe, backbone = self.source.recipe, self.source.backbone
        tokenizer = copy.deepcopy(backbone.tokenizer)
        tokenizer.model_max_length = backbone.room(recipe.prompt.tokens)
        tokenizer.split_special_tokens = recipe.backbone.special_tokens == ESCAPE
        return tokenizer

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        return_dict: bool | None = None,
    ) -> SequenceClassifierOutput | tuple[Tensor, ...]:
        """Logits of texts, and with labels the objective's loss.

        Args:
            input_ids: (rows, tokens), padded on any side.
            attention_mask: (rows, tokens), 1 at real tokens; all are without it.
            token_type_ids: (rows, tokens), 0: pairs of texts are not supported.
            labels: (rows,) class numbers, or numbers in their own unit.
            return_dict: False gives a tuple.

        Raises:
            ShapeError: a row without a token or with too many, or a second text.
            OptionError: a training step of an objective that only `separatrix train` trains.
        """
        if token_type_ids is not None and bool(token_type_ids.any()):
            raise ShapeError("a prompt stands behind one text", got="token_type_ids of two")
        ids, mask = self._right_padded(input_ids, attention_mask)
        text = self._text(ids, mask)
        self.objective.load(self._deciding())
        prompt, backbone = self.source.prompt.having(dict(self.prompt.items())), self.source.backbone
        z = read(run_prompt(prompt, text, backbone), self.source.recipe.prompt, backbone)
        scores, scaling = self.objective.scores(z), self.source.scaling
        # Numbers in their own unit are float64, as `Scaling` has them.
        logits = scores if self.source.classes is not None else scores.double() * scaling.scale + scaling.mean
        output = SequenceClassifierOutput(loss=None if labels is None else self._loss(z, labels), logits=logits)
        return output.to_tuple() if return_dict is False else output

    def _deciding(self) -> dict[str, Tensor]:
        return {name: getattr(self, name) for name in self.objective.deciding()}

    def _right_padded(self, ids: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Ids and mask with the real tokens of each row first, cut to the longest row."""
        backbone, tokens = self.source.backbone, self.source.recipe.prompt.tokens
        mask = torch.ones_like(ids) if mask is None else mask.long()
        lengths, limit = mask.sum(dim=1), backbone.longest
        if not bool(lengths.all()):
            raise ShapeError("a text has no token", got=f"row {int(lengths.argmin())} of the batch")
        longest = int(lengths.max())
        if limit is not None and longest + tokens > limit:
            hint = "tokenize with model.tokenizer and truncation=True"
            raise ShapeError("a text leaves no room for the prompt", got=longest, expected=limit - tokens, hint=hint)
        order = mask.argsort(dim=1, descending=True, stable=True)[:, :longest]
        mask = mask.gather(1, order)
        return ids.gather(1, order).where(mask.bool(), backbone.pad).to(backbone.device), mask.to(backbone.device)

    def _text(self, ids: Tensor, mask: Tensor) -> TextBatch:
        recipe, backbone, prompt = self.source.recipe, self.source.backbone, self.source.recipe.prompt
        block, states = run_text(backbone, ids, mask, recipe.text_cache.cache_dtype, prompt.layer)
        vectors = pooled([named_pooling(LAYER_MEAN, len(states) - 1)], states, mask) if prompt.instance else None
        text = TextBatch(mask.sum(dim=1), mask.bool(), block, vectors)
        if self.training and recipe.prompt.text_dropout:
            # The Trainer seeds torch alone.
            text.hide(recipe.prompt.text_dropout, np.random.default_rng(int(torch.randint(2**31, ()))))
        return text

    def _loss(self, z: Tensor, labels: Tensor) -> Tensor:
        if self.training and not trains_by_gradient(self.objective):
            loss = self.source.recipe.objective.loss
            hint = "type separatrix train and use from_run, or start with loss='centroid_ce'"
            raise OptionError(NO_TRAINER, got=f"--loss {loss}", hint=hint)
        labels = labels.to(z.device).reshape(-1)
        if self.source.classes is None:
            scaling = self.source.scaling
            labels = (labels.double() - scaling.mean) / scaling.scale
        elif labels.is_floating_point():
            what = "labels are class numbers, in the order of config.id2label"
            raise DataError(what, got=str(labels.dtype), expected="whole numbers (rows,)")
        return self.objective.loss(z, LossBatch(labels)).total

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        """Move the frozen transformer along, which is no submodule; that of the run it came from stays as it is."""
        super()._apply(fn, recurse)
        backbone = self.source.backbone
        before = next(backbone.model.parameters())
        after = fn(before.detach())
        if (after.dtype, after.device) != (before.dtype, before.device):
            model = copy.deepcopy(backbone.model)._apply(fn)
            self.source = replace(self.source, backbone=replace(backbone, model=model, device=after.device))
        return self


def trains_by_gradient(objective: Objective) -> bool:
    """Whether an optimiser alone trains an objective, which nobody tells of the ends of steps and epochs."""
    if isinstance(objective, CentroidObjective):
        return objective.rule.mover == "fixed" or (objective.rule.mover == "gradient" and not objective.rule.push)
    own = type(objective)
    return own.after_step is Objective.after_step and own.after_epoch is Objective.after_epoch


def _folder(name: str | os.PathLike[str], options: dict[str, Any]) -> Path:
    """The folder of a saved prompt; one of the hub is fetched.

    Raises:
        ModelError: nothing is there, or something else.
    """
    folder = Path(name)
    if not os.path.isdir(name):
        from huggingface_hub import snapshot_download

        try:
            files = [CONFIG, TENSORS, ADAPTER]
            folder = Path(snapshot_download(str(name), allow_patterns=files, **options))
        except Exception as error:  # network, cache and name errors of the hub have no common base class
            raise_interrupt(error)
            what = f"model {str(name)!r} was found neither as a folder nor on the hub ({type(error).__name__})"
            raise ModelError(what, hint="give a folder that save_pretrained wrote") from error
    if (folder / ADAPTER).is_file():
        what = f"{folder} is an adapter of peft, whose prompts stand before the text"
        raise ModelError(what, hint="load it with peft.PeftModel.from_pretrained")
    if not (folder / CONFIG).is_file():
        raise ModelError(f"{folder} holds no model", expected=f"{CONFIG} and {TENSORS}")
    return folder


AutoConfig.register(PromptConfig.model_type, PromptConfig, exist_ok=True)
AutoModelForSequenceClassification.register(PromptConfig, PromptForSequenceClassification, exist_ok=True)
