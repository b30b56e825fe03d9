"""Train reinforcement-learning agents and prove whether they are good enough."""

__version__ = "0.1.0"
