"""A first suite for an environment and a policy: a few episodes of the policy and of `random` suggest its bar.

Nothing of the suite's test set is played: the episodes are those of its validation stream.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from rl_eval.envs.parallel_env import PREFIX
from rl_eval.errors import InputError
from rl_eval.formatting import number
from rl_eval.gates.suite import Suite, parse_suite
from rl_eval.gates.suite_data import environment_of_policy
from rl_eval.gates.suite_environment import SuiteEnvironment

EPISODES = 20  # of each policy
_SMALL = 0.05  # a lead over `random` below this share of the range does not count


@dataclass(frozen=True)
class FirstLook:
    """Returns of a few episodes.

    Attributes:
        policy, random: `[E]` each.
    """

    policy: np.ndarray
    random: np.ndarray

    @property
    def is_better(self) -> bool:
        """Whether the policy leads `random` by enough to put a bar between them."""
        return float(self.policy.mean() - self.random.mean()) > _SMALL * self._range

    @property
    def bar(self) -> float:
        """Half-way between `random` and the policy; where it does not lead, above both."""
        if self.is_better:
            return _rounded((self.policy.mean() + self.random.mean()) / 2)
        return _rounded(max(self.policy.mean(), self.random.mean()) + 0.1 * self._range)

    @property
    def bounds(self) -> tuple[float, float]:
        """The range of what was seen, and half of it more on each side."""
        low = min(self.policy.min(), self.random.min())
        high = max(self.policy.max(), self.random.max())
        return _rounded(low - self._range / 2), _rounded(high + self._range / 2)

    @property
    def _range(self) -> float:
        both = np.concatenate([self.policy, self.random])
        return float(np.ptp(both)) or max(1.0, float(abs(both).max()))


def _rounded(value: float) -> float:
    """To three digits, which is less than a hundredth of it."""
    return float(f"{float(value):.3g}")


def suite_name(env_id: str) -> str:
    """The name of the suite of an environment: `Acrobot-v1` is `acrobot`.

    Raises:
        InputError: nothing of the id can be a file's name.
    """
    if env_id.startswith(PREFIX):  # of `my_module:parallel_env`, the function says less than the module
        env_id = env_id.removeprefix(PREFIX).partition(":")[0]
    words = re.sub(r"[-_]v[0-9]+$", "", re.split("[:/.]", env_id)[-1])
    name = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")
    if not name:
        raise InputError(f"{env_id!r} gives no name to a file: name an id such as Acrobot-v1")
    return name


def look(env_id: str, policy: str, name: str) -> FirstLook:
    """Play a few episodes of a policy and of `random`, with the trust of the person who named both.

    Raises:
        InputError: the environment cannot be made, or a policy cannot be loaded or played.
    """
    text = yaml.safe_dump(
        {"rl_eval": 1, "env": {"id": env_id}, "criteria": {"any": _ANY}, "episodes": {"max": EPISODES}}
    )
    suite = parse_suite(text, Path(f"{name}.yaml"), f"{name}.yaml").on_part("validation")
    environment = SuiteEnvironment(suite, environment_of_policy(suite, policy), trust=True)
    try:
        return FirstLook(*(_returns(suite, environment, spec) for spec in (policy, "random")))
    finally:
        environment.close()


_ANY = {"metric": "mean_return", "at_least": 0, "by": "estimate"}


def _returns(suite: Suite, environment: SuiteEnvironment, spec: str) -> np.ndarray:
    buffer = environment.play(spec, f"{suite.name}: {spec}", EPISODES)
    try:
        buffer.play_to(EPISODES)
        episodes = buffer.between(0, EPISODES)
    finally:
        buffer.close()
    metric = suite.criteria[0].metric
    assert metric.variable is not None
    return np.asarray(metric.variable(episodes, environment.config), np.float64)


def first_suite(seen: FirstLook, env_id: str, policy: str, plugin: str | None) -> str:
    """The YAML of the suite.

    Args:
        plugin: the module that registers the id, in the folder of the suite; None: no module is needed.
    """
    bar, (low, high) = number_text(seen.bar), map(number_text, seen.bounds)
    where = (
        "half-way from random to the policy: raise it to what you need"
        if seen.is_better
        else "the policy is no better than random: set what you need"
    )
    return (
        "# What the policy must do before it ships. Written by `rl-eval init`; the bars are yours to set.\n"
        "rl_eval: 1\n"
        + (f"plugins: [{plugin}]   # registers the environment\n" if plugin else "")
        + f"env: {{id: {yaml.safe_dump(env_id, default_style=chr(34)).strip()}}}\n"
        f"# {EPISODES} episodes each: {_summary('random', seen.random)}; {_summary(policy, seen.policy)}.\n"
        "# Set the lowest and the highest return that an episode can have; these are wider than what was seen.\n"
        f"episodes: {{max: 400, return_bounds: [{low}, {high}]}}\n"
        "criteria:\n"
        f"  # {where}\n"
        f"  good_enough: {{metric: mean_return, at_least: {bar}}}\n"
        "  beats_random: {metric: mean_return, better_than: random}\n"
        "  # With `margin: …` next to at_least: pytest --rl-against FILE asks for no worse than the last release.\n"
    )


def number_text(value: float) -> str:
    """A number as YAML reads it."""
    return f"{value:.15g}"


def _summary(name: str, returns: np.ndarray) -> str:
    shown = " ".join(name.split())
    return f"{shown} {number(returns.mean(), 3)} ({number(returns.min(), 3)} to {number(returns.max(), 3)})"
