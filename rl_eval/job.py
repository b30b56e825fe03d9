"""One job: learn, then judge by every suite of the environment, as far as one run can show."""

from __future__ import annotations

import shutil
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rl_eval import config as configs
from rl_eval import run as runs
from rl_eval import terminal
from rl_eval.errors import InputError
from rl_eval.tracking import open_tracker, verdict_summary
from rl_eval.training import train


def run(values: Mapping[str, Any], directory: Path, *, sweep: Path | None, suites: Path) -> None:
    """Train in `directory`, write `verdict.json` there, and print the criteria.

    What happened is written in the directory: a run that could not begin leaves none behind, and one
    that failed says so in its `run.json`. Errors are printed here, so that the other jobs of a sweep go on.

    Args:
        values: the composed config.
        sweep: the directory of the sweep that the job belongs to, if any.
        suites: the folder of the suites.
    """
    resume = values.get("resume") is not None
    try:
        config = configs.load(runs.read_run(directory).config if resume else values)
        trained = _learn(config, directory, sweep, suites, resume)
    except InputError as error:
        if not (directory / "run.json").exists():
            shutil.rmtree(directory, ignore_errors=True)
        terminal.print_error(str(error))
        return
    except Exception:
        if not (directory / "run.json").exists():
            raise
        traceback.print_exc()
        return
    if trained.info["status"] == "interrupted":
        terminal.print_error(f"interrupted: go on with `python train.py resume={directory}`")
        raise KeyboardInterrupt
    if trained.info["status"] == "failed":
        terminal.print_error(f"training failed: {trained.info['reason']}")


def _learn(config: configs.RunConfig, directory: Path, sweep: Path | None, suites: Path, resume: bool) -> runs.Run:
    """Train, judge, and tell the tracker; the tracker is closed whatever happens."""
    tracker = open_tracker(
        config.tracker, run_dir=directory, config=config.to_dict(), group=sweep.name if sweep else None
    )
    status = "failed"
    try:
        label = f"{config.agent.name} on {config.env.name}, seed {config.seed}"
        points = runs.steps_in(directory / "resume") if resume else []
        start = int(points[-1].name[5:]) if points else 0
        with terminal.Progress(config.total_steps, label, start=start) as progress:

            def on_step(env_steps: int, episode_return_mean: float, score: float) -> None:
                progress.update(env_steps, episode_return_mean=episode_return_mean, select_score=score)

            trained = train(config, directory, tracker=tracker, on_step=on_step, resume=resume)
        status = trained.info["status"]
        results = trained.info["results"] or {}
        tracker.summary({f"results/{name}": value for name, value in results.items()})
        if status == "finished":
            rows = _judge(trained, suites)
            tracker.summary(verdict_summary(rows))
        print(f"run: {directory}")
        return trained
    finally:
        tracker.close(status)


def _judge(trained: runs.Run, suites: Path) -> list[dict[str, Any]]:
    """The verdict of every suite of the run's environment, written beside the run and printed."""
    from rl_eval.gates import ledger
    from rl_eval.gates.consulting import consult
    from rl_eval.gates.judge import judge_one_run
    from rl_eval.gates.selection import Selection, suites_for

    found = suites_for(trained, suites)
    if not found:
        print(f"not judged: no suite in {suites}/ is for this environment; docs/suites.md shows how to write one")
        return []
    trust = ":" in str(trained.config["env"].get("id", ""))  # typed by the person who trained it just now
    with terminal.Progress(None, "judging") as progress:
        verdicts = [judge_one_run(suite, trained, trust=trust, on_episodes=progress.episodes) for suite in found]
    # A sweep that keeps its best run has looked at the gate as often as it has runs.
    verdicts = [consult(ledger.DEFAULT, Selection((trained,)), verdict) for verdict in verdicts]
    runs.write_json(trained.path / "verdict.json", {"suites": [v.to_json() for v in verdicts]})
    rows = [row for verdict in verdicts for row in verdict.rows()]
    terminal.print_verdict(rows)
    return rows
