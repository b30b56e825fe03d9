"""The commands of `rl-eval qase`: inspect a project, and order the cases of its next cycle."""
