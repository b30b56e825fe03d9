"""The settings of our own trackers."""

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from rl_eval.errors import InputError
from rl_eval.tracking import TRACKERS, check_tracker, open_tracker, settings_model, verdict_summary

CONF = Path(__file__).parents[2] / "conf" / "tracker"
NAMES = ("mlflow", "none", "tensorboard", "wandb")


@pytest.mark.parametrize("name", NAMES)
def test_conf_file_and_model_have_the_same_keys_and_defaults(name):
    values = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    model = settings_model(name)
    settings = model.model_validate(values)
    assert set(values) == set(model.model_fields)
    assert settings == model()


def test_every_tracker_of_ours_has_its_conf_file():
    assert {file.stem for file in CONF.glob("*.yaml")} == set(NAMES) <= set(TRACKERS)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("none", {"project": "x"}),
        ("wandb", {"projekt": "x"}),
        ("wandb", {"mode": "sometimes"}),
        ("wandb", {"tags": ["x" * 65]}),
        ("wandb", {"tags": "night"}),
        ("wandb", {"finish_timeout": 0}),
        ("wandb", {"finish_timeout": float("nan")}),
    ],
)
def test_bad_settings_are_refused(name, values):
    with pytest.raises(ValidationError):
        settings_model(name).model_validate({"name": name, **values})


@pytest.mark.parametrize("name", ["wandb", "tensorboard", "mlflow"])
def test_a_missing_package_is_an_error_that_says_how_to_install_it(name, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=rf"pip install 'rl_eval\[{name}\]'"):
        check_tracker(settings_model(name)(name=name))


def test_none_leaves_nothing_behind(tmp_path):
    tracker = open_tracker(settings_model("none")(name="none"), run_dir=tmp_path, config={})
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


def test_a_verdict_on_validation_has_another_name_than_the_gates():
    row = {"suite": "threat", "criterion": "f1", "decision": "PASS", "estimate": 0.93, "part": "validation"}
    summary = verdict_summary([row, {**row, "part": "test"}])
    assert len(summary) == 4
    assert summary["validation_verdict/threat/f1"] == summary["verdict/threat/f1"] == "PASS"
