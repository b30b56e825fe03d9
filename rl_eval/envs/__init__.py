"""Vector environments that step N copies, for every domain; their contract is in `rl_eval.domains.Domain.make`."""

from rl_eval.envs.protocols import RankingVector, StatefulVector

__all__ = ["RankingVector", "StatefulVector"]
