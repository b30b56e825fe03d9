"""The buffers and calls that the replay benchmark times."""

import json

import numpy as np
import pytest

from benchmarks import replay


def test_the_buffer_is_full_and_its_priorities_are_all_different():
    buffer = replay.filled(4000)
    arrays, _ = buffer.state()
    assert len(arrays["obs"]) == buffer.size == 4000
    assert len(buffer) > 3900  # the rest are fillers and the newest
    assert len(np.unique(arrays["priorities"])) > 3900


def test_ours_samples_and_updates():
    call = replay.ours(4000)
    first, second = call(), call()
    assert first.obs.shape == (replay.BATCH, replay.OBS)
    assert not np.array_equal(first.index, second.index)
    assert len(np.unique(first.weights)) > 100


def test_results_have_every_side(capsys, monkeypatch):
    pytest.importorskip("stable_baselines3")
    monkeypatch.setattr("benchmarks.gae.SLICE_S", 0.002)
    replay.main(["--capacity", "4000", "--rounds", "1", "--json"])
    results = json.loads(capsys.readouterr().out)
    assert all(results["prioritised"][name]["median"] > 0 for name in ("ours", "ours, 3 steps"))
    for heading in ("uniform", "add, 8 copies", "add, 64 copies"):
        assert results[heading]["ratio"]["median"] > 0
