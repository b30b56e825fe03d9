"""Any Gymnasium environment by its id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from rl_eval.domains.base import Domain, Part
from rl_eval.domains.gym.config import DEFAULT_EPISODE_STEPS, Config

if TYPE_CHECKING:
    import gymnasium
    from gymnasium.vector import VectorEnv

__all__ = ["DOMAIN", "Config", "Gym"]


class Gym(Domain[Config]):
    """An environment of Gymnasium's, or registered with it; domains of single ids derive from this one.

    Attributes:
        slow_steps: whether a step takes long enough for a second process to pay, as `env.workers=auto` decides.
    """

    name = "gym"
    config_model = Config
    execution_keys = ("workers", "backend", "outcome")  # facts that are read off change no policy
    optional_keys = ("max_episode_steps", "wrappers")
    slow_steps: ClassVar[bool] = False

    def make(self, config: Config, *, n_envs: int, part: Part, autoreset: bool = True) -> VectorEnv:
        """N copies of the environment.

        Raises:
            InputError: unknown id, wrong kwargs, missing dependency, a space that is not supported, or a back end
                that is not there.
        """
        from rl_eval.domains.gym.make import make

        return make(config, n_envs=n_envs, part=part, autoreset=autoreset, slow_steps=self.slow_steps)

    def most_copies(self, config: Config) -> int:
        """Few: one Python call per step and copy, so more only lengthen the tail of the last episodes."""
        return 32

    def facts(self, config: Config) -> Sequence[str]:
        """The environment's own reward, and the keys of `info` that the config names."""
        return ("native_reward", *config.outcome)

    def notes(self, config: Config) -> Sequence[str]:
        """The step limit, where nobody has chosen one."""
        from rl_eval.domains.gym.make import has_limit

        if has_limit(config):
            return ()
        return (
            f"env.id={config.id!r} has no step limit of its own: episodes are cut off after "
            f"{DEFAULT_EPISODE_STEPS:,} steps; env.max_episode_steps=... sets another limit",
        )

    def needs_trust(self, config: Config) -> str | None:
        """An id or a wrapper with a module in front imports it; one of Gymnasium's writes files."""
        if ":" in config.id.removeprefix("pettingzoo:"):
            return f"env.id={config.id!r} imports a module"
        for name, _ in config.named_wrappers():
            if ":" in name:
                return f"env.wrappers={name!r} imports a module"
            if name == "RecordVideo":
                return f"env.wrappers={name!r} writes files"
        return None

    def code_identity(self, config: Config) -> str | None:
        """The id's registration, where the environment and its wrappers are Gymnasium's own; None otherwise."""
        from rl_eval.domains.gym.make import code_identity

        return code_identity(config)

    def episodes_identity(self, config: Config) -> str:
        """The id, its registration, the arguments and the step limit; not which return counts as a success."""
        from rl_eval.domains.gym.make import episodes_identity

        return episodes_identity(config)

    def own_modules(self, config: Config) -> Sequence[str]:
        """The modules that id and wrappers name, and that of a registered class that is not Gymnasium's own."""
        from rl_eval.domains.gym.make import own_modules

        return own_modules(config)

    def in_one_process(self, config: Config) -> Config:
        """The same with one worker."""
        return config.model_copy(update={"workers": 1})

    def renderer(self, config: Config) -> gymnasium.Env | None:
        """One copy that draws frames; None if it does not."""
        from rl_eval.domains.gym.make import renderer

        return renderer(config)


DOMAIN = Gym()
