"""Vector environments: what steps N copies, whatever the domain; their contract is `rl_eval.domains.Domain.make`."""

from rl_eval.envs.protocols import RankingVector, StatefulVector

__all__ = ["RankingVector", "StatefulVector"]
