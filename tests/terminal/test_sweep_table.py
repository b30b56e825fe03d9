"""The table of runs at the end of a sweep."""

import math
from pathlib import Path

import pytest

from rl_eval.run import Run
from rl_eval.terminal import sweep_table
from tests.terminal.streams import rendered


def run(job, *, lr=1e-3, mean=100.0, status="finished", score=0.5, **config):
    info = {"status": status, "env_steps": 200_000, "wall_s": 41.23, "steps_per_s": 4850.9}
    info["results"] = None if mean is None else {"mean": mean, "std": 3.2, "f1": score}
    resolved = {"lr": lr, "seed": 42, "agent": {"name": "ppo", "lr": lr}, "env": {"name": "threat"}}
    resolved |= {"validation": {"metric": "f1"}, **config}
    return Run(Path(f"/there/outputs/{job}_lr={lr}"), info, resolved)


def test_runs_are_in_the_order_of_their_jobs_and_the_best_is_marked():
    runs = [run(10, lr=3e-3, mean=120.0), run(2, lr=1e-3, mean=231.94), run(0, lr=3e-4, mean=math.nan)]
    runs.append(run(1, lr=1e-2, mean=None, status="failed"))
    rows = rendered(
        sweep_table(
            runs,
            {runs[0].path: [{"decision": "PASS"}, *[{"decision": "FAIL", "part": "validation"}] * 5]},
            best=runs[1].path,
            metric="f1",
        ),
        width=120,
    ).splitlines()
    body = [line.split() for line in rows[2:6]]
    assert [line[0] for line in body] == ["0_lr=0.0003", "1_lr=0.01", "*", "10_lr=0.003"]
    assert [line[-1] for line in body] == ["finished", "failed", "finished", "finished"]
    assert body[2][1:6] == ["2_lr=0.001", "0.001", "200,000", "0.5", "231.9"]
    assert body[3][-2] == "1/6"
    assert body[2][-2] == "-"
    assert "nan" in body[0]
    names = ["run", "lr", "env_steps", "validation", "mean", "std", "wall_s", "steps/s", "criteria", "status"]
    assert rows[0].split() == names
    assert [line.strip() for line in rows[6:]] == [
        "* the best on validation (f1)", "criteria: judged on test and validation",
    ]  # fmt: skip


def test_what_is_not_checked_is_no_criterion_that_could_pass():
    runs = [run(0), run(1)]
    rows = [{"decision": decision} for decision in ("PASS", "FAIL", "NOT_CHECKED")]
    text = rendered(sweep_table(runs, {runs[0].path: rows, runs[1].path: rows[2:]}), width=120)
    assert "1/2" in text
    assert "criteria: judged on test" in text
    assert "1/3" not in text
    assert "0/" not in text


def test_without_a_best_run_none_is_marked():
    text = rendered(sweep_table([run(0), run(1, score=None)]), width=120)
    assert "*" not in text
    assert "judged on" not in text


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_narrow_terminal_gives_up_columns_not_results(width):
    extra = {f"k{i}": 0 for i in range(3)}
    runs = [run(job, lr=10.0**-job, mean=job, env={"name": "threat", **extra, "k1": job}) for job in range(1, 4)]
    lines = rendered(sweep_table(runs), width=width).splitlines()
    assert max(len(line.rstrip()) for line in lines) <= width
    for column in ("run", "lr", "env.k1", "validation", "criteria", "status"):
        assert column in lines[0].split()
    assert ("steps/s" in lines[0]) == ("not shown" not in lines[-1])


def test_an_empty_sweep_and_a_lone_run_are_tables_too():
    assert "status" in rendered(sweep_table([]))
    assert "0_lr=0.001" in rendered(sweep_table([run(0)]), width=120)
