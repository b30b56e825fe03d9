"""The fields of a flow, told again from its observation."""

import numpy as np
import pytest

from rl_eval.domains import domain
from rl_eval.domains.threat import preprocess
from rl_eval.domains.threat.flow_table import Table
from rl_eval.errors import InputError

ROWS = 400


def table(*, missing=False):
    rng = np.random.default_rng(0)
    numeric = np.stack([rng.lognormal(6, 3, ROWS), rng.normal(50, 4, ROWS), rng.integers(0, 9, ROWS)], axis=1)
    numeric[0, 1] = 1e6  # clipped, whatever is fitted
    if missing:
        numeric[5, 2] = np.nan
    codes = rng.integers(0, 2, (ROWS, 1)).astype(np.int32)
    codes[:3] = 2  # too rare for a level
    label = np.zeros(ROWS, np.int8)
    return Table(("bytes", "age", "ports"), numeric, ("protocol",), (("tcp", "udp", "icmp"),), codes, label, ("x",),
                 label.astype(np.int16))  # fmt: skip


def told(fitted, observation):
    return domain("threat").raw_fields(fitted.to_json(), observation)


def test_fields_are_those_of_the_flow_in_its_own_units():
    flows = table()
    fitted = preprocess.fit(flows)
    observations = fitted.transform(flows)
    for row in range(3, 60):
        fields = told(fitted, observations[row])
        assert [one.name for one in fields] == ["bytes", "age", "ports", "protocol"]
        for one, value in zip(fields, flows.numeric[row], strict=False):
            assert float(one.text.replace(",", "")) == pytest.approx(value, rel=0.01, abs=1e-3)
        assert fields[3].text == ("tcp", "udp")[flows.codes[row, 0]]
        assert [one.columns for one in fields] == [(0,), (1,), (2,), (3, 4, 5)]


def test_what_was_clipped_rare_or_missing_is_said():
    flows = table(missing=True)
    fitted = preprocess.fit(flows, missing="indicator")
    observations = fitted.transform(flows)
    first, sixth = told(fitted, observations[0]), told(fitted, observations[5])
    assert first[1].text.startswith("at least ")
    assert first[3].text == "another value"
    assert (sixth[2].text, sixth[2].columns) == ("missing", (2, 3))
    assert first[2].text != "missing"


def test_an_observation_of_another_width_is_not_told_and_a_damaged_preprocessing_refused():
    fitted = preprocess.fit(table())
    assert told(fitted, np.zeros(fitted.width + 1, np.float32)) is None
    with pytest.raises(InputError, match=r"preprocessing\.json"):
        domain("threat").raw_fields({"numeric": 3}, np.zeros(2, np.float32))
