"""Whether a run's own files are complete and agree."""

from __future__ import annotations

import pytest

from rl_eval.errors import InputError
from rl_eval.metrics import MetricUndefined, lookup
from rl_eval.run import read_run
from tests.gates.fake_runs import write_run


def faults(name, run):
    return lookup(name).compute(read_run(run.path))


def test_a_complete_run_has_no_fault(tmp_path):
    run = write_run(tmp_path / "run")
    assert faults("artefacts_complete", run) == []
    assert faults("numbers_agree", run) == []


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("snapshots/step_100/policy.safetensors", b"cut", "truncated or altered"),
        ("snapshots/step_100/policy.json", None, "does not exist"),
        ("metrics.csv", None, "cannot be read"),
        ("metrics.csv", b"env_steps,wall_s\n", "has no row"),
    ],
)
def test_a_missing_or_damaged_file_is_named(tmp_path, file, content, message):
    run = write_run(tmp_path / "run")
    path = run.path / file
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    messages = faults("artefacts_complete", run)
    assert len(messages) >= 1
    assert message in " ".join(messages)
    assert path.name in " ".join(messages)


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ({"steps_cut": 0}, "says 100 env_steps, but its episodes have 80 finished + 15 in flight + 0 cut"),
        ({"steps_cut": None}, "does not say steps_cut"),
        ({"env_steps": 120, "steps_cut": 25}, "says 120 env_steps, but the last of metrics.csv is 100"),
        ({"env_steps": None}, "not a count"),
        ({"results": {"mean": -110.0, "std": 20.0, "min": -90.0, "max": 10.0}}, "which is impossible"),
        ({"results": {"mean": 0.0, "std": 20.0, "min": -1.0, "max": 1.0}}, "which is impossible"),
        ({"results": None}, "does not say results.mean"),
        ({"validation_score": 8.0}, "mean_return of 8 as validation_score and 9 in results"),
    ],
)
def test_numbers_that_contradict_each_other_are_reported(tmp_path, info, message):
    run = write_run(tmp_path / "run", info=info)
    assert message in " ".join(faults("numbers_agree", run))


def test_a_training_number_by_name(tmp_path):
    run = write_run(tmp_path / "run", info={"steps_per_s": None})
    assert lookup("training.wall_s").compute(run) == 2.5
    assert lookup("training.results.mean").compute(run) == 9.0
    with pytest.raises(InputError, match=r"training\.wall_z is not a number in .*did you mean 'wall_s'"):
        lookup("training.wall_z").compute(run)
    with pytest.raises(InputError, match=r"training\.status is not a number"):
        lookup("training.status").compute(run)
    with pytest.raises(MetricUndefined, match="no finite number"):
        lookup("training.steps_per_s").compute(run)
