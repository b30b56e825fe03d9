"""Hostile run directories: no code runs, everything is escaped, and errors are clear messages."""

import copy
import json
import math
import os
import re
import shutil

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_eval.errors import InputError
from rl_eval.formatting import brief
from rl_eval.report import one_run, several_runs, write_report
from rl_eval.report.html_page import flat
from tests.report.judged_runs import COLUMNS, failing, judged_run, passing, table
from tests.report.read_page import Page
from tests.report.test_charts import coordinates

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{ 7*7 }}"


def edited(path, **values):
    info = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps({**info, **values}))


def config_with(path, **values):
    config = yaml.safe_load((path / "config.yaml").read_text())
    (path / "config.yaml").write_text(yaml.safe_dump({**config, **values}))


def render(path, **options):
    html = write_report([path], **options).read_text()
    return html, Page(html).text


def test_markup_in_names_and_values_is_shown_as_text(tmp_path):
    bad = passing().to_json()
    bad |= {"suite": SCRIPT, "file": SCRIPT}
    bad["criteria"] = [{**row, "criterion": SCRIPT, "detail": SCRIPT, "unit": SCRIPT} for row in bad["criteria"]]
    path = judged_run(tmp_path / "<b>run").path
    (path / "verdict.json").write_text(json.dumps({"schema": 1, "suites": [bad]}))
    edited(
        path, agent=SCRIPT, seed=SCRIPT, command=SCRIPT, reason=SCRIPT, git_revision=SCRIPT, versions={SCRIPT: SCRIPT}
    )
    config_with(
        path, **{SCRIPT: SCRIPT, "validation": {"metric": SCRIPT}, "reward": {"terms": {SCRIPT: {SCRIPT: SCRIPT}}}}
    )
    (path / "metrics.csv").write_text(table(20, (*COLUMNS[:-1], "reward/<script>alert(3)</script>")))
    html, _ = render(path)
    page = Page(html)
    assert not page.all("script")
    assert not page.all("b")
    assert all(tag["src"].startswith("data:") for tag in page.all("img"))
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)]
    assert "alert(1)" in html
    assert "{{ 7*7 }}" in html


def test_control_characters_and_overrides_of_direction_are_written_out(tmp_path):
    hostile = "a\x1b[31m\u202e\x9b\u2066b"
    bad = passing().to_json()
    bad["criteria"] = [{**row, "detail": hostile} for row in bad["criteria"]]
    path = judged_run(tmp_path / "run").path
    (path / "verdict.json").write_text(json.dumps({"schema": 1, "suites": [bad]}))
    edited(path, agent=hostile, command=hostile)
    html, text = render(path)
    assert not set(hostile[1:-1]) & set(html) - set("[31m")
    assert "a\\u001b[31m\\u202e\\u009b\\u2066b" in text


def test_an_environment_that_names_a_module_is_not_imported(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    path = judged_run(tmp_path / "run").path
    config_with(path, env={"name": "gym", "id": "evil:CartPole-v1"})
    _, text = render(path)
    assert not (tmp_path / "ran").exists()
    assert "imports a module: add --trust" in text
    assert "NEEDS RUNS" in text
    render(path, trust=True)
    assert (tmp_path / "ran").exists()


def test_a_folder_named_like_a_policy_is_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\ndef act(obs): ...")
    judged_run(tmp_path / "python:evil:act")
    render(tmp_path / "python:evil:act")
    assert not (tmp_path / "ran").exists()


def test_a_policy_that_names_foreign_code_is_not_loaded(tmp_path):
    path = judged_run(tmp_path / "run").path
    file = path / "snapshots" / "step_100" / "policy.json"
    before = json.loads(file.read_text())
    for target in ("os.system", "os:system", "builtins:eval", "tests.gates.fake_agent:load"):
        file.write_text(json.dumps({**before, "agent": target}))
        _, text = render(path)
        assert "the policy at play:" in text


@pytest.mark.parametrize("snapshot", ["../../secret", "{absolute}", "step_100/../../../secret", 7, {"a": 1}])
def test_a_snapshot_elsewhere_is_not_followed(tmp_path, snapshot):
    path = judged_run(tmp_path / "run").path
    _, text = render(path)
    assert "What the policy does" in text
    shutil.copytree(path / "snapshots" / "step_100", tmp_path / "secret")  # a policy that could be played
    edited(path, snapshot=str(tmp_path / "secret") if snapshot == "{absolute}" else snapshot)
    _, text = render(path)
    assert "has no such snapshot" in text
    assert "What the policy does" not in text


@pytest.mark.parametrize("name", ["metrics.csv", "verdict.json"])
def test_a_link_out_of_the_run_is_not_followed(tmp_path, name):
    path = judged_run(tmp_path / "run").path
    (tmp_path / "secret").write_text("env_steps,secret\n1,2\n")
    (path / name).unlink()
    (path / name).symlink_to(tmp_path / "secret")
    html, text = render(path)
    assert "is a link: put the file itself there" in text
    assert ">secret<" not in html


@pytest.mark.parametrize("name", ["run.json", "config.yaml"])
def test_a_link_in_the_place_of_the_run_itself_is_refused(tmp_path, name):
    path = judged_run(tmp_path / "run").path
    os.rename(path / name, tmp_path / name)
    (path / name).symlink_to(tmp_path / name)
    with pytest.raises(InputError, match="is a link"):
        write_report([path])


def test_a_page_is_not_written_through_a_link(tmp_path):
    path = judged_run(tmp_path / "run").path
    (tmp_path / "victim").write_text("whole")
    (path / "report.html").symlink_to(tmp_path / "victim")
    with pytest.raises(InputError, match="is a link"):
        write_report([path])
    assert (tmp_path / "victim").read_text() == "whole"


def test_a_gigabyte_of_metrics_is_not_read(tmp_path):
    path = judged_run(tmp_path / "run").path
    with open(path / "metrics.csv", "wb") as file:
        file.write(b"env_steps,x\n1,2\n")
        file.truncate(1 << 30)  # a hole: it takes no room on the disk
    _, text = render(path)
    assert "is larger than 256 MiB" in text


def test_nothing_but_nan(tmp_path):
    path = judged_run(tmp_path / "run").path
    rows = ",".join(COLUMNS) + "\n" + (",".join(["nan"] * len(COLUMNS)) + "\n") * 50
    (path / "metrics.csv").write_text(rows)
    bad = passing().to_json()
    nan = float("nan")
    bad["criteria"] = [
        {**row, "estimate": nan, "threshold": nan, "interval": [nan, nan], "alpha": nan} for row in bad["criteria"]
    ]
    (path / "verdict.json").write_text(json.dumps({"schema": 1, "suites": [bad]}))
    edited(path, wall_s=nan, env_steps=nan, results={"mean": nan}, validation_score=nan)
    html, text = render(path)
    assert html.count("<svg") > 2
    assert "no row with env_steps" in text
    for drawing in re.findall(r"<svg.*?</svg>", html, re.DOTALL):
        assert all(map(math.isfinite, coordinates(drawing)))


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"schema": 1}', '{"schema": 1, "suites": 3}', '{"schema": 1, "suites": [{"criteria": [{}]}]}',
     '{"schema": 2, "suites": []}', "[" * 100_000, '{"schema": 1, "suites": [' + '{},' * 9 + "{}]}"],
)  # fmt: skip
def test_a_damaged_verdict_is_reported_and_the_rest_is_shown(tmp_path, content):
    path = judged_run(tmp_path / "run").path
    (path / "verdict.json").write_text(content)
    _, text = render(path)
    assert "What is not shown" in text
    assert "verdict.json" in text
    assert "VERDICT CANNOT BE READ" in text
    assert "No suite has judged this run" not in text
    assert "Learning" in text


@pytest.mark.parametrize(
    "content",
    [b"", b"\n\n", b"env_steps\n", b"\xff\xfe\x00env_steps\n1\n", b"env_steps,env_steps\n1,2\n", b"a,b\n1,2\n",
     b"env_steps,x\n1e999,-1e999\n2,=cmd()\n", b"env_steps," + b"x," * 5000 + b"y\n1\n", b"env_steps,\"x\n1,2\n" * 50],
)  # fmt: skip
def test_damaged_metrics_do_not_hide_the_verdict(tmp_path, content):
    path = judged_run(tmp_path / "run").path
    (path / "metrics.csv").write_bytes(content)
    _, text = render(path)
    assert "NEEDS RUNS" in text


def test_an_evidence_history_of_uneven_length_is_drawn_as_far_as_it_goes(tmp_path):
    bad = passing().to_json()
    history = bad["criteria"][0]["history"]
    history["lower"], history["for_fail"] = history["lower"][:3], []
    other = bad["criteria"][0] | {"history": passing().to_json()["criteria"][0]["history"]}
    other["history"]["units"] = [-(10**400), 10**400, *other["history"]["units"][2:]]
    bad["criteria"] = [*bad["criteria"], other]
    run = judged_run(tmp_path / "run").path
    (run / "verdict.json").write_text(json.dumps({"schema": 1, "suites": [bad]}))
    assert "NEEDS RUNS" in render(run)[1]


def test_a_few_lines_of_yaml_that_stand_for_millions_are_refused(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    lines += [f"m{i}: &m{i} {{{', '.join(f'k{j}: *a{i}' for j in range(10))}}}" for i in range(1, 9)]
    bomb = yaml.safe_load("\n".join(lines))
    assert sum(len(value) for _, value in flat(bomb)) < 1_000_000
    path = judged_run(tmp_path / "run").path
    with open(path / "config.yaml", "a") as file:
        file.write("\n".join(lines) + "\n")
    with pytest.raises(InputError, match="it expands to more than 2 MiB"):
        write_report([path])


NASTY = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        10**400,
        -(10**400),
        1e308,
        float("nan"),
        float("inf"),
        "",
        SCRIPT,
        "x" * 5000,
        [],
        [[]],
        {},
        {"a": {}},
    ]
)


def leaves(values, path=()):
    """The places of a nested value."""
    inner = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for key, value in inner:
        yield (*path, key)
        yield from leaves(value, (*path, key))


def put(values, path, value):
    for key in path[:-1]:
        values = values[key]
    values[path[-1]] = copy.deepcopy(value)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory):
    path = judged_run(tmp_path_factory.mktemp("fuzzed") / "run", suites=[passing(), failing()]).path
    files = [path / name for name in ("run.json", "verdict.json")]
    config = yaml.safe_load((path / "config.yaml").read_text())
    return path, {file: json.loads(file.read_text()) for file in files} | {path / "config.yaml": config}


@given(data=st.data())
@settings(max_examples=40)
def test_any_value_anywhere_is_shown_or_refused(fuzzed, data):
    path, files = fuzzed
    patch = pytest.MonkeyPatch()
    for name in ("observe", "findings_of"):  # what plays is tested elsewhere, and slow

        def refuse(*_, **__):
            raise InputError("not played")

        patch.setattr(one_run, name, refuse if name == "observe" else lambda *_, **__: None)
        patch.setattr(several_runs, "findings_of", lambda *_, **__: None)
    file = data.draw(st.sampled_from(sorted(files)))
    values = copy.deepcopy(files[file])
    for _ in range(data.draw(st.integers(1, 3))):
        places = list(leaves(values))
        put(values, data.draw(st.sampled_from(places)), data.draw(NASTY))
    try:
        file.write_text(yaml.safe_dump(values) if file.suffix == ".yaml" else json.dumps(values))
        for make in (lambda: one_run.run_page(path), lambda: several_runs.runs_page([path, path], "x", path)):
            try:
                page = Page(make())
            except InputError:
                continue
            assert not page.all("script")
    finally:
        for original, content in files.items():
            original.write_text(yaml.safe_dump(content) if original.suffix == ".yaml" else json.dumps(content))
        patch.undo()


def test_long_values_are_cut_and_say_how_long_they_were():
    assert brief("x" * 10_000) == "x" * 600 + " … (10,000 characters)"
    assert len(brief(["y" * 10_000] * 10_000)) < 20_000


def test_a_config_too_large_is_refused(tmp_path):
    path = judged_run(tmp_path / "run").path
    with open(path / "config.yaml", "a") as file:
        file.write("\n#" + "x" * (1 << 20))
    with pytest.raises(InputError, match="is larger than 256 KiB"):
        write_report([path])


def test_a_sweep_that_points_elsewhere_stays_in_its_folder(tmp_path):
    judged_run(tmp_path / "elsewhere")
    sweep = tmp_path / "sweep"
    sweep.mkdir()
    jobs = [{"directory": "../elsewhere"}, {"directory": str(tmp_path / "elsewhere")}, "x", {"directory": ".."}, None]
    (sweep / "sweep.json").write_text(json.dumps({"schema": 1, "jobs": jobs}))
    with pytest.raises(InputError, match="lists no run that is there"):
        write_report([sweep])


def test_a_policy_of_nan_is_no_crash(tmp_path):
    path = judged_run(tmp_path / "run", rule=np.full(4, np.nan)).path
    assert "NEEDS RUNS" in render(path)[1]
