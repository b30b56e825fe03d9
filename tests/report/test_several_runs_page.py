"""The content of the page on several runs, and where it is written."""

import re

import numpy as np
import pytest

from rl_eval.errors import InputError
from rl_eval.report import write_report
from rl_eval.report.curves import over_seeds
from rl_eval.run import write_json
from tests.report.judged_runs import failing, judged_run, passing
from tests.report.read_page import page_of


def test_the_best_of_several_runs_is_the_best_on_validation(tmp_path):
    scores = {"a": 3.0, "b": 5.0, "c": 4.0, "d": None}
    paths = [
        judged_run(tmp_path / name, info={"results": {"mean_return": score}}).path for name, score in scores.items()
    ]
    text = page_of(*paths, out=tmp_path / "page.html").text
    assert "The best on validation is b: mean_return 5." in text
    assert text.count("best on validation") == 2  # the sentence, and the row
    alone = page_of(paths[3], judged_run(tmp_path / "e", info={"results": {}}).path, out=tmp_path / "two.html")
    assert "best on validation" not in alone.text


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweeps") / "sweep"
    folder.mkdir()
    jobs = []
    for job, (lr, seed) in enumerate((lr, seed) for lr in (0.001, 0.01) for seed in (1, 2, 3)):
        config = {"agent": {"name": "ppo", "lr": lr}}
        suites = [passing() if lr == 0.001 else failing()]
        judged_run(folder / f"{job}_lr={lr},seed={seed}", seed=seed, config=config, suites=suites)
        jobs.append({"number": job, "directory": f"{job}_lr={lr},seed={seed}"})
    write_json(folder / "sweep.json", {"jobs": jobs})
    return folder


def test_a_sweep_is_one_page_with_a_row_a_run_and_a_group_a_setting(sweep):
    page = page_of(sweep)
    assert (sweep / "report.html").is_file()
    assert "Of 6 runs, 3 pass, 3 fail." in page.text
    assert "2 groups of equal settings" in page.text
    assert "agent.lr=0.001" in page.text
    bands = [tag for tag in page.all("polygon") if tag["class"].startswith("band")]
    assert {tag["class"] for tag in bands} == {"band f1", "band f2"}
    assert re.search(r"solved mean_return ≥ 475", page.text)


def test_runs_are_linked_where_their_pages_lie_below(sweep):
    first = sorted(sweep.glob("0_*"))[0]
    write_report([first])
    links = [tag["href"] for tag in page_of(sweep).all("a")]
    assert f"{first.name.replace('=', '%3D').replace(',', '%2C')}/report.html" in links
    assert not [link for link in links if link.startswith(("/", "..", "http"))]


def test_runs_of_different_folders_need_a_place(sweep, cartpole, tmp_path):
    with pytest.raises(InputError, match="--out FILE"):
        write_report([sweep, cartpole])
    assert "7 runs on" in page_of(sweep, cartpole, out=tmp_path / "all.html").text


def test_a_band_is_the_range_over_runs_and_its_line_their_median():
    steps = np.arange(1.0, 6.0)
    runs = [{"env_steps": steps, "x": steps * k} for k in (1.0, 2.0, 6.0)]
    runs[2] = {"env_steps": steps[::2], "x": 6.0 * steps[::2]}  # logged half as often
    common_steps, median, low, high = over_seeds(runs, "x")
    np.testing.assert_allclose(common_steps, steps)
    np.testing.assert_allclose(median, 2 * steps)
    np.testing.assert_allclose(low, steps)
    np.testing.assert_allclose(high, 6 * steps)
