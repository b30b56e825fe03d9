"""Train an agent and write its run directory.

An agent is anything with the methods of `Agent`; which one is named by the config and loaded by name,
so this package knows no algorithm.
"""

from rl_eval.training._agent import Agent
from rl_eval.training._loop import Training, train
from rl_eval.training._replay import replay
from rl_eval.training._stopping import not_written

__all__ = ["Agent", "Training", "not_written", "replay", "train"]
