"""The Qase domain: order test cases so that failures show early, from recorded verdicts or by running the cases.

Importing this package is light; polars, FastAPI and files are loaded only where they are used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl_eval.domains.base import Domain, Part, SilentFeatures
from rl_eval.domains.qase.config import LEVELS, Config
from rl_eval.errors import InputError
from rl_eval.formatting import mask_url

if TYPE_CHECKING:
    import numpy as np
    import typer

    from rl_eval.diagnostics import Diagnostic
    from rl_eval.domains.qase.environment.vector import QaseVector
    from rl_eval.metrics import Metric
    from rl_eval.policy import Policy
    from rl_eval.report.behaviour import Behaviour
    from rl_eval.report.figure import Figure

__all__ = ["DOMAIN", "LEVELS", "Config", "Qase"]


def _part(config: Config, part: Part) -> Any:
    if config.mode == "live":
        from rl_eval.domains.qase.live.held_out_builds import held_out_builds

        return held_out_builds(config, part).part
    from rl_eval.domains.qase.environment.dataset import load_dataset

    return load_dataset(config).parts[part]


def _baseline(name: str) -> Callable[[Config], Policy]:
    def build(config: Config) -> Policy:
        from rl_eval.domains.qase import baselines

        return baselines.BASELINES[name](config)

    return build


class Qase(Domain[Config]):
    """Ordering the test cases of a cycle; a case is an execution, an episode a cycle.

    With `env.mode=live` the cases run over HTTP; otherwise their verdicts are recorded ones.
    """

    name = "qase"
    config_model = Config
    has_cases = True
    extra_modules = ("polars", "sklearn", "fastapi", "uvicorn")
    location_keys = ("path", "results")
    optional_keys = ("signal",)
    baselines = {
        name: _baseline(name)
        for name in ("random", "as_listed", "failure_rate", "last_failed_first", "logistic_regression", "optimal")
    }

    shown_baselines = ("failure_rate", "optimal")

    def make(self, config: Config, *, n_envs: int, part: Part, autoreset: bool = True) -> QaseVector:
        """N test cycles at once from one part of the data, or, live, from builds that are run.

        Raises:
            InputError: missing or invalid data, or a service that cannot be reached.
        """
        from rl_eval.domains.qase.environment.vector import QaseVector

        if config.mode == "live":
            from rl_eval.domains.qase.live.held_out_builds import held_out_builds
            from rl_eval.domains.qase.live.vector import LiveHeldOut, LiveTraining

            if part == "train":
                return LiveTraining(config, n_envs=n_envs, autoreset=autoreset)
            builds = held_out_builds(config, part)
            if part == "test":
                return LiveHeldOut(config, builds, n_envs=n_envs)
            # All cases of these builds ran once, so validation orders their recorded verdicts.
            return QaseVector(config, n_envs=n_envs, part=part, autoreset=autoreset, record=builds.part)
        return QaseVector(config, n_envs=n_envs, part=part, autoreset=autoreset)

    def facts(self, config: Config) -> Sequence[str]:
        """Facts of each execution and, at the end of a cycle, of the order."""
        return (
            "execution", "verdict", "level", "score", "security", "unseen", "failure_share", "pairs", "cycle_end",
            "apfd", "apfd_unseen", "apfdc", "napfd", "failures", "found", "time_ranked", "security_passed", "bugs",
            "bugs_found",
        )  # fmt: skip

    def needs_trust(self, config: Config) -> str | None:
        """Sending requests to a service named by the config."""
        return None if config.base_url is None else f"env.base_url={mask_url(config.base_url)!r} is where requests go"

    def not_repeatable(self, config: Config) -> str | None:
        """Another service may respond differently in each run; the embedded one is deterministic."""
        return (
            None
            if config.base_url is None
            else f"it learned from the service at env.base_url={mask_url(config.base_url)!r}"
        )

    def longest_episode(self, config: Config) -> int:
        """The most cases in a cycle of the test part; live, in any."""
        if config.mode == "live":
            from rl_eval.domains.qase.live.session import runnable_cases

            return len(runnable_cases(config).project.cases)
        return int(_part(config, "test").lengths.max())

    def episodes(self, config: Config, part: Part) -> int:
        """Judged cycles of the part."""
        return len(_part(config, part))

    def cases(self, config: Config, part: Part) -> int:
        """Executions in the cycles of the part."""
        return len(_part(config, part).verdict)

    def case_hashes(self, config: Config, part: Part) -> np.ndarray:
        """One hash per execution, uint64 `[R]`; equal for the same case, time, duration and verdict.

        Live training has no fixed executions; the builds of each part come from separate random streams.
        """
        if config.mode == "live" and part == "train":
            import numpy as np

            return np.empty(0, np.uint64)
        return _part(config, part).hashes

    def case_observations(self, config: Config, part: Part) -> np.ndarray:
        """Observations of the executions, float32 `[R, 64]`, in the order of `case_hashes`."""
        if config.mode == "live" and part == "train":
            import numpy as np

            return np.empty((0, 64), np.float32)
        return _part(config, part).features

    def earlier_splits(self, config: Config, count: int) -> Sequence[Config]:
        """The cycles before the test part, split at earlier times; live there are none."""
        if config.mode == "live":
            return ()
        from rl_eval.domains.qase.environment.dataset import earlier_splits

        return earlier_splits(config, count)

    def fingerprints(self, config: Config) -> Mapping[str, str]:
        """Part -> SHA-256 of its executions and cycles; live, of the cases and the schedule of builds."""
        if config.mode == "live":
            from rl_eval.domains.qase.live.session import fingerprints as of_schedule

            return of_schedule(config)
        from rl_eval.domains.qase.environment.dataset import load_dataset

        return {name: part.fingerprint() for name, part in load_dataset(config).parts.items()}

    def data_files(self, config: Config) -> Sequence[Path]:
        """The files of cases and results; none for the embedded project, and where Qase is asked over HTTP."""
        from rl_eval.domains.qase.environment.dataset import data_files

        return data_files(config)

    def preprocessing(self, config: Config) -> Mapping[str, Any]:
        """The features and which of them are constant; live, also the cases that cannot be run, with reasons."""
        if config.mode == "live":
            from rl_eval.domains.qase.live import session

            return session.preprocessing(config)
        from rl_eval.domains.qase.environment import dataset

        return dataset.preprocessing(dataset.load_dataset(config))

    def with_preprocessing(self, config: Config, preprocessing: Mapping[str, Any] | None) -> Config:
        """The unchanged config: features have no fitted values.

        Raises:
            InputError: the other run had other features.
        """
        expected, other = self.preprocessing(config)["features"], (preprocessing or {}).get("features")
        if expected != other:
            raise InputError("its preprocessing.json has other features than this version: train a new run")
        return config

    def silent_features(self, preprocessing: Mapping[str, Any]) -> SilentFeatures:
        """Features that are equal in every execution of the training part; of some the field is never filled in."""
        silent, rates = super().silent_features(preprocessing), preprocessing.get("default_rates")
        unset = rates if isinstance(rates, dict) else {}
        default = {name: "always at its default" for name in silent.reasons if unset.get(name) == 1.0}
        advice = (
            "If the project fills in these fields, they were not read: `rl-eval qase inspect` shows what was. If it "
            "does not, only history distinguishes its cases."
        )
        return SilentFeatures({**silent.reasons, **default}, silent.fields, advice)

    def validation_metric(self, config: Config) -> str:
        """APFD, or APFDc where time counts."""
        return "apfdc" if config.timed else "apfd"

    def default_criteria(self, config: Config) -> Mapping[str, Mapping[str, Any]]:
        """Of your own project: failures show earlier than by failure rate, and by what failed last."""
        if config.data == "synthetic" or config.mode == "live":
            return {}
        metric = self.validation_metric(config)
        beaten = ("failure_rate", "last_failed_first")
        return {f"beats_{name}": {"metric": metric, "better_than": f"baseline:{name}"} for name in beaten}

    def metrics(self) -> Sequence[Metric]:
        """Metrics of how early failures show."""
        from rl_eval.domains.qase.metrics import METRICS

        return METRICS

    def diagnostics(self) -> Sequence[Diagnostic]:
        """A check for rewards that no order changes."""
        from rl_eval.domains.qase.diagnostics import DIAGNOSTICS

        return DIAGNOSTICS

    def figures(self, behaviour: Behaviour) -> Sequence[Figure]:
        """Failures found over cases run, compared with two baselines."""
        from rl_eval.domains.qase.figures import figures

        return figures(behaviour)

    def commands(self) -> typer.Typer:
        """`rl-eval qase inspect` and `rl-eval qase prioritise`."""
        from rl_eval.domains.qase.commands.app import app

        return app


DOMAIN = Qase()
