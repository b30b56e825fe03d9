"""Generated data: a web shop's test cases and their simulated history."""
