"""The environment over recorded verdicts: features of cases, data set of test cycles, vector, ranking measures."""
