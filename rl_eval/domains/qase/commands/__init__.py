"""The commands `rl-eval qase inspect` and `rl-eval qase prioritise`."""
