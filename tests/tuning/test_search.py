"""The search, with trials that are computed and not trained."""

import math
import statistics
from concurrent.futures import Future
from dataclasses import replace
from typing import Literal

import pytest
import yaml

from rl_eval import run as runs
from rl_eval.cost import Cost
from rl_eval.errors import InputError
from rl_eval.hydra_compose import compose
from rl_eval.launchers import LAUNCHERS, LauncherPlugin, LauncherSettings, WorkerLostError
from rl_eval.tuning import Search, SearchResult, TrialResult, preset_text, read_space, require_free, search
from tests.training.learn import ROOT

pytest.importorskip("optuna")
SPACE = ["lr=tag(log,interval(1e-5,1e-1))", "agent.n_steps=32,64,128"]
FIXED = ["env=cartpole", "total_steps=8192", "validation.every=2048", "launcher.name=computed"]


class ComputedSettings(LauncherSettings):
    name: Literal["computed"] = "computed"


class Computed:
    """Scores that are a function of the settings, the best at lr = 1e-3; `stops` ends the process at a trial."""

    slots, stops, loses, made, bars = 1, None, (), [], {}

    def submit(self, task):
        future = Future()
        number = int(task.arguments["directory"].rpartition("/")[2])
        if number == type(self).stops:
            raise KeyboardInterrupt
        if number in type(self).loses:
            type(self).loses = ()
            future.set_exception(WorkerLostError("lost"))
            return future
        type(self).bars[number] = task.arguments["bars"]
        values, seeds = task.arguments["values"], task.arguments["seeds"]
        if values["agent"]["n_steps"] == 128:
            future.set_exception(InputError("not together"))
            return future
        top = 500 - 100 * abs(math.log10(values["lr"]) + 3) - values["agent"]["n_steps"] / 64
        scores, status = [], "finished"
        for seed in seeds:
            scores.append([])
            for index in range(4):
                scores[-1].append(top * (index + 1) / 4)
                bars = task.arguments["bars"].get(str(seed), [])
                if index < len(bars) and bars[index] is not None and scores[-1][-1] < bars[index]:
                    status = "pruned"
                    break
            if status == "pruned":
                break
        costs = [
            {"machine_s": len(row), "energy_wh": None, "money": 0.1 * len(row), "currency": "USD"} for row in scores
        ]
        best = [max(row) for row in scores]
        future.set_result(
            {"status": status, "reason": None, "scores": scores, "best": best, "runs": [], "costs": costs}
        )
        type(self).made.append(number)
        return future

    def close(self):
        pass


@pytest.fixture(autouse=True)
def launcher(monkeypatch):
    plugin = LauncherPlugin(settings=ComputedSettings, start=lambda _: Computed())
    monkeypatch.setitem(LAUNCHERS._registered, "computed", plugin)
    monkeypatch.setattr(Computed, "stops", None)
    monkeypatch.setattr(Computed, "loses", ())
    monkeypatch.setattr(Computed, "made", [])
    monkeypatch.setattr(Computed, "bars", {})


def what(folder, **changes):
    space, _ = read_space(SPACE)
    return replace(Search(ROOT / "conf", tuple(FIXED), tuple(space), folder, seed=3), **changes)


def rows(result):
    return [(trial.number, trial.state, trial.overrides, trial.value) for trial in result.trials]


@pytest.mark.verify
def test_a_seed_gives_the_same_trials_also_across_a_stop(tmp_path, monkeypatch):
    whole = search(what(tmp_path / "whole"), 11)
    for stop in (3, 9):
        monkeypatch.setattr(Computed, "stops", stop)
        with pytest.raises(KeyboardInterrupt):
            search(what(tmp_path / "parts"), 11)
    monkeypatch.setattr(Computed, "stops", None)
    assert rows(search(what(tmp_path / "parts"), 11)) == rows(whole)
    assert [trial.number for trial in whole.trials] == list(range(11))
    other = search(what(tmp_path / "other", seed=4), 2)
    assert rows(other) != rows(whole)[:2]


@pytest.mark.verify
def test_later_trials_are_held_to_the_median_of_complete_ones(tmp_path):
    result = search(what(tmp_path), 18)
    assert result.best.value == max(trial.value for trial in result.trials if trial.value is not None)
    assert "failed" in {trial.state for trial in result.trials}  # settings that do not go together end no search
    assert result.cost.machine_s == sum(trial.cost.machine_s for trial in result.trials)
    assert result.cost.currency == "USD"
    complete = [trial.value for trial in result.trials if trial.state == "complete"]
    first = next(number for number, bars in sorted(Computed.bars.items()) if bars)
    before = [trial.value for trial in result.trials if trial.number < first and trial.state == "complete"]
    assert len(before) == 8 <= len(complete)
    # Scores grow evenly to the last, which is the value.
    medians = [statistics.median(before) * share for share in (0.5, 0.75, 1.0)]
    assert Computed.bars[first]["770000"] == [None, *map(pytest.approx, medians)]


@pytest.mark.verify
def test_a_lost_worker_is_replaced(tmp_path, monkeypatch):
    whole = search(what(tmp_path / "whole"), 4)
    monkeypatch.setattr(Computed, "loses", (2,))
    assert rows(search(what(tmp_path / "lost"), 4)) == rows(whole)


@pytest.mark.verify
def test_several_seeds_a_trial(tmp_path):
    result = search(what(tmp_path, seeds=3), 3)
    complete = [trial for trial in result.trials if trial.state == "complete"]
    assert all(trial.cost.machine_s == 12 for trial in complete)


def test_more_trials_go_on_with_those_before(tmp_path):
    search(what(tmp_path), 3)
    Computed.made.clear()
    assert len(search(what(tmp_path), 5).trials) == 5
    assert set(Computed.made) <= {3, 4}


def test_another_search_in_the_folder_is_refused(tmp_path):
    search(what(tmp_path), 1)
    with pytest.raises(InputError, match="has a search for other keys"):
        search(what(tmp_path, seed=9), 1)


def test_a_trial_without_a_score_is_refused(tmp_path):
    with pytest.raises(InputError, match="would have no score"):
        search(what(tmp_path, fixed=(*FIXED, "total_steps=1000")), 1)


def test_the_preset_sets_what_differs_and_is_read_by_hydra(tmp_path):
    trial = TrialResult(0, "complete", ("lr=0.003", "agent.n_steps=64"), 480.0, Cost(1.0))
    result = SearchResult("mean_return", True, (trial,))
    defaults = compose(ROOT / "conf", ["env=cartpole", "agent=ppo", "~tuned"])
    values = compose(ROOT / "conf", ["env=cartpole", "agent=ppo", "total_steps=5000", *trial.overrides])
    folder = tmp_path / "tuned"
    folder.mkdir()
    text = preset_text(result, trial, values, defaults, [1, 2])
    (folder / "mine.yaml").write_text(text)
    overrides = ["env=cartpole", "agent=ppo", "tuned=mine", f"hydra.searchpath=[file://{tmp_path}]"]
    composed = compose(ROOT / "conf", overrides)
    assert composed["agent"] == {**values["agent"], "lr": 0.003}
    assert (composed["total_steps"], composed["validation"]) == (5000, values["validation"])
    assert yaml.safe_load(text)["agent"]["n_steps"] == 64
    assert "480" in text


def test_no_file_of_anybody_is_overwritten(tmp_path):
    require_free(tmp_path / "new.yaml")
    (tmp_path / "own.yaml").write_text("# @package _global_\nlr: 1\n")
    for name in ("own.yaml", "own.txt"):
        with pytest.raises(InputError):
            require_free(tmp_path / name)


def test_what_was_remembered_is_a_file_of_ours_alone(tmp_path):
    search(what(tmp_path), 1)
    assert {path.name for path in tmp_path.iterdir()} == {"study.sqlite", "run.lock"}
    with runs.lock(tmp_path):
        pass
