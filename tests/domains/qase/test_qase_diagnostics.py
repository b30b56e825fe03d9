"""Findings of doctor about constant features, and about a reward that does not depend on the order."""

from pathlib import Path

import pytest

from rl_eval import domains
from rl_eval import run as runs
from rl_eval.config import load
from rl_eval.diagnostics import DiagnosedRun, findings_of
from rl_eval.domains.qase.config import Config
from rl_eval.hydra_compose import compose

ROOT = Path(__file__).resolve().parents[3]
FEATURES = [f"f{i}" for i in range(10)]


def recorded(path):
    """What `run.json` says of the file beside it."""
    file = path / "preprocessing.json"
    return {runs.FILES_SHA256: {file.name: runs.file_sha256(file)}} if file.exists() else {}


def diagnosed_run(path=Path("run"), env=None, terms=None):
    return DiagnosedRun(
        path, recorded(path), {"env": {"name": "qase", "budget": None, **(env or {})}, "reward": {"terms": terms or {}}}
    )


def finding_of(name, run):
    findings = findings_of(run, name)
    assert len(findings) <= 1
    return findings[0] if findings else None


def saved(path, **values):
    runs.write_json(path / "preprocessing.json", {"features": FEATURES, **values})
    return diagnosed_run(path)


@pytest.mark.parametrize(("count", "severity"), [(0, None), (1, "note"), (5, "note"), (6, "warning")])
def test_features_that_say_nothing_are_named(tmp_path, count, severity):
    run = saved(tmp_path, constant=FEATURES[:count], default_rates={"f0": 1.0, "f1": 0.3})
    finding = finding_of("silent_features", run)
    assert (finding and finding.severity) == severity
    if finding:
        assert finding.evidence.startswith(f"{count} of 10 ")
        assert finding.data["silent"] == {"f0": "always at its default", **dict.fromkeys(FEATURES[1:count], "constant")}
        assert all(name in finding.evidence for name in FEATURES[:count])
        assert "rl-eval qase inspect" in finding.meaning


def test_what_a_run_writes_down_is_what_is_read(tmp_path):
    config = Config(cycles=60)
    runs.write_json(tmp_path / "preprocessing.json", domains.domain("qase").preprocessing(config))
    assert list(finding_of("silent_features", diagnosed_run(tmp_path)).data["silent"]) == ["is_muted"]
    run = DiagnosedRun(tmp_path, recorded(tmp_path), {"env": config.model_dump()})
    assert [finding.title for finding in findings_of(run, "dead_features") if "never change" in finding.title] == [], (
        "told once"
    )
    (tmp_path / "preprocessing.json").unlink()
    run = DiagnosedRun(tmp_path, recorded(tmp_path), {"env": config.model_dump()})
    (finding,) = (finding for finding in findings_of(run, "dead_features") if "never change" in finding.title)
    assert finding.data["constant"] == ["is_muted"]


@pytest.mark.parametrize("content", ["{", "[]", '{"schema": 1, "features": 3, "constant": {"a": 1}}', "link"])
def test_a_damaged_or_foreign_file_gives_no_finding(tmp_path, content):
    file = tmp_path / "preprocessing.json"
    if content == "link":
        runs.write_json(tmp_path / "other.json", {"features": FEATURES, "constant": FEATURES})
        file.symlink_to(tmp_path / "other.json")
    else:
        file.write_text(content)
    run = diagnosed_run(tmp_path)
    assert finding_of("silent_features", run) is None
    assert finding_of("silent_features", run) is None
    assert len(run.missing) == ("schema" not in content)


def terms_of(*overrides):
    config = load(compose(ROOT / "conf", ["env=qase", *overrides]))
    return {"env": config.env.model_dump(), "terms": config.reward["terms"]}


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["reward=qase_failcount"], True),
        (["reward=qase_failcount", "env.budget=1.0"], True),
        (["reward=qase_failcount", "env.budget=0.25"], False),
        (["reward=qase_failcount", "env.budget=20m"], False),
        (["reward=qase_failcount", "reward.terms.failure_count.weight=0"], True),
        (["reward=qase_timeranked"], False),
        (["reward=qase_tcfail"], False),
        (["reward=qase"], False),
        (["experiment=qase_report"], True),
    ],
)
def test_a_count_of_what_ran_pays_no_order_unless_there_is_a_budget(overrides, expected):
    finding = finding_of("order_not_paid", diagnosed_run(**terms_of(*overrides)))
    assert bool(finding) == expected
    if expected:
        assert (finding.severity, finding.change) == ("problem", "env.budget=0.25")


def test_other_environments_are_not_asked():
    assert (
        finding_of(
            "order_not_paid", DiagnosedRun(Path("run"), {}, {"env": {"name": "threat"}, "reward": {"terms": {}}})
        )
        is None
    )


def test_features_that_grow_with_time_are_a_note_without_advice_to_split_again(tmp_path):
    finding = finding_of("feature_shift", diagnosed_run(tmp_path, env={"cycles": 40}))
    assert finding.severity == "note"
    assert "runs (" in finding.evidence
    assert max(finding.data["distance"].values()) > 0.3  # a warning where the parts are drawn
    assert "order of time" in finding.meaning
    assert "Split the data" not in finding.meaning
