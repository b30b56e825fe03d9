"""The exposure that training records: its episodes and cases."""

import numpy as np
import pytest

from rl_eval import domains, seeding
from rl_eval import run as runs
from rl_eval.domains import threat
from rl_eval.exposure import FirstObservationRecorder, read_exposure
from rl_eval.training import _record
from tests.training.learn import learn

CARTPOLE = [
    "env=cartpole", "total_steps=4096", "agent.n_envs=4", "agent.n_steps=64", "agent.n_epochs=1",
    "resume_every=1024", "validation.every=2048", "validation.episodes=3",
]  # fmt: skip
THREAT = [
    "env=threat", "env.train_flows=2000", "env.validation_flows=500", "env.test_flows=500", "total_steps=2048",
    "agent.n_envs=16", "agent.batch_size=128", "validation.episodes=2",
]  # fmt: skip


def test_a_resumed_run_has_the_same_record_as_one_that_never_stopped(tmp_path):
    uninterrupted = learn(CARTPOLE, tmp_path / "uninterrupted")
    assert not (tmp_path / "interrupted" / "seen.npz").exists()
    assert learn(CARTPOLE, tmp_path / "interrupted", stop_at=2500).info["status"] == "interrupted"
    again = learn(CARTPOLE, tmp_path / "interrupted", resume=True)
    assert (again.path / "seen.npz").read_bytes() == (uninterrupted.path / "seen.npz").read_bytes()
    exposure = read_exposure(uninterrupted.path)
    # every episode that ended, and those in flight or given up at the three resume points
    assert int(exposure.train.counts.sum()) == uninterrupted.info["episodes"] + 4 * (1 + 3)
    assert exposure.validation_seeds.tolist() == seeding.episode_seeds(42, 3, "select")
    assert len(exposure.validation) == 3
    assert (len(exposure.train_seeds), exposure.unrecorded) == (4 * (1 + 3), 0)


def digests(run):
    return {name: runs.file_sha256(run.path / name) for name in ("preprocessing.json", "seen.npz")}


def test_a_finished_run_records_the_sha256_of_what_gates_check(tmp_path):
    run = learn([*THREAT, "resume_every=512"], tmp_path / "run", stop_at=1000)
    assert list(run.info["files_sha256"]) == ["preprocessing.json"]  # seen.npz is written at the end
    run = learn([*THREAT, "resume_every=512"], tmp_path / "run", resume=True)
    assert run.info["files_sha256"] == digests(run)


def test_a_run_killed_between_its_record_and_its_results_can_be_resumed(tmp_path, monkeypatch):
    """And no state in between is one that run.json takes for finished."""

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(_record, "final_results", killed)
        with pytest.raises(KeyboardInterrupt):
            learn([*THREAT, "resume_every=512"], tmp_path / "run")
    assert (tmp_path / "run" / "seen.npz").exists()
    assert not runs.read_run(tmp_path / "run").finished
    run = learn([*THREAT, "resume_every=512"], tmp_path / "run", resume=True)
    assert run.finished
    assert run.info["files_sha256"] == digests(run)


def test_recording_does_not_touch_training(tmp_path, monkeypatch):
    recorded = learn(CARTPOLE, tmp_path / "recorded")
    monkeypatch.setattr(FirstObservationRecorder, "add", lambda *_: None)
    unrecorded = learn(CARTPOLE, tmp_path / "unrecorded")
    policies = [(run.judged_snapshot() / "policy.safetensors").read_bytes() for run in (recorded, unrecorded)]
    assert policies[0] == policies[1]
    assert len(read_exposure(unrecorded.path).train) == 0


def test_a_resume_point_without_a_record_counts_its_episodes_as_unrecorded(tmp_path):
    learn(CARTPOLE, tmp_path / "run", stop_at=2500)
    point = runs.step_directories(tmp_path / "run" / "resume")[-1]
    arrays, meta = runs.read_checkpoint(point, "state")
    remaining = {name: array for name, array in arrays.items() if not name.startswith("starts.")}
    runs.write_checkpoint(point, "state", remaining, {k: v for k, v in meta.items() if k not in ("schema", "sha256")})
    exposure = read_exposure(learn(CARTPOLE, tmp_path / "run", resume=True).path)
    assert exposure.unrecorded == meta["agent"]["episodes"] + 4
    assert len(exposure.train) > 0


def test_a_run_on_data_was_exposed_to_its_training_and_validation_cases(tmp_path):
    run = learn(THREAT, tmp_path / "run")
    exposure, config = read_exposure(run.path), domains.validate(run.config["env"])
    assert exposure.cases
    for part in ("train", "validation"):
        assert set(getattr(exposure, part).exact.tolist()) == set(threat.DOMAIN.case_hashes(config, part).tolist())
    assert not np.isin(threat.DOMAIN.case_hashes(config, "test"), exposure.train.exact).any()
    assert not any(name.startswith("starts.") for name in _resume_arrays(run.path))


def _resume_arrays(path):
    points = runs.step_directories(path / "resume")
    return runs.read_checkpoint(points[-1], "state")[0] if points else {}
