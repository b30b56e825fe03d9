"""One job of `train.py`: train, judge by every suite of the environment, report."""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml

from rl_eval import config as configs
from rl_eval import diagnostics, domains, terminal
from rl_eval import run as runs
from rl_eval.cost import Budget, Meter, recorded_cost
from rl_eval.device_queue import free_device
from rl_eval.errors import InputError, failure
from rl_eval.gates import ledger
from rl_eval.gates.baseline_suite import baseline_suite
from rl_eval.gates.evaluation import evaluate_run
from rl_eval.gates.judge_command import judge_command
from rl_eval.gates.selection import Selection
from rl_eval.gates.suite_files import suites_for
from rl_eval.machine import machine_rate
from rl_eval.memory import out_of_memory
from rl_eval.override_text import override, shell_word, training_command
from rl_eval.production.audit.runs import append_end, append_training, append_verdict
from rl_eval.rewards import RewardFunction
from rl_eval.tracking import Tracker, confusion_plot, evidence_plots, open_tracker, verdict_summary
from rl_eval.training import train

# The status of a run -> the word at the end of its progress line.
_OUTCOMES = {"finished": "done", "interrupted": "interrupted", "failed": "failed", "over_budget": "stopped"}


def run(
    values: Mapping[str, Any],
    directory: Path,
    *,
    sweep: Path | None,
    suites: Path,
    jobs_at_once: int = 1,
    end: bool = True,
) -> str | None:
    """Train in `directory`, write `verdict.json` there, and print the criteria.

    The directory shows the result: a run that could not begin leaves none behind, and the `run.json` of one that
    failed says so. Errors are printed here, so that the other jobs of a sweep go on. A job outside a sweep then ends
    the process with status 2 (bad input) or 1.

    Args:
        values: the composed config.
        sweep: the directory of the sweep that the job belongs to, if any.
        suites: the folder of the suites.
        jobs_at_once: how many jobs of the sweep share this machine.
        end: whether a job outside a sweep that cannot be trained ends the process.

    Returns:
        The sentence that was printed on why the run was not trained or judged to its end; None if there is none.
    """
    resume = values.get("resume") is not None
    try:
        with runs.lock(directory):
            config = configs.load(_recorded_values(values, directory) if resume else values)
            if config.judge is None:
                config = config.model_copy(update={"judge": "validation" if sweep else "test"})
            with _on_a_device(config) as config, _metered(config, directory, sweep, jobs_at_once) as meter:
                if not resume and meter.over_budget():
                    raise _BudgetSpentError(f"{directory} is not started: the budget of {meter.budget} is spent")
                trained = _learn(config, directory, sweep, suites, resume, meter)
    except _BudgetSpentError as error:
        runs.discard_directory(directory)
        terminal.print_error(str(error))
        return str(error)
    except KeyboardInterrupt:
        if (directory / "run.json").exists():
            terminal.print_error(_interrupted(directory, suites))
        raise
    except InputError as error:
        if not resume and not (directory / "run.json").exists():
            runs.discard_directory(directory)
        terminal.print_error(str(error))
        if not _finished(directory):
            _end(2, end and sweep is None)
        return str(error)
    except (OSError, MemoryError, RuntimeError) as error:
        reason = runs.storage_error(error) or out_of_memory(error)
        if reason is None:
            if not (directory / "run.json").exists():
                raise
            traceback.print_exc()
            return failure(error)
        if not (directory / "run.json").exists():
            runs.discard_directory(directory)
            sentence = f"{reason}: make room, or name another folder with hydra.run.dir=..."
            terminal.print_error(sentence)
            _end(2, end and sweep is None)
            return sentence
        sentence = f"{reason}: make room, then judge the run with {_judged_with(directory, suites)}"
        terminal.print_error(sentence)
        _end(1, end and sweep is None)
        return sentence
    except Exception as error:
        if not (directory / "run.json").exists():
            raise
        traceback.print_exc()
        return failure(error)
    if trained.info["status"] == "interrupted":
        terminal.print_error(_interrupted(directory, suites))
        raise KeyboardInterrupt
    if trained.info["status"] == "over_budget":
        sentence = over_budget_sentence(trained)
        terminal.print_error(sentence)
        return sentence
    if trained.info["status"] == "failed":
        sentence = f"training failed: {trained.info['reason']}"
        terminal.print_error(sentence)
        return sentence
    return None


class _BudgetSpentError(Exception):
    """The jobs of a sweep have spent its budget before this one began."""


def _recorded_values(values: Mapping[str, Any], directory: Path) -> Mapping[str, Any]:
    """The config of a run that goes on; a budget that is given for it now is written into it."""
    recorded = runs.read_run(directory).config
    budget = values.get("hardware", {}).get("budget")
    if budget is None:
        return recorded
    recorded = {**recorded, "hardware": {**recorded.get("hardware", {}), "budget": budget}}
    configs.load(recorded)  # before it is written
    runs.write_text(directory / "config.yaml", yaml.safe_dump(recorded, sort_keys=False))
    return recorded


@contextlib.contextmanager
def _on_a_device(config: configs.RunConfig) -> Iterator[configs.RunConfig]:
    """The config with a device that no other job has, where it names several."""
    if not config.hardware.devices:
        yield config
        return
    with free_device(
        config.hardware.devices, waiting=lambda: _note("all of hardware.devices are taken: waiting for one")
    ) as device:
        yield config.model_copy(update={"hardware": config.hardware.model_copy(update={"device": device})})


@contextlib.contextmanager
def _metered(config: configs.RunConfig, directory: Path, sweep: Path | None, jobs_at_once: int) -> Iterator[Meter]:
    """The meter of a run; with a budget, of what all jobs of its sweep spend."""
    rate = machine_rate(config.hardware, jobs_at_once)
    if config.hardware.budget is None:
        yield Meter(rate)
        return
    names = [job.name for job in runs.sweep_jobs(sweep)] if sweep is not None else [directory.name]
    with runs.open_spent(sweep or directory, names.index(directory.name), len(names)) as spent_file:
        yield Meter(rate, Budget.parse(config.hardware.budget), spent_file)


def over_budget_sentence(stopped: runs.Run) -> str:
    """Why a run stopped at its budget, and the command with which it goes on."""
    budget = Budget.parse(stopped.config["hardware"]["budget"])
    larger = float(f"{2 * max(budget.amount, budget.used_by(recorded_cost(stopped).total)):.2g}")
    more = override("hardware.budget", str(Budget(larger, budget.unit)))
    command = training_command([override("resume", stopped.path), more])
    return (
        f"stopped at the end of an iteration, because {stopped.info['reason']}: continue with a larger one, such as "
        f"`{command}`"
    )


def _interrupted(directory: Path, suites: Path) -> str:
    if _finished(directory):
        return f"interrupted after training: judge the run with {_judged_with(directory, suites)}"
    return f"interrupted: continue with `{runs.resume_command(directory)}`"


def _judged_with(directory: Path, suites: Path) -> str:
    try:
        config = runs.read_run(directory).config
    except InputError:
        config = {}
    return judge_command(config, directory, suites)


def _end(status: int, end: bool) -> None:
    """End the process, except in a sweep, whose other jobs continue."""
    if end:
        sys.exit(status)


def _finished(directory: Path) -> bool:
    try:
        return runs.read_run(directory).finished
    except InputError:
        return False


def _note(sentence: str) -> None:
    terminal.print_labelled(terminal.console_for(stderr=True), "note:", sentence)


def _learn(
    config: configs.RunConfig, directory: Path, sweep: Path | None, suites: Path, resume: bool, meter: Meter
) -> runs.Run:
    """Train, judge, and log to the tracker, which is closed in any case."""
    tracker = open_tracker(
        config.tracker, run_dir=directory, config=config.to_dict(), group=sweep.name if sweep else None
    )
    status = "failed"
    try:
        domain = domains.domain(config.env.name)
        reward = RewardFunction.from_config(config.reward["terms"])
        for sentence in (*domain.notes(config.env), *domain.reward_notes(config.env, reward)):
            _note(sentence)
        if resume and _finished(directory):  # it only has to be judged
            trained = runs.read_run(directory)
            meter.add_earlier(runs.read_record(directory))
            meter.end_training()
        else:
            append_training("training_began", str(directory), config.to_dict(), resume=resume)
            trained = _train(config, directory, tracker, resume, meter)
        append_end(trained)
        status = trained.info["status"]
        results, rows = trained.info["results"] or {}, []
        tracker.summary({f"results/{name}": value for name, value in results.items()})
        if status == "finished":
            rows = _judge(trained, suites, config.judge or "test", meter, in_sweep=sweep is not None)
            _record_cost(directory, meter)
            tracker.summary(verdict_summary(rows))
            if tracker.draws:
                tracker.log_plots([*evidence_plots(rows), *_confusion(directory)])
            tracker.log_files("policy", _files(trained.judged_snapshot()) | _present(directory, "config.yaml"))
        if (text := runs.trials_text(trained)) is not None:
            terminal.print_labelled(terminal.console_for(), "trials:", text)
        if status == "failed" or any(row["decision"] in ("FAIL", "INCONCLUSIVE") for row in rows):
            _doctor(directory)
        terminal.print_line(f"run: {directory}")
        if status != "interrupted":
            _report(directory)
            tracker.log_files("report", _present(directory, "report.html", "verdict.json", "run.json", "metrics.csv"))
        return trained
    finally:
        tracker.close(status)


def _train(config: configs.RunConfig, directory: Path, tracker: Tracker, resume: bool, meter: Meter) -> runs.Run:
    """Train, or go on, with a line on how far it is."""
    label = f"{config.agent.name} on {config.env.name}, seed {config.seed}"
    points = runs.step_directories(directory / "resume") if resume else []
    start = runs.step_of(points[-1]) if points else 0
    early = config.validation.stop_at is not None
    with terminal.ProgressLine(config.total_steps, label, start=start, may_end_early=early) as progress:

        def on_step(env_steps: int, episode_return_mean: float, score: float) -> None:
            progress.update(env_steps, episode_return_mean=episode_return_mean, validation_score=score)

        trained = train(config, directory, tracker=tracker, on_step=on_step, notice=_note, resume=resume, meter=meter)
        progress.outcome = _OUTCOMES[trained.info["status"]]
        return trained


def _record_cost(directory: Path, meter: Meter) -> None:
    """Add to the record of a run what it took to judge it."""
    meter.used()
    runs.write_json(directory / "run.json", {**runs.read_run(directory).info, "cost": meter.to_json()})


def _confusion(directory: Path) -> list[Any]:
    """The confusion table of the judged policy on episodes that no gate plays, if the domain has labels."""
    from rl_eval.report.behaviour import observe

    try:
        behaviour = observe(runs.read_record(directory), trust=True)  # the person who trained it typed what it names
    except InputError as error:
        _note(f"no confusion matrix was drawn ({error})")
        return []
    cases = behaviour.confusion
    return [confusion_plot(cases.tp, cases.fp, cases.fn, cases.tn, behaviour.part)] if cases else []


def _files(folder: Path) -> dict[str, Path]:
    return {path.name: path for path in sorted(folder.iterdir()) if path.is_file()}


def _present(directory: Path, *names: str) -> dict[str, Path]:
    return {name: directory / name for name in names if (directory / name).is_file()}


def _doctor(directory: Path) -> None:
    """Say what doctor finds first; the report and `rl-eval doctor` have the rest."""
    try:
        findings = diagnostics.all_findings(diagnostics.read(directory, trust=True))  # they typed what it names
    except InputError as error:
        _note(f"doctor could not examine the run ({error})")
        return
    for finding in [finding for finding in findings if finding.severity != "note"][:2]:
        label, _, sentence = diagnostics.sentence(finding).partition(" ")
        terminal.print_labelled(terminal.console_for(), label, sentence)


def _report(directory: Path) -> None:
    """Write the page on the run; an error is a note, and does not fail the job."""
    from rl_eval.report import write_report

    try:
        terminal.print_line(
            f"report: {write_report([directory], trust=True)}"
        )  # the person who trained it typed what it names
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        _note(f"no report was written ({reason}): try `rl-eval report {shell_word(directory)}`")


def _judge(
    trained: runs.Run, suites: Path, judge: Literal["test", "validation", "off"], meter: Meter, *, in_sweep: bool
) -> list[dict[str, Any]]:
    """The verdict of every suite of the run's environment, written to `verdict.json` and printed.

    Args:
        judge: `test`, `validation` or `off`: what the suites play.
        meter: counts what it takes.
        in_sweep: whether the run is a job of a sweep, whose end says how to judge the best job.
    """
    matching_suites = suites_for(trained, suites)
    if not matching_suites and (beside_baselines := baseline_suite(trained.config)) is not None:
        matching_suites = [beside_baselines]
        if judge != "off":
            _note(
                f"no suite in {suites}/ is for this environment, so the run is compared with baselines; docs/suites.md "
                "shows how to say what is good enough"
            )
    if not matching_suites:
        terminal.print_labelled(
            terminal.console_for(),
            "not judged:",
            f"no suite in {suites}/ is for this environment; docs/suites.md shows how to write one",
            indent=2,
        )
        return []
    if judge == "off":
        if not in_sweep:
            terminal.print_line(f"not judged (judge=off): {_judged_with(trained.path, suites)} judges on the test set")
        return []
    # the person who trained it just now typed what it names
    trust = domains.needs_trust(domains.validate(trained.config["env"])) is not None
    with terminal.ProgressLine(None, "judging") as progress:
        verdicts = []
        for suite in matching_suites:
            with meter.judge(suite.name):
                verdict = evaluate_run(suite.on_part(judge), trained, trust=trust, on_episodes=progress.episodes)
            verdicts.append(verdict)
    # A run that is kept for its verdict on the test set has used that set; one on validation has not.
    verdicts = [ledger.record_verdict(ledger.DEFAULT, Selection((trained,)), verdict) for verdict in verdicts]
    runs.write_json(trained.path / "verdict.json", {"suites": [v.to_json() for v in verdicts]})
    for verdict in verdicts:
        append_verdict("train.py", verdict)
    rows = [row for verdict in verdicts for row in verdict.rows()]
    terminal.print_verdict(rows, {verdict.suite: verdict.facts() for verdict in verdicts})
    if judge == "validation" and not in_sweep:
        terminal.print_line(
            f"this verdict is not about the test set (judge=validation): {_judged_with(trained.path, suites)} gives it"
        )
    return rows
