"""The commands `rl-eval prompt …`."""
