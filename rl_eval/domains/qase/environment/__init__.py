"""The environment over recorded verdicts: features, the data set of test cycles, vector, and ranking measures."""
