"""The tables of measured claims, made from the committed results: no figure in them is typed by hand.

python studies/claims.py            write all of them into docs/claims.md, those that matter most into README.md
python studies/claims.py --check    exit 1 if a page says anything else
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- claims: python studies/claims.py -->", "<!-- /claims -->"
ENCODER = "all-MiniLM-L6-v2"


def ratios(name: str) -> dict[str, float]:
    """Ratios of a benchmark's committed result."""
    return dict(result(name)["ratios"])


def result(name: str) -> dict[str, Any]:
    """A benchmark's committed result."""
    return dict(json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8")))


def table(study: str, name: str = "results.csv") -> list[dict[str, str]]:
    """The rows of a study's committed table."""
    with (ROOT / "studies" / study / name).open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def prompt_steps() -> str:
    """Steps and whole training against PEFT."""
    found = ratios("prompt_vs_peft")
    steps = ", ".join(f"{value:.1f}x {case[5:]}" for case, value in found.items() if case.startswith("step"))
    whole = next(value for case, value in found.items() if case.startswith("whole"))
    return f"a step {steps}; five epochs with building the cache {whole:.1f}x"


def disk_cache() -> str:
    """Peak memory over a cache on disk."""
    found = result("memory_disk_cache")
    return f"peak {found['peak_gib']:.2f} GiB over a cache of {found['cache_gib']:.2f} GiB"


def prompt_quality() -> str:
    """Test accuracy of suffix prompts beside PEFT's and the linear probe's."""
    rows = {(row["set"], row["method"]): row for row in table("prompt_quality")}
    parts = []
    for name in dict.fromkeys(place[0] for place in rows):
        ours, theirs, probe = (rows[name, method] for method in ("suffix", "peft", "probe"))
        prompt, peft, linear = (f"{float(row['test_accuracy']):.3f}" for row in (ours, theirs, probe))
        parts.append(f"{name} {prompt} (PEFT {peft}: ours less its {theirs['suffix_less_this']}; probe {linear})")
    return f"{', '.join(parts)}; {ours['runs']} seeds"


def centroids() -> str:
    """The answer on the ordering, and the experiment that validation chooses beside the random start."""
    text = (ROOT / "studies" / "centroids" / "RESULTS.md").read_text(encoding="utf-8")
    order = re.search(r"of the (\d+) comparisons.*?(\d+) hold .*?(\d+) are the other way round", text)
    best = re.search(r"Best of .* on validation: .*(?=\.\n)", text)
    assert order is not None
    assert best is not None
    held = (
        f"of {order[1]} comparisons of the notebook's ordering {order[2]} hold and {order[3]} are the other way round"
    )
    return f"{held}; {best[0][0].lower()}{best[0][1:]}"


def outputs() -> str:
    """What PCA loses beside t-SNE, from the study's answer."""
    text = (ROOT / "studies" / "prompt_outputs" / "RESULTS.md").read_text(encoding="utf-8")
    found = re.search(
        r"Over (\d+) prompts.*?on (\d+) samples.*?PCA loses (\S+ \[.*?\]) more than t-SNE", text, re.DOTALL
    )
    assert found is not None
    return f"over {found[1]} prompts on {found[2]} samples of rows PCA loses {found[3]} more than t-SNE"


def frozen() -> str:
    """Rank correlations of LogME and k-NN with the probe."""
    from studies.frozen_encoders.tables import correlations

    rows: list[dict[str, Any]] = [dict(row) for row in table("frozen_encoders")]
    for row in rows:
        row |= {name: float(row[name]) for name in ("knn_loo", "logme", "h_score", "silhouette", "effective_rank")}
        row["probe_test"] = float(row["probe_test"])
    found = correlations(rows)
    said = []
    for name, figure in (("LogME", "logme"), ("k-NN leave-one-out", "knn_loo")):
        values = [float(row[figure].split()[0]) for row in found if row["model"] != "all"]
        said.append(f"{name} {min(values):.2f} to {max(values):.2f}")
    return "rank correlation with the probe over layers and poolings: " + ", ".join(said)


def side_by_side() -> str:
    """What several models' vectors lose side by side, and with learnt weights."""
    lines = (ROOT / "studies" / "frozen_encoders" / "concat.jsonl").read_text(encoding="utf-8").splitlines()
    own = [run for run in map(json.loads, lines) if run["prepare"] == "standardise"]
    loss, gain = (sum(run[key] - run["alone"] for run in own) / len(own) for key in ("plain", "learnt"))
    return f"as they are {loss:+.3f} against the best part, standardised with learnt weights {gain:+.3f} (k-NN, 4 sets)"


def extraction() -> str:
    """Rows a second and memory of extraction."""
    found = result("extract_vs_sentence_transformers")
    speed = ", ".join(f"{line['ratio']:.2f}x on {line['set']}" for line in found["measured"])
    few, many = found["memory"][0], found["memory"][-1]
    sizes = f"{few['peak_mib']:.0f} MiB at {few['rows']:,} rows, {many['peak_mib']:.0f} at {many['rows']:,}"
    return f"{speed}, the same vectors; {sizes}"


def exact_knn() -> str:
    """Share of a matrix product of exact k-NN."""
    found = {name: value for name, value in ratios("exact_knn").items() if "100000" in name and "cosine" in name}
    share = next(value for name, value in found.items() if name.startswith("share"))
    memory = next(value for name, value in found.items() if name.startswith("1 GiB"))
    return f"100,000 rows: {share:.0%} of a plain matrix product, {1 / memory:.2f} GiB"


def all_pairs() -> str:
    """The loss over all pairs against the loop, and the memory of a step over very many."""
    speed, memory = ratios("all_pairs"), result("all_pairs_memory")["gib"]
    return f"{speed['loop, batch 256']:,.0f}x for a batch of 256; a step over the pairs of 4,096 rows {memory:.2f} GiB"


def align_epoch() -> str:
    """Epochs and whole trainings against sentence-transformers' trainer."""
    found = ratios("align_vs_sentence_transformers")
    return ", ".join(f"{case} {value:.2f}x" for case, value in found.items())


def aligned() -> str:
    """Fine-tuning, and what alignment has more or less, where both have five seeds."""
    lines = {(line["set"], line["row"]): line for line in table("alignment") if line["per_class"] == "all"}
    parts = []
    for name in dict.fromkeys(name for name, _ in lines):
        rows = ("finetune", "nca", "nca_perturbed")
        done = {row: lines[name, row] for row in rows if lines.get((name, row), {}).get("seeds") == "5"}
        if plain := done.pop("finetune", None):
            gains = [f"{row} {line['against fine-tuning']}" for row, line in done.items()]
            parts.append(f"{name}: fine-tuning {_first(plain, 'accuracy'):.3f}, {', '.join(gains)} (5 seeds)")
    return "; ".join(parts)


def few_rows() -> str:
    """Alignment, SetFit and fine-tuning with a few rows of each class."""
    lines = {(line["per_class"], line["row"]): line for line in table("alignment") if line["set"] == "trec6"}
    names = {"nca": "aligned", "setfit": "SetFit", "finetune": "fine-tuned"}
    parts = []
    for count in ("8", "16", "64"):
        found = {name: lines[count, row] for row, name in names.items() if (count, row) in lines}
        if len(found) == len(names) and all(line["seeds"] == "10" for line in found.values()):
            figures = (
                f"{name} {_first(line, 'accuracy'):.3f} in {_first(line, 'CPU seconds'):.0f} s"
                for name, line in found.items()
            )
            parts.append(f"{count} rows: {', '.join(figures)} (10 splits)")
    return "; ".join(parts)


def _first(line: dict[str, str], column: str) -> float:
    return float(line[column].split()[0])


def publishers() -> str:
    """Unseen publishers of real articles, and how well a probe finds the publishers that were seen."""
    lines = (ROOT / "studies" / "alignment" / "groups.jsonl").read_text(encoding="utf-8").splitlines()
    runs = [run for run in map(json.loads, lines) if not run["screen"] and run["seed"] == 0]
    rows = ("finetune", "nca", "nca_cells_pairs", "nca_ridge", "nca_reversal")
    by_row = {run["row"]: run for run in runs}
    figures = (f"{row} {by_row[row]['test_macro_f1']:.3f} ({by_row[row]['seen_probe']:.3f})" for row in rows)
    return f"{', '.join(figures)} (1 run each)"


def planted() -> str:
    """What a planted publisher costs, and what group-balanced pairs win back."""
    lines = (ROOT / "studies" / "alignment" / "planted.jsonl").read_text(encoding="utf-8").splitlines()
    rows = ("nca", "nca_cells_pairs", "nca_without")
    runs = {row: [run for run in map(json.loads, lines) if run["row"] == row] for row in rows}
    plain, pairs, free = ({name: _mean(own, name) for name in ("fair", "probe")} for own in runs.values())
    return (
        f"accuracy {plain['fair']:.3f} becomes {pairs['fair']:.3f} ({free['fair']:.3f} where none is planted), a probe "
        f"for the publisher {plain['probe']:.3f} becomes {pairs['probe']:.3f} ({len(runs['nca'])} seeds)"
    )


def _mean(runs: list[dict[str, Any]], name: str) -> float:
    return float(sum(run[name] for run in runs) / len(runs))


def language_model() -> str:
    """A prompt behind a language model of 135M parameters."""
    row = next(row for row in table("language_model", "float32_table.csv") if row["label"] == "centroids")
    low, mean, high = (float(row[name]) for name in ("test_low", "test", "test_high"))
    return f"{mean:.3f} [{low:.3f}, {high:.3f}] ({row['runs']} seeds)"


def wrong_labels(file: str = "runs.jsonl") -> str:
    """Planted wrong labels beside cleanlab."""
    lines = (ROOT / "studies" / "suspects" / file).read_text(encoding="utf-8").splitlines()
    runs = [json.loads(line) for line in lines]
    parts = []
    for name in dict.fromkeys(run["data"] for run in runs):
        own = [run for run in runs if run["data"] == name]
        ours, theirs = (
            [_mean([run[side] for run in own], figure) for figure in ("average_precision", "flagged")]
            for side in ("ours", "cleanlab")
        )
        theirs_too = f"cleanlab {theirs[0]:.3f}, {theirs[1]:.0f}"
        parts.append(f"{name} {ours[0]:.3f}, {ours[1]:.0f} flagged of {own[0]['planted']} planted ({theirs_too})")
    return f"{'; '.join(parts)} ({len(own)} plantings each)"


def front_door() -> str:
    """What the race of the methods reached, beside the best of them alone and logistic regression, on equal seeds."""
    from studies.auto.run import LOGISTIC

    by_size: dict[tuple[int | None, int], dict[str, tuple[float, float, float]]] = {}
    for (name, count, _), seeds, means in _races():
        best = max(mean for row, mean in means.items() if row not in ("auto", LOGISTIC))
        by_size.setdefault((count, seeds), {})[name] = (means["auto"], best, means[LOGISTIC])
    lines = []
    for (count, seeds), sets in by_size.items():
        auto, best, logistic = np.mean([*sets.values()], axis=0)
        least = min(sets, key=lambda name: sets[name][0] - sets[name][1])
        rows = "all rows" if count is None else f"{count} rows of each class"
        of = f"{len(sets)} set{'s' * (len(sets) > 1)}, {seeds} seed{'s' * (seeds > 1)}"
        worst = f"furthest from the best on {least}, {sets[least][0] - sets[least][1]:+.3f}"
        lines.append(f"{rows} ({of}): {auto:.3f} (best {best:.3f}, logistic regression {logistic:.3f}; {worst})")
    return "; ".join(lines)


def front_door_command() -> str:
    """The runs of these figures: a command for each number of rows and of seeds."""
    by_size: dict[str, list[str]] = {}
    for (name, count, _), seeds, _ in _races():
        size = f"--seeds {seeds}" if count is None else f"--per-class {count} --seeds {seeds}"
        by_size.setdefault(size, []).append(name)
    script = "python studies/auto/run.py --data FOLDER"
    return " && ".join(f"{script} --sets {' '.join(sets)} {size}" for size, sets in by_size.items())


def _races() -> Iterator[tuple[tuple[str, int | None, str], int, dict[str, float]]]:
    """Place, number of seeds and mean accuracies of each race of ten minutes."""
    from studies.auto.run import beside_the_best

    lines = (ROOT / "studies" / "auto" / "runs.jsonl").read_text(encoding="utf-8").splitlines()
    return beside_the_best([*map(json.loads, lines)], "10min")


def lying_metric() -> str:
    """The seed's metric of regressions that learnt, and what the same numbers say when they are cut."""
    rows = table("prompt_lengths", "read.csv")
    printed = sorted({f"{float(row['seeds_metric']):.4f}" for row in rows})
    right = [float(row["threshold"]) for row in rows]
    return (
        f"{' and '.join(printed)} from every one of {len(rows)} regressions, whose numbers cut at 0.5 are right in "
        f"{min(right):.2f} to {max(right):.2f} of the rows"
    )


def head_features() -> str:
    """Head features against the plain way and against a ResNet-50."""
    found = result("heads_vs_plain")
    speed = found["ratios"]
    rate = found["maps"] / found["seconds"]["ours"]
    return (
        f"{rate:,.0f} maps/s, {speed['plain way / ours, whole']:.1f}x the plain way; a map's descriptors "
        f"{speed['ResNet-50 / descriptors, per map']:,.0f}x as fast as a ResNet-50's features of it"
    )


# claim, its figures, where they stand, the command of these figures
CLAIMS: tuple[tuple[str, Callable[[], str], str, str | Callable[[], str]], ...] = (
    ("`train`, methods raced for ten minutes: mean test accuracy (the best of each set: a method alone, or SetFit)",
     front_door, "studies/auto/RESULTS.md", front_door_command),
    ("a training step against PEFT prompt tuning, GPT-2 small size", prompt_steps,
     "benchmarks/results/prompt_vs_peft.json", "python benchmarks/prompt_vs_peft.py --extrapolate"),
    ("memory of a training over a text cache on disk", disk_cache,
     "benchmarks/results/memory_disk_cache.json", "python benchmarks/memory_disk_cache.py --threads 1"),
    (f"test accuracy with {ENCODER} frozen", prompt_quality,
     "studies/prompt_quality/RESULTS.md",
     "python studies/prompt_quality/run.py --data FOLDER --methods suffix peft probe"),
    ("test accuracy on sst2 of a prompt behind SmolLM2-135M (4 bit, frozen), no label words", language_model,
     "studies/language_model/RESULTS.md", "python studies/language_model/run.py --float32 SWEEP"),
    ("5 % wrong labels, planted: average precision of `suspects`, and how many rows it flags", wrong_labels,
     "studies/suspects/RESULTS.md", "python studies/suspects/run.py --data FOLDER"),
    ("the same where rows have several labels, and 5 % of them a wrong one", partial(wrong_labels, "label_sets.jsonl"),
     "studies/suspects/LABEL_SETS.md", "python studies/suspects/label_sets.py --data FOLDER"),
    ("which objectives and centroid rules work: the 19 experiments of a published notebook repeated", centroids,
     "studies/centroids/RESULTS.md", "python studies/centroids/run.py --data FOLDER --model PATH"),
    ("a published metric printed 0.4908 for every run: the share of a class, whatever was learnt", lying_metric,
     "studies/prompt_lengths/RESULTS.md", "python studies/prompt_lengths/run.py --regression SWEEP"),
    ("does PCA miss what t-SNE, UMAP and the prompt itself see?", outputs,
     "studies/prompt_outputs/RESULTS.md", "python studies/prompt_outputs/run.py --data FOLDER --lm PATH && "
     "python studies/prompt_outputs/run.py --data FOLDER --smollm2 --sets sst2 --sst2-train 1000"),
    ("which cheap score foretells how well a frozen layer suits a task", frozen,
     "studies/frozen_encoders/RESULTS.md", "python studies/frozen_encoders/run.py --data FOLDER --model PATH"),
    ("several models' vectors side by side: do they beat the best of them", side_by_side,
     "studies/frozen_encoders/CONCAT.md", "python studies/frozen_encoders/concat.py --data FOLDER --model PATH"),
    ("extraction against sentence-transformers", extraction,
     "benchmarks/results/extract_vs_sentence_transformers.json",
     "python benchmarks/extract_vs_sentence_transformers.py --data FOLDER --rows 1000"),
    ("all pairs of a batch against a loop over pairs, the same value", all_pairs,
     "benchmarks/results/all_pairs.json", "python benchmarks/all_pairs.py && python benchmarks/all_pairs.py --memory"),
    ("alignment against sentence-transformers' trainer on trec", align_epoch,
     "benchmarks/results/align_vs_sentence_transformers.json",
     "python benchmarks/align_vs_sentence_transformers.py --data FOLDER"),
    ("alignment with k-NN against plain fine-tuning: test accuracy", aligned, "studies/alignment/RESULTS.md",
     "python studies/alignment/run.py --data FOLDER --sets trec50 --rows finetune nca nca_perturbed && "
     "python studies/alignment/run.py --data FOLDER --sets trec6_bf16 --rows finetune nca"),
    ("trec's six kinds, few rows of each: test accuracy, CPU seconds", few_rows, "studies/alignment/RESULTS.md",
     " && ".join("python studies/alignment/run.py --data FOLDER --sets trec6 --rows finetune nca setfit --seeds 10 "
                 f"--per-class {count}" for count in (8, 16))),
    ("publishers that go with a class, planted: `--invariance pairs --sampler cells`", planted,
     "studies/alignment/PLANTED.md", "python studies/alignment/planted.py --rows nca nca_cells_pairs nca_without"),
    ("bias of real articles: macro-F1 on unseen publishers (accuracy of a probe for seen ones)", publishers,
     "studies/alignment/GROUPS.md", "python studies/alignment/groups.py --data FOLDER --seeds 1 --rows finetune nca "
     "nca_cells_pairs nca_ridge nca_reversal"),
    ("reading every attention head of a corpus", head_features,
     "benchmarks/results/heads_vs_plain.json",
     "python benchmarks/heads_vs_plain.py --data FOLDER/squad_v2 --windows 300"),
    ("exact k-NN", exact_knn, "benchmarks/results/exact_knn.json", "python benchmarks/exact_knn.py"),
)  # fmt: skip


MATTER = (front_door, prompt_steps, prompt_quality, extraction, aligned, few_rows, head_features)  # those in the README
PAGES = {"README.md": ("", MATTER), "docs/claims.md": ("../", tuple(line[1] for line in CLAIMS))}


def claims(page: str) -> str:
    """The table of one page in Markdown."""
    up, chosen = PAGES[page]
    lines = ["| claim | figures | command |", "|---|---|---|"]
    lines += [
        f"| {claim} | [{figures()}]({up}{path}) | `{command() if callable(command) else command}` |"
        for claim, figures, path, command in CLAIMS
        if figures in chosen
    ]
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Write the tables, or compare."""
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    outdated = []
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        table = f"{BEGIN}\n{claims(page)}\n{END}"
        new = pattern.sub(table.replace("\\", r"\\"), text)
        if new == text:
            continue
        outdated.append(page)
        if arguments != ["--check"]:
            (ROOT / page).write_text(new, encoding="utf-8")
    if arguments != ["--check"]:
        return 0
    print(f"other figures in {', '.join(outdated)}; type: python studies/claims.py" if outdated else "up to date")
    return int(bool(outdated))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main(sys.argv[1:]))
