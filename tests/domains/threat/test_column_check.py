"""Columns that are nearly unique, or that predict the label alone, are named before training."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

from rl_eval.domains import threat
from rl_eval.domains.threat.column_check import column_notes, level_accuracy, threshold_accuracy
from rl_eval.domains.threat.flow_table import Table

ROWS = 400
LABEL = (np.random.default_rng(0).random(ROWS) < 0.3).astype(np.int8)


def table_of(numeric=None, text=None):
    numeric, text = numeric or {}, text or {}
    levels = {name: sorted(set(values)) for name, values in text.items()}
    codes = [[levels[name].index(value) for value in values] for name, values in text.items()]
    return Table(
        numeric_names=tuple(numeric),
        numeric=np.array(list(numeric.values()), float).reshape(len(numeric), ROWS).T,
        categorical_names=tuple(text),
        levels=tuple(tuple(values) for values in levels.values()),
        codes=np.array(codes, np.int32).reshape(len(text), ROWS).T,
        label=LABEL,
        category_names=("a",),
        category=np.zeros(ROWS, np.int16),
    )


RNG = np.random.default_rng(1)


@pytest.mark.parametrize(
    ("numeric", "text", "words"),
    [
        ({"id": np.arange(ROWS)}, {}, ["'id'", "distinct"]),
        ({"seconds": 1.7e9 + np.cumsum(RNG.exponential(size=ROWS))}, {}, ["'seconds'", "distinct"]),
        ({"seconds_left": -np.cumsum(RNG.exponential(size=ROWS))}, {}, ["'seconds_left'", "distinct"]),
        ({}, {"uid": [f"flow {i}" for i in range(ROWS)]}, ["'uid'", "distinct"]),
        ({"attack_code": np.where(LABEL == 1, RNG.choice([1, 2, 7, 8], ROWS), 5)}, {}, ["'attack_code'", "predicts"]),
        ({}, {"attack_cat": np.where(LABEL == 1, "worm", "normal").tolist()}, ["'attack_cat'", "predicts"]),
        ({"score": LABEL + 0.5 * RNG.random(ROWS)}, {}, ["'score'", "predicts"]),
        ({"bytes": RNG.lognormal(size=ROWS)}, {"proto": RNG.choice(["tcp", "udp"], ROWS).tolist()}, None),
        ({"port": RNG.integers(0, 300, ROWS)}, {}, None),
        ({"good": LABEL + 1.2 * RNG.random(ROWS)}, {}, None),
    ],
)
def test_suspicious_columns_are_named_and_others_are_not(numeric, text, words):
    notes = column_notes(table_of(numeric, text))
    assert len(notes) == (words is not None)
    for word in words or ():
        assert word in notes[0]


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=40))
def test_accuracies_are_those_of_the_best_rule(pairs):
    values, label = np.array([v for v, _ in pairs]), np.array([int(y) for _, y in pairs])
    if len(set(label.tolist())) < 2:
        return
    rules = [values > bar for bar in range(-1, 5)]
    best = max(balanced_accuracy_score(label, rule ^ turned) for rule in rules for turned in (False, True))
    assert threshold_accuracy(values.astype(float), label) == pytest.approx(best)
    ten = np.repeat(values, 10), np.repeat(label, 10)  # no value is rare
    rules = [np.isin(values, [v for v in range(5) if bits >> v & 1]) for bits in range(32)]
    assert level_accuracy(*ten) == pytest.approx(max(balanced_accuracy_score(label, rule) for rule in rules))


def test_notes_come_from_the_file_of_the_config(tmp_path):
    rows = [
        f"{i},{RNG.normal():.4f},{1.7e9 + i * 0.37:.2f},2026-01-01T{i // 60:02}:{i % 60:02}:00,"
        f"{'worm' if y else 'normal'},{y}"
        for i, y in enumerate(LABEL.tolist())
    ]
    (tmp_path / "flows.csv").write_text("\n".join(["id,size,seconds,date,attack_cat,label", *rows]))
    config = threat.Config(data="csv", path=str(tmp_path / "flows.csv"), label="label")
    named = ["id", "seconds", "attack_cat"]
    date, *others = threat.DOMAIN.notes(config)
    assert date.startswith("read date as hour and weekday")
    assert [note.split("'")[1] for note in others] == named
    assert ["env.times" in note for note in others] == [False, True, False]
    clean = config.model_copy(update={"ignore": ("date", *named)})
    assert threat.DOMAIN.notes(clean) == ()
    assert threat.DOMAIN.notes(threat.Config()) == ()
