"""The lowest versions that pyproject.toml declares: they install together, judge, and train."""

import re

import pytest

from tests import wheel_environments
from tests.wheel_environments import PROJECT, ROOT, gate, lowest_versions, made_once, repository, run_in, wheel_of

pytestmark = pytest.mark.verify

# EnvPool and Ray are large. The pinned torch is installed in place of the lowest one, which may take gigabytes.
EXTRAS = sorted(PROJECT["optional-dependencies"].keys() - {"all", "dev", "fast", "ray"})


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("hatchling")
    wheel_environments.skip_without_index(tmp_path_factory)
    return wheel_of(made_once(tmp_path_factory, "wheel", wheel_environments.build_wheel))


def environment(tmp_path_factory, name, wheel, *extras):
    """The wheel and some extras, at the lowest versions."""

    def make(folder):
        pins = (ROOT / "constraints.txt").read_text().splitlines()
        lowest = [line for line in lowest_versions(*extras) if not line.startswith("torch==")]
        constraints = folder / "constraints.txt"
        constraints.write_text("\n".join([*lowest, *(line for line in pins if line.startswith("torch=="))]))
        requirement = f"{wheel}[{','.join(extras)}]" if extras else wheel
        wheel_environments.create(folder / "venv", requirement, constraints=constraints, timeout=900)

    return made_once(tmp_path_factory, name, make) / "venv"


def test_the_base_judges(tmp_path, tmp_path_factory, wheel):
    lowest = environment(tmp_path_factory, "lowest_base", wheel)
    place = repository(tmp_path)
    assert gate(lowest, place, "--rl-run", "python:balancer:act", "--rl-trust")[0] == 0
    status, output = gate(lowest, place, "--rl-run", "random")
    assert status == 1
    assert re.search(r"pole +balances +mean_return .* FAIL", output)
    assert run_in(lowest, place, "rl-eval", "--help")[0] == 0
    assert run_in(lowest, place, "rl-eval", "schema")[0] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["env=threat", "agent=dqn", "tracker=tensorboard"],
        ["env=qase", "agent=a2c", "tracker=wandb", "tracker.mode=offline"],
        ["env=lunarlander", "agent=ppo"],
        ["env=cartpole", "-m", "seed=1,2", "hardware=parallel"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_all_extras_together_train_and_judge(tmp_path, tmp_path_factory, wheel, arguments):
    """The checkout on these versions: `train.py` is not in the wheel."""
    lowest = environment(tmp_path_factory, "lowest_all", wheel, *EXTRAS)
    status, output = run_in(lowest, tmp_path, "python", ROOT / "train.py", "total_steps=4096", *arguments, timeout=600)
    assert status == 0, output
    run = next(tmp_path.glob("outputs/*/*/run.json"), next(tmp_path.glob("outputs/*/*/*/run.json"), None)).parent
    status, output = run_in(lowest, ROOT, "python", "-m", "rl_eval.cli", "export", run, "--onnx", tmp_path / "p.onnx")
    assert status == 0, output
    status, output = run_in(lowest, ROOT, "python", "-m", "rl_eval.cli", "verify", run, timeout=600)
    assert status == 0, output
    repository(tmp_path)
    suite = tmp_path / "suites" / "pole.yaml"
    name = arguments[0].partition("=")[2]
    criterion = "criteria:\n  lasts: {metric: mean_length, at_least: 1, by: estimate}\n"
    suite.write_text(f"rl_eval: 1\nenv: {name}\nepisodes: {{fixed: 5}}\ncontrols: []\n{criterion}")
    status, output = gate(lowest, tmp_path, "--rl-run", f"onnx:{tmp_path / 'p.onnx'}")
    assert status == 0
