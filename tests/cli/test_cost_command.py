"""`rl-eval cost`: runs, sweeps and their sums, and estimates elsewhere."""

import json

import pytest

from rl_eval.cli import main
from rl_eval.cost import Rate
from rl_eval.run import write_json
from tests.gates.fake_runs import write_run

HERE = Rate(machine="here", kind="owned", price_per_hour=3.6, watts=36, currency="USD", date="2026-01-01", source="me")


def with_cost(rate, training_s, judging_s=0.0, env_steps=1000):
    part = rate.cost(training_s).to_json()
    judging = {"pole": rate.cost(judging_s).to_json()} if judging_s else {}
    return {"cost": {**vars(rate), "training": part, "judging": judging}, "env_steps": env_steps}


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """Two priced jobs that took 100 and 50 s, 10 s of each for judging, and one without a price."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "sweep"
    write_run(folder / "0_seed=1", seed=1, info=with_cost(HERE, 90, 10))
    write_run(folder / "1_seed=2", seed=2, info=with_cost(HERE, 40, 10))
    write_run(folder / "2_seed=3", seed=3, info={"wall_s": 7.0})
    jobs = [{"directory": name} for name in ("0_seed=1", "1_seed=2", "2_seed=3")]
    write_json(folder / "sweep.json", {"jobs": jobs})
    return folder


def of(capsys, *arguments):
    assert main(["cost", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_sum_of_a_sweep_is_that_of_its_jobs(sweep, capsys):
    values = of(capsys, sweep / "0_seed=1", sweep / "1_seed=2")
    assert values["total"]["machine_s"] == 150
    assert values["total"]["money"] == pytest.approx(0.15)
    assert values["total"]["energy_wh"] == pytest.approx(1.5)
    for name in ("machine_s", "money", "energy_wh"):
        assert values["total"][name] == pytest.approx(sum(run["total"][name] for run in values["runs"]))
        for run in values["runs"]:
            parts = [run["training"][name], *(part[name] for part in run["judging"].values())]
            assert run["total"][name] == pytest.approx(sum(parts))


def test_a_run_without_a_price_leaves_the_sweep_without_one(sweep, capsys):
    values = of(capsys, sweep)
    assert values["total"] == {"machine_s": 157, "energy_wh": None, "money": None, "currency": None}
    assert main(["cost", str(sweep)]) == 0
    assert "unknown" in capsys.readouterr().out


def test_elsewhere_is_measured_given_or_assumed(sweep, tmp_path, capsys):
    (there,) = of(capsys, sweep / "0_seed=1", "--on", "a100-spot")["elsewhere"]
    assert there["speeds"] == [{"times": 1.0, "how": "assumed"}]
    assert there["estimate"] is True
    assert there["money"] == pytest.approx(100 * 1.19 / 3600)
    assert there["even_at"] == pytest.approx(1.19 / 3.6)
    (there,) = of(capsys, sweep / "0_seed=1", "--on", "a100-spot", "--speed", "a100-spot=4")["elsewhere"]
    assert there["machine_s"] == 25
    rate = Rate(machine="a100-spot", price_per_hour=1.19, currency="USD")
    write_run(tmp_path / "outputs" / "there", info=with_cost(rate, 45))  # twice as fast as the 90 s
    (there,) = of(capsys, sweep / "0_seed=1", "--on", "a100-spot")["elsewhere"]
    assert there["speeds"] == [{"times": pytest.approx(2), "how": "measured"}]


def test_the_tables_say_what_is_an_estimate(sweep, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["cost", str(sweep / "0_seed=1"), "--on", "a100-spot,rtx3070"]) == 0
    out = capsys.readouterr().out
    rows = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert "0.1 USD" in rows["0_seed=1"]
    assert "1 assumed" in rows["a100-spot"]
    assert "estimate" in out
    assert "2026-03-10" in out


@pytest.mark.parametrize(
    "arguments",
    [["--on", "a100-spott"], ["--speed", "x=2"], ["--on", "rtx3070", "--speed", "rtx3070=fast"],
     ["--on", "rtx3070", "--speed", "rtx3070=0"], ["--prices", "none.yaml", "--on", "rtx3070"]],
)  # fmt: skip
def test_mistakes_are_one_sentence(sweep, capsys, arguments):
    assert main(["cost", str(sweep), *arguments]) == 2
    assert capsys.readouterr().err.count("error:") == 1
