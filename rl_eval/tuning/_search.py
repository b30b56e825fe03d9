"""The search: Optuna's sampler proposes settings, trials are made here or by a launcher, hopeless ones are stopped.

The next trial depends only on the trials before it and on the seed, and is written down before the trial
begins. So in one process the same seed gives the same trials, also across a kill.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rl_eval import config as configs
from rl_eval import run as runs
from rl_eval.cost import Cost, total
from rl_eval.errors import InputError
from rl_eval.extras import imports_of_extra
from rl_eval.hydra_compose import compose
from rl_eval.launchers import TRIES, Launcher, Task, WorkerLostError, launcher_plugin
from rl_eval.metrics import lookup
from rl_eval.tuning._space import Dimension
from rl_eval.tuning._trial import make_trial, require_scores

if TYPE_CHECKING:
    import optuna

FILE = "study.sqlite"
FIRST_TRIALS = 8  # drawn at random and never stopped early
NEVER_PRUNED = 1  # scores of a run that are too early to tell
MAX_TRIALS = 1_000
FIRST_SEED = 770_000  # of training; a gate's test episodes are drawn from streams of their own, for every seed


@dataclass(frozen=True)
class Search:
    """What is searched.

    Attributes:
        conf: the folder of configs.
        fixed: overrides of every trial.
        space: the keys that trials vary.
        folder: of the trials, and of what is remembered of them.
        seed: of the sampler.
        seeds: how many runs a trial has.
    """

    conf: Path
    fixed: tuple[str, ...]
    space: tuple[Dimension, ...]
    folder: Path
    seed: int = 0
    seeds: int = 1

    def settings(self) -> str:
        """What must be the same for a search to go on."""
        incidental = ("hardware", "launcher")
        fixed = [text for text in self.fixed if not text.startswith(incidental)]
        space = [asdict(dimension) for dimension in self.space]
        return json.dumps({"fixed": sorted(fixed), "space": space, "seed": self.seed, "seeds": self.seeds})

    @property
    def training_seeds(self) -> list[int]:
        """The seeds of a trial's runs."""
        return [FIRST_SEED + number for number in range(self.seeds)]


@dataclass(frozen=True)
class TrialResult:
    """One trial that has ended.

    Attributes:
        state: `complete`, `pruned` or `failed`.
        overrides: of its settings.
        value: the mean over its seeds of the best score on validation; None if it did not end.
    """

    number: int
    state: str
    overrides: tuple[str, ...]
    value: float | None
    cost: Cost


@dataclass(frozen=True)
class SearchResult:
    """All trials that have ended, in their order.

    Attributes:
        metric: its name.
        stopped: why the search ended before all trials were made; empty if they were.
    """

    metric: str
    higher_is_better: bool
    trials: tuple[TrialResult, ...] = field(repr=False)
    stopped: str = ""

    @property
    def best(self) -> TrialResult | None:
        """The best that ended."""
        complete = [trial for trial in self.trials if trial.value is not None]
        sign = 1 if self.higher_is_better else -1
        return max(complete, key=lambda trial: sign * float(trial.value or 0.0), default=None)

    @property
    def cost(self) -> Cost:
        """Of all trials; settings that do not go together cost nothing."""
        return total(trial.cost for trial in self.trials if trial.cost.machine_s)


class _Here:
    """Makes calls in this process, one at a time."""

    slots = 1

    def submit(self, task: Task) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(task.call())
        except Exception as error:
            future.set_exception(error)
        return future

    def close(self) -> None:
        pass


def search(what: Search, trials: int, on_trial: Callable[[SearchResult], None] = lambda _: None) -> SearchResult:
    """Make trials until there are enough, or until the budget is spent; goes on with what is in the folder.

    Args:
        trials: in all, those of earlier calls included.
        on_trial: called after each.

    Raises:
        InputError: a trial's config cannot be trained, or the folder is of another search.
        KeyboardInterrupt: a stop signal came; the search can go on later.
    """
    if not 1 <= trials <= MAX_TRIALS:
        raise InputError(f"--trials {trials}: give a number from 1 to {MAX_TRIALS:,}")
    base = configs.load(_values(what, ()))
    require_scores(base)
    metric = lookup(base.validation.metric)
    higher = metric.better == "higher"
    plugin = launcher_plugin(base.launcher.name)
    settings = base.launcher.for_devices(len(base.hardware.devices))
    what.folder.mkdir(parents=True, exist_ok=True)
    with runs.lock(what.folder):
        study = _study(what, higher)
        plugin.check(settings)
        launcher: Launcher = _Here() if plugin.start is None else plugin.start(settings)
        try:
            stopped = _run(what, study, launcher, trials, higher, settings.jobs_at_once(trials), on_trial, metric.name)
        finally:
            launcher.close()
        return _result(study, what, metric.name, higher, stopped)


def _study(what: Search, higher: bool) -> optuna.Study:
    with imports_of_extra("tune", "rl-eval tune"):
        import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    file = (what.folder / FILE).resolve()
    study = optuna.create_study(
        storage=f"sqlite:///{file}",
        study_name="search",
        load_if_exists=True,
        direction="maximize" if higher else "minimize",
    )
    before = study.user_attrs.get("settings")
    if before is None:
        study.set_user_attr("settings", what.settings())
    elif before != what.settings():
        raise InputError(
            f"{what.folder} has a search for other keys, values, settings or seeds: name another folder with "
            "--folder, or repeat its command to continue it"
        )
    return study


def _values(what: Search, overrides: Sequence[str]) -> dict[str, Any]:
    """The composed config of a trial: what tries settings is not judged, and writes to no tracker."""
    values = compose(what.conf, [*what.fixed, *overrides, "judge=off", "tracker=none"])
    every = values["validation"]["every"]
    return {**values, "log_every": min(values["log_every"], every), "keep_snapshots": 1}


def _run(
    what: Search,
    study: optuna.Study,
    launcher: Launcher,
    trials: int,
    higher: bool,
    jobs_at_once: int,
    on_trial: Callable[[SearchResult], None],
    metric: str,
) -> str:
    """Make the trials; returns why it stopped early, or nothing."""
    running: dict[Future[Any], tuple[int, Task, int]] = {}
    begun = [trial.number for trial in _trials(study) if trial.state.name == "RUNNING"]
    stopped = ""
    while True:
        while not stopped and len(running) < launcher.slots:
            number = begun.pop(0) if begun else _next(what, study, trials)
            if number is None:
                break
            task = _task(what, study, number, higher, jobs_at_once)
            running[launcher.submit(task)] = number, task, 1
        if not running:
            return stopped
        ended, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in ended:
            number, task, tries = running.pop(future)
            error = future.exception()
            if isinstance(error, WorkerLostError) and tries < TRIES:
                running[launcher.submit(task)] = number, task, tries + 1
                continue
            stopped = _record(study, number, future, higher) or stopped
            on_trial(_result(study, what, metric, higher, stopped))


def _next(what: Search, study: optuna.Study, trials: int) -> int | None:
    """Propose and write down the next trial; None if there are enough."""
    existing = _trials(study)
    waiting = [trial for trial in existing if trial.state.name == "WAITING"]
    if not waiting and len(existing) >= trials:
        return None
    distributions = {dimension.key: dimension.distribution() for dimension in what.space}
    if not waiting:
        study.enqueue_trial(_proposal(what, study, existing, distributions))
    return study.ask(distributions).number


def _proposal(
    what: Search, study: optuna.Study, existing: Sequence[optuna.trial.FrozenTrial], distributions: Mapping[str, Any]
) -> dict[str, Any]:
    """The parameters of the next trial, from the trials before it and the seed."""
    import optuna

    number = len(existing)
    state = np.random.SeedSequence([what.seed, number]).generate_state(1)[0]
    sampler = optuna.samplers.TPESampler(seed=int(state), n_startup_trials=FIRST_TRIALS)
    memory = optuna.create_study(direction=study.direction, sampler=sampler)
    memory.add_trials([trial for trial in existing if trial.state.name in ("COMPLETE", "PRUNED", "RUNNING")])
    return memory.ask(dict(distributions)).params


def _task(what: Search, study: optuna.Study, number: int, higher: bool, jobs_at_once: int) -> Task:
    trial = _trials(study)[number]
    overrides = [dimension.override(trial.params[dimension.key]) for dimension in what.space]
    places = MAX_TRIALS * what.seeds
    arguments = {
        "values": _values(what, overrides),
        "directory": str(what.folder / "trials" / str(number)),
        "seeds": what.training_seeds,
        "bars": _bars(what, study, higher),
        "spent": [str(what.folder), number * what.seeds, places],
        "jobs_at_once": jobs_at_once,
    }
    return Task(f"{make_trial.__module__}:{make_trial.__name__}", arguments, name=f"trial {number}")


def _bars(what: Search, study: optuna.Study, higher: bool) -> dict[str, list[float | None]]:
    """Seed -> the median of the best scores so far that complete trials had, for each time that a run is scored."""
    complete = [trial for trial in _trials(study) if trial.state.name == "COMPLETE"]
    if len(complete) < FIRST_TRIALS:
        return {}
    bars: dict[str, list[float | None]] = {}
    for index, seed in enumerate(what.training_seeds):
        histories = [_best_so_far(trial.user_attrs["scores"][index], higher) for trial in complete]
        longest = max(map(len, histories), default=0)
        at_each = [[history[min(n, len(history) - 1)] for history in histories if history] for n in range(longest)]
        bars[str(seed)] = [None if n < NEVER_PRUNED else statistics.median(at_each[n]) for n in range(longest)]
    return bars


def _best_so_far(scores: Sequence[float], higher: bool) -> list[float]:
    ufunc = np.maximum if higher else np.minimum
    return [float(score) for score in ufunc.accumulate(scores)] if len(scores) else []


def _record(study: optuna.Study, number: int, future: Future[Any], higher: bool) -> str:
    """Write down how a trial ended; returns why the search must stop, or nothing."""
    import optuna
    from optuna.trial import TrialState

    error = future.exception()
    if isinstance(error, InputError):  # settings that do not go together
        study._storage.set_trial_user_attr(_trials(study)[number]._trial_id, "reason", str(error))
        study.tell(number, state=TrialState.FAIL)
        complete = any(trial.state == TrialState.COMPLETE for trial in _trials(study))
        return "" if complete or number + 1 < FIRST_TRIALS else f"no trial could be trained: {error}"
    if error is not None:
        raise error
    result = future.result()
    trial = optuna.trial.Trial(study, _trials(study)[number]._trial_id)
    for name in ("scores", "runs", "costs", "reason"):
        trial.set_user_attr(name, result[name])
    if result["status"] == "over_budget":
        return f"{result['reason']}"  # it goes on with a larger one
    best = [value for value in result["best"] if value is not None]
    for step, value in enumerate(_best_so_far(result["scores"][0], higher)):
        trial.report(value, step)
    if result["status"] == "pruned":
        study.tell(number, state=TrialState.PRUNED)
    elif result["status"] == "failed" or not best or not all(map(math.isfinite, best)):
        study.tell(number, state=TrialState.FAIL)
    else:
        study.tell(number, sum(best) / len(best))
    return ""


def _trials(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    return study.get_trials(deepcopy=False)


_STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}


def _result(study: optuna.Study, what: Search, metric: str, higher: bool, stopped: str) -> SearchResult:
    ended = [
        TrialResult(
            number=trial.number,
            state=_STATES[trial.state.name],
            overrides=tuple(one.override(trial.params[one.key]) for one in what.space if one.key in trial.params),
            value=trial.value if trial.state.name == "COMPLETE" else None,
            cost=total(Cost(**cost) for cost in trial.user_attrs.get("costs", ())),
        )
        for trial in _trials(study)
        if trial.state.name in _STATES
    ]
    return SearchResult(metric, higher, tuple(ended), stopped)
