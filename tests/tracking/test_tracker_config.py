from pathlib import Path

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from rl_eval.errors import InputError
from rl_eval.tracking import (
    NoTracker,
    TensorBoardTracker,
    TrackerConfig,
    WandbTracker,
    check_tracker,
    open_tracker,
    verdict_summary,
)

CONF = Path(__file__).parents[2] / "conf" / "tracker"
MODELS = {"none": NoTracker, "wandb": WandbTracker, "tensorboard": TensorBoardTracker}
ADAPTER = TypeAdapter(TrackerConfig)


@pytest.mark.parametrize("name", MODELS)
def test_conf_file_and_model_have_the_same_keys_and_defaults(name):
    written = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    parsed = ADAPTER.validate_python(written)
    assert isinstance(parsed, MODELS[name])
    assert set(written) == set(MODELS[name].model_fields)
    assert parsed == MODELS[name]()


def test_no_other_tracker_files():
    assert {file.stem for file in CONF.glob("*.yaml")} == set(MODELS)


@pytest.mark.parametrize(
    "bad",
    [
        {"name": "mlflow"},
        {"name": "none", "project": "x"},
        {"name": "wandb", "projekt": "x"},
        {"name": "wandb", "mode": "sometimes"},
        {"name": "wandb", "tags": ["x" * 65]},
        {"name": "wandb", "tags": "night"},
        {"name": "wandb", "finish_timeout": 0},
        {"name": "wandb", "finish_timeout": float("nan")},
    ],
)
def test_bad_sections_are_refused(bad):
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(bad)


@pytest.mark.parametrize("settings", [WandbTracker(), TensorBoardTracker()])
def test_a_missing_package_is_one_sentence(settings, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install"):
        check_tracker(settings)


def test_none_leaves_nothing_behind(tmp_path):
    tracker = open_tracker(NoTracker(), run_dir=tmp_path, config={})
    tracker.log({"loss": 1.0}, 10)
    tracker.summary({"a": 1})
    tracker.close("finished")
    assert list(tmp_path.iterdir()) == []


def test_verdict_summary_names_each_criterion():
    rows = [
        {"suite": "threat", "criterion": "f1", "decision": "PASS", "estimate": 0.93},
        {"suite": "threat", "criterion": "seeds", "decision": "NEEDS_RUNS", "estimate": None},
    ]
    assert verdict_summary(rows) == {
        "verdict/threat/f1": "PASS",
        "verdict/threat/f1/estimate": 0.93,
        "verdict/threat/seeds": "NEEDS_RUNS",
    }
