"""Runs with a fault in their data, reward, budget or record: doctor reports that fault first."""

import json
import shutil

import numpy as np
import pytest

from rl_eval import config as configs
from rl_eval.diagnostics import all_findings, read, seed_luck
from rl_eval.hydra_compose import compose
from rl_eval.run import read_metrics
from tests.diagnostics import faulty
from tests.diagnostics.faulty import CARTPOLE, ROOT, THREAT, change_info, change_snapshot, findings_in, learn

SHORT_CARTPOLE = [
    "env=cartpole",
    "total_steps=8192",
    "log_every=512",
    "validation.every=4096",
    "validation.episodes=10",
]
FAULTY_CARTPOLE = ["env=gym", *CARTPOLE[1:], "env.success_return=475", "env.workers=1", "total_steps=40000"]
CATEGORIES = "[a,b,c,d,e,f,g,h,i,j]"
SEVERITY = (
    "{_target_: rl_eval.domains.threat.rewards.Severity, weights: {}, default: %s, categories: " + CATEGORIES + "}"
)
PAYS_FOR_BLOCKING = "{_target_: rl_eval.domains.threat.rewards.Matrix, weight: 2.0, values: [[0,1,0,0],[0,0,0,0]]}"

TRAINED = {
    "a constant column": ("dead_features", [*FAULTY_CARTPOLE, "env.id=CartPoleConstantColumn-v0"]),
    "a copied column": ("dead_features", [*FAULTY_CARTPOLE, "env.id=CartPoleCopiedColumn-v0"]),
    "a reward term that is not wired": ("unwired_reward", [*THREAT, f"+reward.terms.more={SEVERITY % 0}"]),
    "a weight a thousand times too large": (
        "drowned_reward",
        [*THREAT, "reward.terms.matrix.weight=1000", f"+reward.terms.more={SEVERITY % 1}"],
    ),
    "a term that pays for the wrong thing": ("reward_hacking", [*THREAT, f"+reward.terms.more={PAYS_FOR_BLOCKING}"]),
    "a declared range that cannot be": ("reward_range", [*THREAT, "+reward.range=[-50,110]"]),
    "a handful of training cases": ("overfits", [*THREAT, "env.train_flows=400"]),
    "too few steps": (
        "needs_more_steps",
        ["agent.n_envs=4", "agent.n_steps=64", "agent.batch_size=64", *SHORT_CARTPOLE],
    ),
}


@pytest.fixture(autouse=True)
def _faulty_environments():
    faulty.register()


@pytest.mark.verify
@pytest.mark.parametrize("fault", TRAINED)
def test_a_run_trained_with_a_fault_has_it_named_first(tmp_path, fault):
    name, overrides = TRAINED[fault]
    findings = findings_in(learn(tmp_path / "run", overrides))
    assert [finding.name for finding in findings][:1] == [name]
    assert findings[0].severity in ("warning", "problem")
    if findings[0].change is not None:  # what is to be pasted is a config that can be trained
        configs.load(compose(ROOT / "conf", [*overrides, *findings[0].change.split()]))


def without_observation_statistics(arrays):
    return {name: array for name, array in arrays.items() if not name.startswith("obs.")}


def statistics_of_another_moment(arrays):
    return {**arrays, "obs.count": arrays["obs.count"] / 2, "obs.m2": arrays["obs.m2"] / 3}


def results(**changed):
    return lambda info: info["results"].update(changed)


ALTERED = {
    "statistics dropped": ("normaliser_not_restored", change_snapshot, without_observation_statistics),
    "statistics of another moment": ("normaliser_not_restored", change_snapshot, statistics_of_another_moment),
    "another final mean": ("numbers_disagree", change_info, results(mean=123.4, min=0.0, max=500.0, std=9.0)),
    "a mean beyond the maximum": ("numbers_disagree", change_info, results(mean=1e6)),
    "256,000 steps": ("numbers_disagree", change_info, lambda info: info.update(env_steps=256_000)),
    "more episodes": ("numbers_disagree", change_info, lambda info: info.update(episodes=info["episodes"] + 1)),
    "another snapshot": ("numbers_disagree", change_info, lambda info: info.update(snapshot="step_7")),
}


@pytest.fixture(scope="module")
def normalised(tmp_path_factory):
    """A healthy run with normalised observations, to be altered."""
    overrides = [*SHORT_CARTPOLE, "agent.normalize_obs=true"]
    return learn(tmp_path_factory.mktemp("normalised") / "run", overrides)


def record(findings):
    return [finding.name for finding in findings if finding.layer == "record"]


def test_an_untouched_run_agrees_with_itself(normalised):
    assert record(findings_in(normalised)) == []


@pytest.mark.parametrize("fault", ALTERED)
def test_a_run_that_was_altered_has_that_named_first(normalised, tmp_path, fault):
    name, alter, how = ALTERED[fault]
    copy = tmp_path / "run"
    shutil.copytree(normalised, copy)
    alter(copy, how)
    findings = findings_in(copy)
    assert findings[0].name == name
    assert findings[0].severity == "problem"


def test_curves_that_hold_a_better_try_than_the_chosen_one_disagree(normalised, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(normalised, copy)
    header, *rows = (copy / "metrics.csv").read_text().splitlines()
    column = header.split(",").index("validation_score")
    last = rows[-1].split(",")
    last[column] = "777.0"
    (copy / "metrics.csv").write_text("\n".join([header, *rows[:-1], ",".join(last)]) + "\n")
    assert "777" in findings_in(copy)[0].evidence
    # unless trials kept the first policy, which is judged although a later one may have a higher score
    info = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps(info | {"trials": {"judged": "the first policy"}}))
    assert not any("777" in finding.evidence for finding in findings_in(copy))


def test_a_verdict_that_was_decided_on_other_numbers_disagrees(normalised, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(normalised, copy)
    criterion = {"criterion": "quick", "metric": "training.wall_s", "estimate": 1e5, "decision": "FAIL"}
    (copy / "verdict.json").write_text(json.dumps({"schema": 1, "suites": [{"criteria": [criterion]}]}))
    assert "training.wall_s of 100000" in findings_in(copy)[0].evidence


@pytest.mark.verify
def test_the_lunarlander_report_needs_more_steps_and_a_longer_run_says_how_many(tmp_path):
    """The same settings go on past the report's 50,000 steps; the interval holds the crossing, or says it cannot."""
    report = ["experiment=lunarlander_report", "checkpoint_every=50000", "resume_every=4000"]
    finding = findings_in(learn(tmp_path / "report", report))[0]
    assert finding.name == "needs_more_steps"
    longer = learn(tmp_path / "longer", [*report, "total_steps=350000", "validation.every=20480"])
    curves = read_metrics(longer / "metrics.csv")
    crossed = [
        steps[np.argmax(values >= 200)]
        for values, steps in (
            (curves[name], curves["env_steps"]) for name in ("episode_return_mean", "validation_score")
        )
        if (values >= 200).any()
    ]
    assert crossed, "the longer run never came to 200"
    assert all(steps >= finding.data["steps_low"] for steps in crossed)
    if finding.data["steps_high"] is None:
        assert "cannot be findings_in" in finding.evidence
    else:
        assert all(steps <= finding.data["steps_high"] for steps in crossed)


@pytest.mark.verify
def test_different_results_of_seeds_are_detected(tmp_path):
    short = ["env=cartpole", "total_steps=16384", "validation.every=16384", "validation.episodes=10"]
    lucky = [learn(tmp_path / f"short_{s}", [*short, f"seed={s}"]) for s in range(5)]
    findings = seed_luck([read(run) for run in lucky])
    assert [finding.data["share"] > 0.3 for finding in findings] == [True]
    full = [learn(tmp_path / f"full_{s}", ["env=cartpole", f"seed={s}"]) for s in range(5)]
    assert [f.name for f in seed_luck([read(run) for run in full]) if f.severity != "note"] == []


def test_doctor_changes_no_file(normalised):
    before = {path: path.stat().st_mtime_ns for path in normalised.rglob("*")}
    all_findings(read(normalised))
    assert {path: path.stat().st_mtime_ns for path in normalised.rglob("*")} == before
