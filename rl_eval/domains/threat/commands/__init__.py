"""The command `rl-eval threat inspect`."""
