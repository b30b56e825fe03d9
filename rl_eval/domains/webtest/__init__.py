"""The webtest domain: explore web applications, fill their forms, and find their failures.

Importing this package is light; applications are generated only where they are played.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rl_eval.domains.base import Domain, Part
from rl_eval.domains.webtest.config import Config
from rl_eval.formatting import mask_url

if TYPE_CHECKING:
    import typer
    from gymnasium.vector import VectorEnv

    from rl_eval.metrics import Metric
    from rl_eval.policy import Policy
    from rl_eval.report.behaviour import Behaviour
    from rl_eval.report.figure import Figure

__all__ = ["DOMAIN", "Config", "Webtest"]


def _baseline(name: str) -> Callable[[Config], Policy]:
    def build(config: Config) -> Policy:
        from rl_eval.domains.webtest import baselines

        return baselines.BASELINES[name](config)

    return build


class Webtest(Domain[Config]):
    """Testing web applications; an episode is a build of an application, with some of its defects on."""

    name = "webtest"
    config_model = Config
    has_candidates = True
    baselines = {
        name: _baseline(name)
        for name in ("random", "breadth_first", "depth_first", "novelty", "best_fixed", "pretrained")
    }
    shown_baselines = ("breadth_first", "novelty", "best_fixed")

    def make(self, config: Config, *, n_envs: int, part: Part, autoreset: bool = True) -> VectorEnv:
        """N builds at once of the applications of one part, or N testers of an application in Chromium.

        Raises:
            InputError: no Chromium, or an application that does not answer.
        """
        if config.mode == "browser":
            from rl_eval.domains.webtest.browser.vector import BrowserVector

            return BrowserVector(config, n_envs=n_envs, part=part, autoreset=autoreset)
        from rl_eval.domains.webtest.simulator.vector import SimulatedVector

        if config.testers > 1:
            from rl_eval.domains.webtest.simulator.team import TeamVector

            return TeamVector(config, n_envs=n_envs, part=part, autoreset=autoreset)
        return SimulatedVector(config, n_envs=n_envs, part=part, autoreset=autoreset)

    def facts(self, config: Config) -> Sequence[str]:
        """Facts of each action; see `SimulatedVector.step` and `Exploration.record`."""
        shop = ("branches",) if config.mode == "browser" and config.base_url is None else ()
        return (
            "action", "role", "value_kind", "state", "defects", "reproducible", "judgement", "episode_end", "new_state",
            "new_transition", "new_failures", "severity", "known_failures", "defects_found", "false_failures",
            "duplicate", "dead_end", "refused", "timed_out", "novelty", "path", "seconds", "traffic", "prevented",
            *shop,
        )  # fmt: skip

    def needs_trust(self, config: Config) -> str | None:
        """Requests to an application named by the config."""
        return None if config.base_url is None else f"env.base_url={mask_url(config.base_url)!r} is where requests go"

    def not_repeatable(self, config: Config) -> str | None:
        """A browser takes its time, and rewards count seconds."""
        return "it learned from pages in a browser" if config.mode == "browser" else None

    def most_copies(self, config: Config) -> int:
        """In a browser a few: each copy is a process that renders, and more of them wait for a processor."""
        return 8 if config.mode == "browser" else 100

    def is_slow(self, config: Config) -> bool:
        """In a browser, which also acts on an application that is somebody's."""
        return config.mode == "browser"

    def measured_facts(self, config: Config) -> Sequence[str]:
        """The seconds that a page in a browser took."""
        return ("seconds",) if config.mode == "browser" else ()

    def longest_episode(self, config: Config) -> int:
        """The actions of an episode."""
        return config.max_actions

    def validation_metric(self, config: Config) -> str:
        """The share of seeded defects found; unique failures where nobody knows the defects."""
        return "defects_found" if config.base_url is None else "unique_failures"

    def metrics(self) -> Sequence[Metric]:
        """Defects and failures found, states and transitions, duplicates and false alarms."""
        from rl_eval.domains.webtest.metrics import METRICS

        return METRICS

    def commands(self) -> typer.Typer:
        """`rl-eval webtest explore` and `rl-eval webtest review`."""
        from rl_eval.domains.webtest.commands.app import app

        return app

    def figures(self, behaviour: Behaviour) -> Sequence[Figure]:
        """Failures and states over actions compared with baselines, a map of states, and the parts of the reward."""
        from rl_eval.domains.webtest.figures import figures

        return figures(behaviour)


DOMAIN = Webtest()
