"""`baseline:<name>`: a policy that comes with the environment's domain."""

from __future__ import annotations

from typing import Any

from rl_eval.domains import domain
from rl_eval.policy._identity import digest
from rl_eval.policy._policy import Policy, Spaces
from rl_eval.policy._source import Source


class BaselineSource(Source):
    """A baseline of the environment's domain, by name."""

    prefix = "baseline"
    usage = "baseline:<name>"
    is_seeded = True

    def load(self, rest: str, spec: str, spaces: Spaces, config: Any, seed: int) -> Policy:
        """The baseline of that name."""
        return domain(config.name).baseline(rest, config)

    def identity(self, rest: str) -> str | None:
        """A hash of its name."""
        return digest(self.prefix, rest)

    def is_cacheable(self, rest: str) -> bool:
        """Yes: its domain holds it, and data counts apart."""
        return True
