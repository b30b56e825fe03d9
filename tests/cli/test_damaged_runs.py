"""A damaged file in a run directory ends a command with a status and at most one sentence, never with a traceback."""

import contextlib
import itertools
import shutil

import pytest

from rl_eval.cli import main
from rl_eval.errors import InputError
from tests.training.learn import learn

TINY = [
    "env=cartpole", "total_steps=512", "agent.n_envs=2", "agent.n_steps=64", "agent.batch_size=32", "agent.n_epochs=1",
    "log_every=128", "resume_every=128", "checkpoint_every=128", "validation.every=256", "validation.episodes=2",
    "validation.stop_at=null", "agent.network.widths=[8]",
]  # fmt: skip

DAMAGES = {
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "noise": lambda path: path.write_bytes(bytes(range(255, 0, -1))),
    "flipped bit": lambda path: path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:]),
    "list": lambda path: path.write_text("[]\n"),
    "gone": lambda path: path.unlink(),
    "folder": lambda path: (path.unlink(), path.mkdir()),
}
FILES = [
    "run.json", "config.yaml", "metrics.csv", "snapshots/step_384/policy.json", "snapshots/step_384/policy.sha256",
    "snapshots/step_384/policy.safetensors", "resume/step_384/state.json", "resume/step_384/state.safetensors",
]  # fmt: skip


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A run that was interrupted; read only."""
    return learn(TINY, tmp_path_factory.mktemp("stopped") / "run", stop_at=384).path


def take_or_refuse(stopped, folder, capsys, file, damage):
    path = folder / "run"
    shutil.copytree(stopped, path)
    DAMAGES[damage](path / file)
    for command in (["doctor"], ["report"], ["export", "--onnx", str(folder / "policy.onnx")]):
        status = main([command[0], str(path), *command[1:]])
        errors = capsys.readouterr().err
        assert status in (0, 2)
        assert "Traceback" not in errors
        assert (errors.count("error: ") == 1) == (status == 2)
    with contextlib.suppress(InputError):
        assert learn(None, path, resume=True).finished


@pytest.mark.parametrize(("file", "damage"), list(zip(FILES, itertools.cycle(DAMAGES), strict=False)))
def test_commands_and_resume_take_it_or_say_why_not(stopped, tmp_path, capsys, file, damage):
    take_or_refuse(stopped, tmp_path, capsys, file, damage)


@pytest.mark.verify
@pytest.mark.parametrize(("file", "damage"), list(itertools.product(FILES, DAMAGES)))
def test_so_with_every_damage(stopped, tmp_path, capsys, file, damage):
    take_or_refuse(stopped, tmp_path, capsys, file, damage)
