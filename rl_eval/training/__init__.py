"""Train an agent and write its run directory.

An agent is anything with the methods of `Agent`; which one is named by the config and loaded by name,
so this package knows no algorithm.
"""

from rl_eval.training._agent import Agent
from rl_eval.training._init_from_run import InitialPolicy, parent_run, take_over
from rl_eval.training._ranks import leading
from rl_eval.training._retraining import replay
from rl_eval.training._together import train_together
from rl_eval.training._train import train
from rl_eval.training._training_loop import Training

__all__ = [
    "Agent",
    "InitialPolicy",
    "Training",
    "leading",
    "parent_run",
    "replay",
    "take_over",
    "train",
    "train_together",
]
