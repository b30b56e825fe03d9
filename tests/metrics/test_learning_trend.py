"""The metric `learning_trend`: the p-value of a run's training curve."""

from __future__ import annotations

import numpy as np
import pytest

from rl_eval.metrics import MetricUndefined, lookup
from tests.gates.fake_runs import write_run


def trend_of(tmp_path, returns):
    run = write_run(tmp_path / "run")
    ended = np.cumsum(~np.isnan(returns))
    rows = "\n".join(f"{i},{'' if np.isnan(value) else value},{ended[i]}" for i, value in enumerate(returns))
    (run.path / "metrics.csv").write_text(f"env_steps,episode_return_new,episodes\n{rows}\n")
    return lookup("learning_trend").compute(run)


def test_a_rise_is_distinguished_from_a_flat_curve(tmp_path):
    noise = np.random.default_rng(0).normal(size=200)
    assert trend_of(tmp_path / "rise", np.arange(200) / 20 + noise) < 0.011
    assert trend_of(tmp_path / "flat", noise) > 0.05
    assert trend_of(tmp_path / "fall", noise - np.arange(200) / 20) > 0.9


def test_rows_before_the_first_episode_ended_do_not_count(tmp_path):
    rising = np.arange(50.0)
    late = np.concatenate([np.full(30, np.nan), rising])
    assert trend_of(tmp_path / "a", late) == trend_of(tmp_path / "b", rising)


def test_too_short_a_curve_has_no_trend(tmp_path):
    with pytest.raises(MetricUndefined, match=r"learning_trend is undefined: .*metrics\.csv: a trend over 2 values"):
        trend_of(tmp_path, np.arange(2.0))
