"""How `make test` deals its files out to two processes: long ones first, so that both end at the same time."""

import pytest

# Seconds of one quiet core, roughly. Files that are not named follow, those with the most tests first.
SECONDS = {
    "tests/received": 45,
    "tests/geometry/project/test_maps_umap.py": 30,
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
