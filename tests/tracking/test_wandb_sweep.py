"""`docs/wandb_sweep.yaml` as a W&B agent would run it."""

from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ValueType
from omegaconf import OmegaConf
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

ROOT = Path(__file__).parents[2]
SWEEP = yaml.safe_load((ROOT / "docs" / "wandb_sweep.yaml").read_text())


def drawn(pick):
    """One set of parameters such as the server sends."""
    parameters = SWEEP["parameters"].items()
    return {name: p["values"][pick] if "values" in p else (p["min"], p["max"])[pick] for name, p in parameters}


def agent_argv(parameters):
    """What the agent starts: each `${macro}` of the command is replaced by a list of words."""
    args = create_sweep_command_args({"args": {name: {"value": value} for name, value in parameters.items()}})
    words = {**args, "env": ["/usr/bin/env"], "interpreter": ["python"], "program": [SWEEP["program"]]}
    argv = []
    for chunk in create_sweep_command(list(SWEEP["command"])):
        chunk = str(chunk)
        argv += words[chunk[2:-1]] if chunk.startswith("${") and chunk.endswith("}") else [chunk]
    return argv


@pytest.mark.parametrize("pick", [0, -1])
def test_the_agent_starts_train_py_with_plain_overrides(pick):
    parameters = drawn(pick)
    argv = agent_argv(parameters)
    assert argv[:3] == ["/usr/bin/env", "python", "train.py"]
    overrides = OverridesParser.create().parse_overrides(argv[3:])
    assert [o.input_line for o in overrides] == argv[3:]
    assert all(o.value_type in (ValueType.ELEMENT, None) and not o.is_add() and not o.is_delete() for o in overrides)
    values = {o.key_or_group: o.value() for o in overrides}
    assert values == {"agent": "ppo", "env": "cartpole", "tracker": "wandb", "judge": "validation", **parameters}


def test_the_keys_are_those_of_the_config():
    parameters = drawn(0)
    with initialize_config_dir(str(ROOT / "conf"), version_base=None):
        config = compose("config", overrides=agent_argv(parameters)[3:])
    assert {name: OmegaConf.select(config, name) for name in parameters} == parameters
    assert config.tracker.name == "wandb"


def test_the_sweep_looks_at_a_column_of_metrics_csv():
    assert SWEEP["metric"]["name"] == "episode_return_mean"
    assert SWEEP["project"] == "rl_eval"
