"""How `make test` deals its files out to two processes: long ones first, so that both end at the same time."""

import pytest

# Seconds of one quiet core, roughly. Files that are not named follow, those with the most tests first.
SECONDS = {
    "tests/extraction/test_workers.py": 85,
    "tests/test_docs.py": 33,
    "tests/training/test_export.py": 24,
    "tests/analysis/heads": 22,
    "tests/models/test_matrix.py": 20,
    "tests/training/test_combinations.py": 18,
    "tests/reports/test_access.py": 17,
    "tests/training/test_label_sets.py": 15,
    "tests/estimators/test_auto.py": 14,
    "tests/received": 12,
    "tests/training/race/test_run.py": 12,
    "tests/training/test_weights.py": 12,
    "tests/cli/test_encoding.py": 12,
    "tests/cli/test_story.py": 12,
    "tests/test_architecture.py": 11,
    "tests/learn/trainables/test_token_rows.py": 11,
    "tests/geometry/test_label_sets.py": 10,
    "tests/analysis/test_rank.py": 10,
    "tests/store/test_notebook.py": 10,
    "tests/models/test_gguf.py": 10,
    "tests/analysis/test_suspects.py": 9,
    "tests/learn/test_stronger_prompts.py": 9,
    "tests/estimators/test_checks.py": 8,
    "tests/view/test_pictures.py": 8,
    "tests/reports/test_browser_map.py": 8,
    "tests/studies/test_benchmarks.py": 8,
    "tests/studies/test_plan_benchmarks.py": 7,
    "tests/sweeps/test_states.py": 7,
    "tests/training/test_run.py": 7,
    "tests/analysis/test_label_set_suspects.py": 7,
    "tests/geometry/test_density.py": 7,
    "tests/learn/test_align.py": 7,
    "tests/learn/test_huggingface.py": 6,
    "tests/training/test_pairs.py": 6,
    "tests/learn/objectives/test_quality.py": 6,
    "tests/test_arguments_fuzz.py": 6,
    "tests/analysis/test_score.py": 6,
    "tests/models/test_precision.py": 6,
    "tests/learn/objectives/test_words_training.py": 6,
    "tests/texts/test_fuzz.py": 6,
    "tests/learn/test_state.py": 6,
    "tests/geometry/test_associate.py": 6,
    "tests/cli/test_mistakes.py": 5,
    "tests/studies/test_head_atlas.py": 5,
    "tests/studies/test_alignment.py": 5,
    "tests/training/test_methods.py": 5,
    "tests/analysis/test_cluster.py": 5,
    "tests/analysis/test_outputs.py": 5,
    "tests/models/test_independence.py": 5,
    "tests/sweeps/test_guided.py": 5,
    "tests/learn/trained/test_saved.py": 5,
    "tests/learn/test_guards.py": 5,
    "tests/reports/test_browser_views.py": 5,
    "tests/reports/test_browser_several.py": 5,
    "tests/analysis/test_compare.py": 5,
    "tests/serve/test_browser.py": 5,
    "tests/scale/test_kmeans.py": 5,
    "tests/heads/test_features.py": 5,
    "tests/training/test_explain.py": 5,
}
TOGETHER = ("tests/received", "tests/analysis/heads")  # files that share what takes seconds to make
# Files whose processes begin as copies of one server, which takes seconds to start.
SERVED = (
    "tests/extraction/test_workers.py",
    "tests/extraction/test_extract.py",
    "tests/learn/test_state_kill.py",
    "tests/scale/test_dask.py",
    "tests/scale/test_device.py",
    "tests/scale/test_executors.py",
    "tests/scale/test_processes.py",
    "tests/sweeps/test_study.py",
    "tests/analysis/test_blocks.py",
    "tests/cli/test_artifacts.py",
    "tests/test_plugins.py",
)


def unit(path: str) -> str:
    """What one process runs as a whole: a file, or files that share what they need, under the name of one."""
    if path in SERVED:
        return SERVED[0]
    return next((folder for folder in TOGETHER if path.startswith(f"{folder}/")), path)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    from xdist.scheduler import LoadFileScheduling

    class LongFilesFirst(LoadFileScheduling):
        def _split_scope(self, nodeid):
            return unit(super()._split_scope(nodeid))

        def _assign_work_unit(self, node):
            longest = max(self.workqueue, key=lambda path: SECONDS.get(path, 0))  # of equals the first
            self.workqueue.move_to_end(longest, last=False)
            super()._assign_work_unit(node)

    return LongFilesFirst(config, log) if config.getvalue("dist") == "loadfile" else None
