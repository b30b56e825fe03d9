"""New flows in any format get the observations that training would have made of them."""

import datetime as dt
import json

import numpy as np
import pytest

from rl_eval.domains import threat
from rl_eval.domains.threat import csv_data, preprocess
from rl_eval.domains.threat.fitted_preprocessing import FittedPreprocessing
from rl_eval.errors import InputError
from tests.domains.threat.formats.test_zeek_and_json import EVENTS, eve
from tests.domains.threat.formats.written import WRITERS, separated

RNG = np.random.default_rng(0)
ROWS = 240


def table(rows=ROWS, absent=0.1):
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    gone = RNG.random(rows) < absent
    sizes = [None if gone[i] else round(x, 4) for i, x in enumerate(RNG.lognormal(size=rows).tolist())]
    times = [start + dt.timedelta(minutes=37 * i) for i in range(rows)]
    return {
        "size": sizes,
        "rate": RNG.normal(size=rows).round(4).tolist(),
        "start": times,
        "end": [time + dt.timedelta(seconds=i % 9) for i, time in enumerate(times)],
        "src": [["10.0.0.1", "8.8.8.8", "fe80::1"][i % 3] for i in range(rows)],
        "proto": [["tcp", "udp", "größe"][i % 3] for i in range(rows)],
        "label": [int(i % 4 == 0) for i in range(rows)],
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The config of a run, and its preprocessing as the run keeps it."""
    path = tmp_path_factory.mktemp("trained") / "flows.csv"
    path.write_text(separated(table(), ","))
    config = threat.Config(data="csv", path=str(path), label="label", missing="indicator")
    return config, json.loads(json.dumps(threat.DOMAIN.preprocessing(config)))


def fitted_of(trained):
    return FittedPreprocessing.model_validate({key: v for key, v in trained[1].items() if key != "columns"})


def scored(trained, source, keep=()):
    chunks = list(threat.DOMAIN.rows(*trained).chunks(source, keep))
    return np.concatenate([chunk.observations for chunk in chunks]), chunks


@pytest.mark.parametrize("name", WRITERS)
def test_new_flows_in_every_format_look_as_in_training(trained, tmp_path, name):
    flows = table(60, absent=0.5)
    path, plain = tmp_path / ("new.parquet" if name == "parquet" else "new.txt"), tmp_path / "plain.csv"
    WRITERS[name](path, {key: cells for key, cells in flows.items() if key != "label"})
    plain.write_text(separated(flows, ","))
    config = trained[0].model_copy(update={"path": str(plain), "preprocessing": fitted_of(trained)})
    expected = preprocess.of_fitted(config.preprocessing).transform(csv_data.read(config)[0])
    observations, chunks = scored(trained, path, keep=("size",))
    assert np.array_equal(observations, expected)
    assert sum(len(chunk.kept["size"]) for chunk in chunks) == 60


def test_columns_are_those_of_the_file_with_all_that_is_made_of_them(trained):
    reader = threat.DOMAIN.rows(*trained)
    assert set(reader.columns) == {"size", "rate", "start", "end", "src", "proto"}
    names = trained[1]["columns"]
    made = {column: [names[place] for place in places] for column, places in reader.columns.items()}
    assert made["size"] == ["size", "size=<missing>"]
    assert made["start"] == ["start:hour_sin", "start:hour_cos", "start:weekday_sin", "start:weekday_cos"]
    assert made["end"] == ["end:elapsed"]
    assert made["src"][0] == "src:version"
    assert sorted(place for places in reader.columns.values() for place in places) == list(range(len(names)))
    typical = reader.typical_observation()
    assert typical.shape == (len(names),)
    assert typical[names.index("size=<missing>")] == 0.0


def test_unlike_values_are_counted_by_column(trained, tmp_path):
    new = {key: cells[:3] for key, cells in table().items()}
    new |= {"size": [1e12, 1.0, None], "proto": ["gre", "tcp", "gre"]}
    path = tmp_path / "new.csv"
    path.write_text(separated(new, ","))
    (chunk,) = scored(trained, path)[1]
    assert (chunk.unknown["size"], chunk.unknown["proto"], chunk.unknown["src"]) == (1, 2, 0)


def test_a_run_without_missing_cells_names_those_of_new_data(tmp_path):
    path = tmp_path / "flows.csv"
    path.write_text(separated(table(absent=0.0), ","))
    config = threat.Config(data="csv", path=str(path), label="label")
    trained = config, threat.DOMAIN.preprocessing(config)
    path.write_text(separated(table(20, absent=0.5), ";"))
    with pytest.raises(InputError, match=r"flows\.csv, line \d+: the column 'size' is empty.*env\.missing=median"):
        scored(trained, path)


def test_of_eve_the_same_events_are_rows_as_in_training(tmp_path):
    flows = [{**entry, "flow_id": 10 * i + entry["flow_id"]} for i in range(60) for entry in EVENTS]
    for i, entry in enumerate(flows):
        if "flow" in entry:
            entry["flow"] = {**entry["flow"], "bytes_toserver": i}
    config = threat.Config(data="csv", path=str(eve(tmp_path, flows)), label="alert", missing="median")
    observations, chunks = scored((config, threat.DOMAIN.preprocessing(config)), eve(tmp_path))
    assert [line for chunk in chunks for line in chunk.position] == [2, 3, 5, 7]
    assert len(observations) == 4
    (tmp_path / "other.json").write_text('{"a": 1}\n')
    with pytest.raises(InputError, match="flow"):
        scored((config, threat.DOMAIN.preprocessing(config)), tmp_path / "other.json")
