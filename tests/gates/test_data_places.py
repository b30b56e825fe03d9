"""Where the data of a suite lies, as `--rl-data` says."""

import pytest

from rl_eval.errors import InputError
from rl_eval.gates.data_places import data_name, parse_places
from tests.gates.suite_data.months import write_suite


def test_places_of_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sets" / "csv").mkdir(parents=True)
    (tmp_path / "sets" / "x=1").mkdir()
    suite = write_suite(tmp_path / "s.yaml")
    assert data_name(suite) == "csv"
    both = parse_places(["sets", "my_flows=sets/x=1"], tmp_path)
    assert both.of(suite) == (tmp_path / "sets" / "csv").relative_to(tmp_path)
    assert both.of(write_suite(tmp_path / "t.yaml", data="my-flows")) == (tmp_path / "sets" / "x=1").relative_to(
        tmp_path
    )
    for name in ("my_flows", "my-flows"):  # both spellings, on both sides
        spelled = write_suite(tmp_path / "t.yaml", data=name)
        for text in ("my_flows=sets", "my-flows=sets"):
            places = parse_places([text], tmp_path)
            assert places.of(spelled) is not None
            places.require_known([suite, spelled])
            with pytest.raises(InputError, match=r"--rl-data my-flows.* csv"):
                places.require_known([suite])
    assert parse_places(["./sets/x=1"], tmp_path).folder == (tmp_path / "sets" / "x=1").relative_to(tmp_path)
    assert parse_places(["feb=sets"], tmp_path).of(suite) is None
    for texts in (["sets", "sets"], ["a=sets", "a=sets"], ["a=missing"], ["a="], ["missing"], ["s.yaml"]):
        with pytest.raises(InputError, match="--rl-data"):
            parse_places(texts, tmp_path)
    assert not parse_places([], tmp_path)
