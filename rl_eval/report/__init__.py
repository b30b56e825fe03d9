"""One self-contained HTML page on a run, or on several.

    write_report([Path("outputs/<date>/<run>")])

`page` and `charts` are the parts of every page; `one_run` and `several_runs` are the two pages.
"""

from rl_eval.report.report_file import write_report

__all__ = ["write_report"]
