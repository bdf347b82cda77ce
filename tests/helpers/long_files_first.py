"""How `make test` deals its files out to two processes: long ones first, so that both end at the same time."""

import pytest

# Seconds of one quiet core, roughly. Files that are not named follow, those with the most tests first.
SECONDS = {
    "tests/received": 30,
    "tests/extraction/test_workers.py": 40,
    "tests/models/test_matrix.py": 35,
    "tests/cli/test_story.py": 25,
    "tests/training/test_run.py": 20,
    "tests/analysis/test_blocks.py": 20,
    "tests/learn/objectives/test_groups_invariance.py": 22,
    "tests/extraction/test_extract.py": 20,
    "tests/test_docs.py": 20,
    "tests/learn/objectives/test_quality.py": 20,
    "tests/studies/test_alignment.py": 17,
    "tests/estimators/test_checks.py": 15,
    "tests/geometry/test_density.py": 20,
    "tests/scale/test_dask.py": 12,
    "tests/cli/test_artifacts.py": 12,
    "tests/scale/test_device_tiles.py": 12,
    "tests/test_threads.py": 15,
    "tests/analysis/heads/test_atlas.py": 20,
    "tests/studies/test_head_atlas.py": 14,
    "tests/scale/test_executors.py": 12,
    "tests/learn/trainables/test_gradcache.py": 12,
    "tests/cli/test_options_fuzz.py": 12,
    "tests/learn/test_state.py": 12,
    "tests/reports/test_browser.py": 12,
    "tests/learn/test_state_kill.py": 10,
    "tests/store/test_points_kill.py": 10,
    "tests/cli/test_align.py": 10,
    "tests/test_arguments_fuzz.py": 10,
    "tests/analysis/test_score.py": 15,
    "tests/models/test_independence.py": 14,
    "tests/cli/test_flags.py": 10,
}
TOGETHER = ("tests/received",)  # files that share what takes seconds to make


def unit(path: str) -> str:
    """What one process runs as a whole: a file, or a folder whose files share what they need."""
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
