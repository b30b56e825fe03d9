"""The learning algorithms: torch, numpy and Gymnasium, and nothing of rl_eval."""
