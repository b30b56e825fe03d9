"""How runs are read and grouped, runs that cannot be compared, and hostile run directories: nothing is executed."""

import shlex
import sys

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from agents import AGENTS
from rl_eval.compare import compare_runs, groups, run_sources
from rl_eval.errors import InputError
from rl_eval.gates.verdict import CriterionVerdict, SuiteVerdict
from rl_eval.run import write_json
from rl_eval.run._directory import MAX_CONFIG_BYTES
from rl_eval.run._table import MAX_TABLE_BYTES
from tests.gates import fake_agent
from tests.gates.fake_runs import BALANCE, FALL, write_run


@pytest.fixture(autouse=True)
def _fake_agent(monkeypatch):
    monkeypatch.setitem(AGENTS, "fake", fake_agent.ENTRY)


def compare(*runs, **options):
    return compare_runs([str(run.path) for run in runs], episodes=4, **options)


def refusal(*runs, **options):
    with pytest.raises(InputError) as raised:
        compare(*runs, **options)
    message = str(raised.value)
    assert "\n" not in message
    return message


def test_runs_that_differ_only_in_the_seed_are_one_group(tmp_path):
    runs = [
        write_run(tmp_path / f"{seed}", seed=seed, config={"lr": lr}) for lr in (1, 2) for seed in (3 * lr, 3 * lr + 1)
    ]
    result = compare(*runs)
    assert [(group.label, group.seeds) for group in result.groups] == [("lr=1", (3, 4)), ("lr=2", (6, 7))]
    assert result.differing == {"lr": ("1", "2")}
    assert [list(scores.seeds) for scores in result.scores] == [[3, 4], [6, 7]]


def test_a_seed_that_is_trained_again_counts_once(tmp_path):
    runs = [write_run(tmp_path / name, seed=1) for name in ("first", "again")]
    result = compare(*runs)
    assert [run.name for run in result.groups[0].runs] == [str(runs[1].path)]
    assert "1 of its runs repeat the seed" in result.notes[0]


def test_a_run_that_is_named_twice_counts_once(tmp_path):
    run = write_run(tmp_path / "run")
    result = compare(run, run)
    assert [len(group.runs) for group in result.groups] == [1]
    assert result.notes[0] == f"{run.path} is named twice, and counts once"
    assert not any("named twice" in note for note in compare(run, baseline=[str(run.path)]).notes)


@pytest.mark.parametrize(("options", "named"), [({"bounds": (5.0, 1.0)}, "--bounds 5 1"), ({"gate": True}, "--gate")])
def test_nothing_is_played_for_options_that_cannot_hold(tmp_path, options, named):
    def play(*progress):
        raise AssertionError(progress)

    assert named in refusal(write_run(tmp_path / "run"), on_episodes=play, **options)


def test_the_command_that_finishes_a_run_can_be_pasted(tmp_path):
    finished, stopped = write_run(tmp_path / "a"), write_run(tmp_path / "it's b; c", status="interrupted")
    command = refusal(finished, stopped).split("`")[1]
    *program, override = shlex.split(command)
    assert program == ["python", "train.py"]
    parsed = OverridesParser.create().parse_override(override)
    assert (parsed.key_or_group, parsed.value()) == ("resume", str(stopped.path))


def test_the_names_of_runs_and_their_trackers_make_no_groups(tmp_path):
    runs = [
        write_run(tmp_path / "a", seed=1, config={"name": "x"}),
        write_run(tmp_path / "b", seed=2, config={"tracker": {"name": "wandb", "tags": ["night"]}}),
    ]
    assert len(compare(*runs).groups) == 1


def test_the_baseline_may_have_the_config_of_the_candidate(tmp_path):
    old, new = (write_run(tmp_path / name, info={"git_revision": name}) for name in ("old", "new"))
    result = compare(new, baseline=[str(old.path)])
    assert [group.label for group in result.groups] == ["baseline", "candidate"]
    assert [group.runs[0].name for group in result.groups] == [str(old.path), str(new.path)]
    assert "the groups were trained by different commits (baseline: old; candidate: new)" in result.notes


def test_a_baseline_of_several_configs_is_refused(tmp_path):
    runs = [write_run(tmp_path / f"{lr}", config={"lr": lr}) for lr in (1, 2)]
    assert "--baseline differ in lr" in refusal(runs[0], baseline=[str(run.path) for run in runs])


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"env": {"name": "lunarlander"}}, "has env.name=lunarlander and"),
        ({"env": {"name": "cartpole", "success_return": 100}}, "has env.success_return=100.0 and"),
        ({"config": {"validation": {"metric": "success_rate"}}}, "name one with --metric"),
        ({"status": "failed"}, "failed, so its final result is unknown"),
        ({"status": "running"}, "is still running, or was killed"),
        ({"status": "interrupted"}, "was interrupted"),
        ({"info": {"data_fingerprints": {"test": "other"}}}, "the test part of the data"),
    ],
)
def test_runs_that_are_not_comparable_are_refused(tmp_path, other, reason):
    first = write_run(tmp_path / "first", info={"data_fingerprints": {"test": "one"}})
    options = {"rule": [0.0] * 8 if "lunarlander" in str(other) else BALANCE, **other}
    second = write_run(tmp_path / "second", bias=(0.0,) * 4 if "lunarlander" in str(other) else (0.0, 0.0), **options)
    message = refusal(first, second)
    assert reason in message
    assert "second" in message


def test_the_backend_is_a_setting_and_not_another_task(tmp_path):
    runs = [
        write_run(tmp_path / name, {"name": "cartpole", "backend": "auto"}, info={"backend": name})
        for name in ("gymnasium", "envpool")
    ]
    assert compare(*runs).differing == {"env.backend": ("gymnasium", "envpool")}


def test_the_number_of_workers_is_no_difference(tmp_path):
    runs = [write_run(tmp_path / f"{n}", {"name": "cartpole", "workers": n}, seed=n) for n in (1, 2)]
    assert len(compare(*runs).groups) == 1


@pytest.mark.parametrize(
    ("metric", "reason"),
    [("f1", "reads 'label'"), ("mean_length", "has a better direction"), ("nope", "is not a metric")],
)
def test_a_metric_that_cannot_be_compared_is_refused(tmp_path, metric, reason):
    assert reason in refusal(write_run(tmp_path / "run"), metric=metric)


def criterion(name, decision):
    return CriterionVerdict(
        "cartpole", name, "mean_return", decision, "", "estimate", "at_least", threshold=475.0, estimate=480.0
    )


def write_verdict(run, *criteria, gate_seed=5, part="test", **changed):
    """`changed` replaces fields of the first criterion."""
    names = ("cartpole", "suites/cartpole.yaml", "cartpole", "greedy")
    suite = SuiteVerdict(*names, gate_seed, ("here",), criteria, part=part)
    values = suite.to_json()
    values["criteria"] = [{**values["criteria"][0], **changed}, *values["criteria"][1:]]
    write_json(run.path / "verdict.json", {"suites": [values]})


def test_verdicts_of_different_gate_seeds_are_refused(tmp_path):
    runs = [write_run(tmp_path / f"{lr}", config={"lr": lr}) for lr in (1, 2)]
    for run, seed in zip(runs, (5, 6), strict=True):
        write_verdict(run, criterion("solved", "PASS"), gate_seed=seed)
    assert "judged with gate_seed 6" in refusal(*runs, with_verdicts=True)
    result = compare(*runs)  # they play episodes of their own
    assert result.verdicts == {}


def test_verdicts_by_different_numbers_of_episodes_are_refused(tmp_path):
    runs = [write_run(tmp_path / f"{lr}", config={"lr": lr}) for lr in (1, 2)]
    for run, most in zip(runs, (400, 401), strict=True):
        write_verdict(run, criterion("solved", "PASS"), unit="episode", units_max=most)
    assert "judged with episodes 401" in refusal(*runs, with_verdicts=True)


def test_verdicts_are_counted(tmp_path):
    runs = [write_run(tmp_path / f"{lr}{seed}", seed=seed, config={"lr": lr}) for lr in (1, 2) for seed in (1, 2)]
    for run, decision in zip(runs, ("PASS", "PASS", "PASS", "FAIL"), strict=True):
        write_verdict(run, criterion("solved", decision), criterion("seeds", "NEEDS_RUNS"))
    assert compare(*runs, with_verdicts=True).verdicts == {"cartpole/solved": ("2/2", "1/2")}


def test_what_is_not_checked_does_not_count(tmp_path):
    runs = [write_run(tmp_path / f"{lr}{seed}", seed=seed, config={"lr": lr}) for lr in (1, 2) for seed in (1, 2)]
    for run, decision in zip(runs, ("PASS", "NOT_CHECKED", "NOT_CHECKED", "NOT_CHECKED"), strict=True):
        write_verdict(run, criterion("held_out", decision), criterion("solved", "PASS"))
    verdicts = compare(*runs, with_verdicts=True).verdicts
    assert verdicts == {"cartpole/held_out": ("1/1", "not checked"), "cartpole/solved": ("2/2", "2/2")}


def test_verdicts_on_validation_are_named_so_and_not_mixed_with_those_on_the_test_set(tmp_path):
    runs = [write_run(tmp_path / f"{lr}", config={"lr": lr}) for lr in (1, 2)]
    for run in runs:
        write_verdict(run, criterion("solved", "PASS"), part="validation")
    assert compare(*runs, with_verdicts=True).verdicts == {"cartpole/solved (validation)": ("1/1", "1/1")}
    write_verdict(runs[1], criterion("solved", "PASS"))
    assert "judged with part 'test'" in refusal(*runs, with_verdicts=True)


@pytest.mark.parametrize(("field", "value"), [("estimate", "abc"), ("decision", "BANANA"), ("criterion", None)])
def test_a_damaged_verdict_is_refused(tmp_path, field, value):
    run = write_run(tmp_path / "run")
    write_verdict(run, criterion("solved", "PASS"), **{field: value})
    assert f"verdict.json is damaged at suites.0.criteria.0.{field}" in refusal(run, with_verdicts=True)


def test_a_missing_verdict_is_an_error(tmp_path):
    assert "verdict.json does not exist" in refusal(write_run(tmp_path / "run"), with_verdicts=True)


# --- hostile directories ---------------------------------------------------------------------------


def test_an_environment_of_a_module_is_not_imported_without_trust(tmp_path, monkeypatch):
    (tmp_path / "stranger.py").write_text("raise SystemExit('executed')")
    monkeypatch.syspath_prepend(str(tmp_path))
    run = write_run(tmp_path / "run", {"name": "gym", "id": "CartPole-v1"})
    text = (run.path / "config.yaml").read_text().replace("id: CartPole-v1", "id: stranger:Env-v0")
    (run.path / "config.yaml").write_text(text)
    assert "add --trust" in refusal(run)
    assert "stranger" not in sys.modules


def test_a_yaml_bomb_is_refused(tmp_path):
    run = write_run(tmp_path / "run")
    bomb = "a0: &a0 [1, 1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
    (run.path / "config.yaml").write_text(bomb + "env: {name: cartpole}\n")
    assert "more than 2 MiB of values" in refusal(run)


def test_a_config_that_holds_itself_is_refused(tmp_path):
    run = write_run(tmp_path / "run")
    (run.path / "config.yaml").write_text("env: &env {name: cartpole, again: *env}\n")
    assert "contains itself" in refusal(run)


def test_deep_nesting_is_refused(tmp_path):
    run = write_run(tmp_path / "run")
    (run.path / "config.yaml").write_text("env: {name: cartpole}\nx: " + "[" * 5000 + "]" * 5000)
    assert "config.yaml" in refusal(run)


@pytest.mark.parametrize(("file", "limit"), [("config.yaml", MAX_CONFIG_BYTES), ("metrics.csv", MAX_TABLE_BYTES)])
def test_a_huge_file_is_not_read(tmp_path, file, limit):
    run = write_run(tmp_path / "run")
    with open(run.path / file, "ab") as opened:
        opened.truncate(limit + 1)  # sparse
    assert f"{file} is larger than" in refusal(run)


def test_a_sweep_may_not_point_elsewhere(tmp_path):
    write_run(tmp_path / "elsewhere")
    (tmp_path / "sweep").mkdir()
    write_json(tmp_path / "sweep" / "sweep.json", {"jobs": [{"directory": "../elsewhere"}, {"directory": 7}, 3]})
    with pytest.raises(InputError, match="sweep/elsewhere is not a directory"):
        compare_runs([str(tmp_path / "sweep")])


@pytest.mark.parametrize("jobs", [[], "x", None, [3]])
def test_a_sweep_without_runs_is_an_error(tmp_path, jobs):
    write_json(tmp_path / "sweep.json", {"jobs": jobs})
    with pytest.raises(InputError, match="lists no run"):
        compare_runs([str(tmp_path)])


def test_infinities_give_no_curves_and_no_results(tmp_path):
    run = write_run(tmp_path / "run")
    (run.path / "metrics.csv").write_text("env_steps,episode_return_mean,validation_score\nnan,inf,nan\n1,nan,-inf\n")
    result = compare(run, write_run(tmp_path / "other", rule=FALL, config={"lr": 2}))
    assert result.curves == {}
    assert result.scores[0].values[0] > result.scores[1].values[0]


def test_only_our_own_policy_classes_are_loaded_from_a_run(tmp_path):
    from rl_eval.run import read_checkpoint, write_checkpoint

    run = write_run(tmp_path / "run")
    snapshot = run.path / "snapshots" / "step_100"
    arrays, meta = read_checkpoint(snapshot, "policy")
    write_checkpoint(snapshot, "policy", arrays, {**meta, "agent": "os.system"})
    assert "agent='os.system' is not an agent" in refusal(run)


def test_differences_are_written_as_overrides(tmp_path):
    configs = [
        {"lr": None, "agent": {"name": "ppo", "clip": True}},
        {"lr": 1e-3, "agent": {"name": "ppo", "clip": False}},
    ]
    runs = [write_run(tmp_path / f"{n}", config=config) for n, config in enumerate(configs)]
    compared_runs = [run_sources.read_directory(run.path) for run in runs]
    assert groups.differing_settings(groups.group_runs(compared_runs)) == {
        "lr": ("null", "0.001"),
        "agent.clip": ("true", "false"),
    }


def test_markup_in_names_and_values_is_escaped(tmp_path, capsys):
    from rl_eval.cli import main

    values = ("[red]x[/red]", "<script>alert(1)</script>\x1b[31m")
    runs = [write_run(tmp_path / f"[bold]{n}", config={"note": value}) for n, value in enumerate(values)]
    page = tmp_path / "page.html"
    assert main(["compare", *(str(run.path) for run in runs), "--episodes", "2", "--html", str(page)]) == 0
    out = capsys.readouterr().out
    assert "[red]x[/red]" in out
    assert "\x1b" not in out
    html = page.read_text()
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_config_of_run_is_plain_yaml(tmp_path):
    run = write_run(tmp_path / "run")
    (run.path / "config.yaml").write_text(
        "env: {name: cartpole}\nx: !!python/object/apply:os.system ['echo executed']\n"
    )
    with pytest.raises(InputError, match="not valid YAML"):
        compare_runs([str(run.path)])
