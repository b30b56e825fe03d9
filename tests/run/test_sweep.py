"""Sweeps expand to their jobs, and never point outside their folder."""

import pytest

from rl_eval.errors import InputError
from rl_eval.run import expand_sweeps, write_json


def test_a_sweep_stands_for_the_jobs_that_are_there(tmp_path):
    for name in ("0_seed=1", "1_seed=2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text("{}")
    jobs = [{"directory": name} for name in ("0_seed=1", "../../1_seed=2", "2_gone", "/etc", "", None)]
    write_json(tmp_path / "sweep.json", {"jobs": [*jobs, "not a job"]})
    assert [path.name for path in expand_sweeps([tmp_path, tmp_path / "0_seed=1"])] == ["0_seed=1", "1_seed=2"]


def test_a_sweep_with_missing_runs_is_an_error(tmp_path):
    write_json(tmp_path / "sweep.json", {"jobs": [{"directory": "gone"}]})
    with pytest.raises(InputError, match="lists no run that is there"):
        expand_sweeps([tmp_path])


@pytest.mark.parametrize("jobs", [None, [], "0", [{"directory": ".."}]])
def test_a_sweep_without_runs_is_an_error(tmp_path, jobs):
    (tmp_path / "run.json").write_text("{}")
    sweep = tmp_path / "sweep"
    sweep.mkdir()
    write_json(sweep / "sweep.json", {"jobs": jobs})
    with pytest.raises(InputError, match=r"sweep.json lists no run: "):
        expand_sweeps([sweep])
