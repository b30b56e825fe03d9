"""Threat triage: a stream of network flows, each allowed, blocked, quarantined or raised as an alert.

Importing this package is light; the data, scikit-learn and polars are touched only where they are used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gymnasium.envs.registration import register, registry

from rl_eval.envs.threat.config import ACTIONS, ALERT, ALLOW, BLOCK, QUARANTINE, Config

if TYPE_CHECKING:
    import numpy as np

    from rl_eval.envs.threat.vector import ThreatVector

__all__ = [
    "ACTIONS", "ALERT", "ALLOW", "BASELINES", "BLOCK", "CASE", "OUTCOME", "QUARANTINE", "Config",
    "bayes_report", "case_hashes", "case_observations", "categories", "cost_bounds", "fingerprints", "gate_cases",
    "gate_episodes", "independent_cases", "longest_episode", "make", "preprocessing", "select_episodes",
    "select_metric",
]  # fmt: skip

# Always there; the embedded data adds `posterior`, and alert_window > 0 adds `alerts_in_window`.
CASE = "flow"
OUTCOME = ("label", "category", "action", "flagged", "cost", "flow")

if "rl_eval/Threat-v0" not in registry:
    register(
        "rl_eval/Threat-v0",
        entry_point="rl_eval.envs.threat.single:ThreatEnv",
        vector_entry_point="rl_eval.envs.threat.single:gym_vector",
    )


def make(config: Config, *, n_envs: int, part: str, autoreset: bool = True) -> ThreatVector:
    """N shifts side by side over one part of the data.

    Raises:
        InputError: data that is missing or cannot be used.
    """
    from rl_eval.envs.threat.vector import ThreatVector

    return ThreatVector(config, n_envs=n_envs, part=part, autoreset=autoreset)


def _baseline(name: str) -> Callable[[Config], Any]:
    def build(config: Config) -> Any:
        from rl_eval.envs.threat import baselines

        return baselines.BASELINES[name](config)

    return build


BASELINES = {
    name: _baseline(name)
    for name in ("logistic_regression", "random_forest", "hist_gradient_boosting", "bayes", "block_all")
}


def _episodes(config: Config, part: str) -> int:
    from rl_eval.envs.threat.data import load
    from rl_eval.envs.threat.order import blocks

    return blocks(len(load(config).parts[part]), config.shift)


def gate_episodes(config: Config) -> int:
    """Shifts that visit every flow of the gate part once."""
    return _episodes(config, "gate")


def select_episodes(config: Config) -> int:
    """Shifts that visit every flow of the select part once."""
    return _episodes(config, "select")


def select_metric(config: Config) -> str:
    """What triage is for, which the reward does not read."""
    return "mean_cost"


def gate_cases(config: Config) -> int:
    """Flows of the gate part."""
    from rl_eval.envs.threat.data import load

    return len(load(config).parts["gate"])


def longest_episode(config: Config) -> int:
    """Flows of a shift, at most."""
    return config.shift


def independent_cases(config: Config) -> bool:
    """Whether flows come independently and a decision has no bearing on a later one."""
    return not config.campaigns and not config.alert_window


def cost_bounds(config: Config) -> tuple[float, float]:
    """The smallest and the largest cost of a flow, in the precision of `outcome["cost"]`."""
    import numpy as np

    costs = np.asarray(config.costs, np.float32)
    return float(costs.min()), float(costs.max())


def fingerprints(config: Config) -> dict[str, str]:
    """Part -> SHA-256 of its flows and labels."""
    from rl_eval.envs.threat.data import load

    return {name: part.fingerprint() for name, part in load(config).parts.items()}


def case_hashes(config: Config, part: str) -> np.ndarray:
    """One hash a flow of its raw fields, uint64 `[R]`, in the order of `outcome["flow"]`: for the held-out guard."""
    from rl_eval.envs.threat.data import load

    return load(config).parts[part].hashes


def case_observations(config: Config, part: str) -> np.ndarray:
    """The flows as a policy sees them, float32 `[R, D]`, in the order of `case_hashes`."""
    from rl_eval.envs.threat.data import load

    return load(config).parts[part].features


def categories(config: Config) -> tuple[str, ...]:
    """The attack types or families that `outcome["category"]` indexes."""
    from rl_eval.envs.threat.data import load

    return load(config).category_names


def preprocessing(config: Config) -> dict[str, Any]:
    """How observations are made from raw fields, of plain JSON types, to be saved with a run."""
    from rl_eval.envs.threat.data import load

    return load(config).preprocessing.to_json()


def bayes_report(config: Config) -> dict[str, float]:
    """What the best possible policy scores on the gate part of the embedded data."""
    from rl_eval.envs.threat.baselines import bayes_report as report

    return report(config)
