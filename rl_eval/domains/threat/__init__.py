"""Threat triage: a stream of network flows, each allowed, blocked, quarantined or raised as an alert.

Importing this package is light; data, scikit-learn and polars are loaded only where they are used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from rl_eval.domains.base import Domain, Part, RawField, SilentFeatures
from rl_eval.domains.threat.config import ACTIONS, ALERT, ALLOW, BLOCK, QUARANTINE, Config
from rl_eval.domains.threat.fitted_preprocessing import FittedPreprocessing
from rl_eval.errors import InputError
from rl_eval.validation_errors import config_sentence

if TYPE_CHECKING:
    import numpy as np
    import typer

    from rl_eval.diagnostics import Diagnostic
    from rl_eval.domains.rows import RowReader
    from rl_eval.domains.threat.data import FlowDataset
    from rl_eval.domains.threat.vector import ThreatVector
    from rl_eval.metrics import Metric
    from rl_eval.policy import Policy
    from rl_eval.report.behaviour import Behaviour
    from rl_eval.report.figure import Figure
    from rl_eval.rewards import RewardFunction

__all__ = ["ACTIONS", "ALERT", "ALLOW", "BLOCK", "DOMAIN", "QUARANTINE", "Config", "Threat"]


def _dataset(config: Config) -> FlowDataset:
    from rl_eval.domains.threat.data import load_dataset

    return load_dataset(config)


def _baseline(name: str) -> Callable[[Config], Policy]:
    def build(config: Config) -> Policy:
        from rl_eval.domains.threat import baselines

        return baselines.BASELINES[name](config)

    return build


def _fitted(preprocessing: Mapping[str, Any]) -> FittedPreprocessing:
    values = {key: value for key, value in preprocessing.items() if key not in ("schema", "columns")}
    try:
        return FittedPreprocessing.model_validate(values)
    except ValidationError as error:
        sentence = config_sentence(error, values, allowed=FittedPreprocessing.model_fields)
        raise InputError(f"its preprocessing (preprocessing.json) cannot be applied: {sentence}") from error


class Threat(Domain[Config]):
    """Triage of network flows; a case is a flow, an episode a shift of flows.

    The embedded data adds the fact `posterior`, and `env.alert_window` above 0 adds `alerts_in_window`.
    """

    name = "threat"
    config_model = Config
    has_cases = True
    case_index = "flow"
    extra_modules = ("polars", "sklearn")
    location_keys = ("path", "test_path")
    optional_keys = ("split", "time_column", "mix")
    fitted_keys = ("preprocessing",)
    baselines = {
        name: _baseline(name)
        for name in ("logistic_regression", "random_forest", "hist_gradient_boosting", "bayes", "block_all")
    }

    def baseline(self, name: str, config: Config) -> Policy:
        """A baseline; `random_forest@cost` and `random_forest@0.25` are that classifier at another operating point."""
        model, at, point = name.partition("@")
        if not at:
            return super().baseline(name, config)
        from rl_eval.domains.threat import baselines

        return baselines.classifier_at(model, point, config)

    def make(self, config: Config, *, n_envs: int, part: Part, autoreset: bool = True) -> ThreatVector:
        """N shifts at once from one part of the data."""
        from rl_eval.domains.threat.vector import ThreatVector

        return ThreatVector(config, n_envs=n_envs, part=part, autoreset=autoreset)

    def notes(self, config: Config) -> Sequence[str]:
        """How the columns of a file were read, and which are nearly unique or predict the label on their own."""
        if config.data != "csv":
            return ()
        from rl_eval.domains.threat.column_check import reading_notes

        dataset = _dataset(config)
        return (*reading_notes(dataset.preprocessing), *dataset.suspicions)

    def reward_notes(self, config: Config, reward: RewardFunction) -> Sequence[str]:
        """A matrix that makes other decisions best than the costs do."""
        from rl_eval.domains.threat.rewards import price_difference

        difference = price_difference(reward.terms, config.costs)
        return () if difference is None else (difference,)

    def facts(self, config: Config) -> Sequence[str]:
        """The truth about each flow, and what was decided."""
        return ("label", "category", "action", "flagged", "cost", "flow")

    def longest_episode(self, config: Config) -> int:
        """Largest number of flows in a shift."""
        return config.shift

    def action_names(self, config: Config) -> Sequence[str]:
        """Allow, block, quarantine, alert."""
        return ACTIONS

    def episodes(self, config: Config, part: Part) -> int:
        """Number of shifts that play every flow of the part once."""
        from rl_eval.domains.threat.flow_stream import episode_count

        return episode_count(self.cases(config, part), config.shift)

    def cases(self, config: Config, part: Part) -> int:
        """Flows of the part."""
        return len(_dataset(config).parts[part])

    def case_hashes(self, config: Config, part: Part) -> np.ndarray:
        """Hash of the raw fields of each flow, uint64 `[R]`, in the order of `outcome["flow"]`."""
        return _dataset(config).parts[part].hashes

    def case_labels(self, config: Config, part: Part) -> np.ndarray:
        """1 for a threat, 0 for a benign flow, `[R]`."""
        return _dataset(config).parts[part].label

    def case_observations(self, config: Config, part: Part) -> np.ndarray:
        """Observations of the flows, float32 `[R, D]`, in the order of `case_hashes`."""
        return _dataset(config).parts[part].features

    def case_fields(self, config: Config) -> Sequence[str]:
        """The field of each column; the levels of a category are columns of one field."""
        return _dataset(config).preprocessing.fields()

    def independent_cases(self, config: Config) -> bool:
        """Whether flows are independent and no decision affects a later flow."""
        return not config.campaigns and not config.alert_window

    def fingerprints(self, config: Config) -> Mapping[str, str]:
        """Part -> SHA-256 of its flows and labels."""
        return {name: part.fingerprint() for name, part in _dataset(config).parts.items()}

    def data_files(self, config: Config) -> Sequence[Path]:
        """The files of the data set; none for the embedded data."""
        from rl_eval.domains.threat.data import files

        return files(config)

    def preprocessing(self, config: Config) -> Mapping[str, Any]:
        """Categories, medians, means and deviations of the columns, fitted on `train`."""
        return _dataset(config).preprocessing.to_json()

    def with_preprocessing(self, config: Config, preprocessing: Mapping[str, Any] | None) -> Config:
        """The same flows with the preprocessing of another run.

        Raises:
            InputError: that run's preprocessing is damaged, or of other fields.
        """
        if self._other_preprocessing(config, preprocessing) is None:
            return config
        config = config.model_copy(update={"preprocessing": _fitted(preprocessing or {})})
        _dataset(config)  # the fields must be the same
        return config

    def raw_fields(self, preprocessing: Mapping[str, Any], observation: np.ndarray) -> Sequence[RawField] | None:
        """The fields of a flow; None where an observation shows more than its flow."""
        from rl_eval.domains.threat.preprocess import of_fitted
        from rl_eval.domains.threat.raw_fields import raw_fields

        return raw_fields(of_fitted(_fitted(preprocessing)), observation)

    def silent_features(self, preprocessing: Mapping[str, Any]) -> SilentFeatures:
        """Columns that were left out, and fields that were constant or had no frequent value in training."""
        try:
            fitted = _fitted(preprocessing)
        except InputError:
            return SilentFeatures({}, 0)
        reasons = fitted.silent()
        advice = (
            "`rl-eval threat inspect FILE` shows every column. Where one should be a feature, env.categorical or "
            "env.times says how to read it."
        )
        return SilentFeatures(reasons, len(fitted.numeric) + len(fitted.categorical) + len(reasons), advice)

    def validation_metric(self, config: Config) -> str:
        """The operational cost, which the reward does not use."""
        return "mean_cost"

    def default_criteria(self, config: Config) -> Mapping[str, Mapping[str, Any]]:
        """Data from files: less cost than one action for all and than logistic regression; 15 % above trees at most."""
        if config.data == "synthetic":
            return {}
        classifiers = ("logistic_regression", "random_forest", "hist_gradient_boosting")
        at_cost = [f"baseline:{name}@cost" for name in classifiers]
        return {
            "beats_one_action": {"metric": "mean_cost", "better_than": "constant:*"},
            "beats_logistic": {"metric": "mean_cost", "better_than": at_cost[0]},
            "near_supervised": {"metric": "mean_cost", "better_than": at_cost, "factor": 1.15},
        }

    def metrics(self) -> Sequence[Metric]:
        """The operational cost."""
        from rl_eval.domains.threat.metrics import decision_accuracy, mean_cost

        return (mean_cost, decision_accuracy)

    def diagnostics(self) -> Sequence[Diagnostic]:
        """A check for rewards that do not follow the costs."""
        from rl_eval.domains.threat.diagnostics import DIAGNOSTICS

        return DIAGNOSTICS

    def figures(self, behaviour: Behaviour) -> Sequence[Figure]:
        """Confusion matrix, actions by label, and the attack types that were missed most."""
        from rl_eval.domains.threat.figures import figures

        return figures(behaviour)

    def commands(self) -> typer.Typer:
        """`rl-eval threat inspect`."""
        from rl_eval.domains.threat.commands.app import app

        return app

    def rows(self, config: Config, preprocessing: Mapping[str, Any]) -> RowReader:
        """New flows from CSV or Parquet, without labels."""
        if config.alert_window:
            raise InputError(
                f"with env.alert_window={config.alert_window} a decision depends on the ones before, so single rows "
                "cannot be scored: name a run with env.alert_window=0"
            )
        from rl_eval.domains.threat.rows import FlowRows

        return FlowRows(config, _fitted(preprocessing))


DOMAIN = Threat()
