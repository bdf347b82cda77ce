"""A real training that fails leaves nothing."""

import pytest

from separatrix.errors import ModelError
from separatrix.store.artifacts import resume_artifact
from separatrix.store.folder import can_resume
from separatrix.training.run import run_training


def test_a_real_training_that_fails_leaves_nothing(make_order, tmp_path):
    out = tmp_path / "run"
    with (
        pytest.raises(ModelError, match="found neither as a folder nor on the hub"),
        resume_artifact(out, "run", keep=can_resume) as place,
    ):
        run_training(make_order(place, model=str(tmp_path / "no-such-model")))
    assert not out.exists()
    with pytest.raises(Exception, match="the gradient is zero"), resume_artifact(out, "run", keep=can_resume) as place:
        run_training(make_order(place, loss="centroid", attraction=0.0, repulsion=0.0))
    assert not out.exists()
