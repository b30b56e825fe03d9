"""The commands `rl-eval webtest …`."""
