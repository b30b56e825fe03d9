"""The embedded data: test cases of a web shop and their simulated history."""
