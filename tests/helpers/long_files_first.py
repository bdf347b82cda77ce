"""How `make test` deals its files out to two processes: long ones first, so that both end at the same time."""

import pytest

# Seconds of one quiet core, roughly. Files that are not named follow, those with the most tests first.
SECONDS = {
    "tests/extraction/test_workers.py": 160,
    "tests/test_docs.py": 50,
    "tests/models/test_matrix.py": 42,
    "tests/received": 32,
    "tests/cli/test_story.py": 28,
    "tests/analysis/heads/test_atlas.py": 24,
    "tests/geometry/test_density.py": 21,
    "tests/training/test_run.py": 18,
    "tests/analysis/test_score.py": 17,
    "tests/estimators/test_checks.py": 16,
    "tests/learn/objectives/test_quality.py": 15,
    "tests/models/test_independence.py": 14,
    "tests/learn/test_align.py": 13,
    "tests/cli/test_flags.py": 12,
    "tests/scale/test_device_tiles.py": 12,
    "tests/studies/test_alignment.py": 12,
    "tests/learn/test_state.py": 10,
    "tests/training/test_answers.py": 10,
    "tests/cli/test_align.py": 10,
    "tests/studies/test_head_atlas.py": 10,
    "tests/models/test_backbone.py": 9,
    "tests/models/test_check.py": 9,
    "tests/cli/test_runs.py": 8,
    "tests/test_threads.py": 8,
    "tests/store/test_points_kill.py": 8,
    "tests/training/test_pictures.py": 8,
    "tests/cli/test_bad_input.py": 8,
    "tests/estimators/test_prompt.py": 8,
    "tests/estimators/test_frozen.py": 8,
    "tests/estimators/test_align.py": 7,
    "tests/analysis/heads/test_clusters.py": 7,
    "tests/cli/test_options_fuzz.py": 7,
    "tests/cli/test_unread.py": 6,
    "tests/test_import.py": 6,
    "tests/learn/trainables/test_gradcache.py": 6,
    "tests/learn/objectives/test_groups_invariance.py": 6,
    "tests/training/test_predict.py": 6,
    "tests/store/test_rows.py": 6,
    "tests/analysis/test_inputs.py": 6,
    "tests/geometry/project/test_maps.py": 6,
    "tests/reports/test_browser_map.py": 5,
}
TOGETHER = ("tests/received",)  # files that share what takes seconds to make
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
