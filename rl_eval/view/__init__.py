"""A local page over all runs: a table, curves while training, comparisons, the history of suites, and the ledger.

It reads the outputs and writes only the index of runs. Everything in a run directory may come from anyone. So
every value is escaped, runs are named by a hash of their path, and the content security policy allows only
the page's own script file.
"""

from rl_eval.view.serve import serve

__all__ = ["serve"]
