"""Selection of the runs that a suite judges."""

from __future__ import annotations

import shutil

import pytest

from rl_eval.errors import InputError
from rl_eval.gates import load_suite, named_runs, newest_group, suites_for, train_command
from rl_eval.run import write_json
from tests.gates.fake_runs import write_run, write_suite


def suite(tmp_path, runs="{count: 1}", env="cartpole", train="{agent: ppo}", metric=None, name="s"):
    extra = f"spread: {{metric: {metric}, at_most: 1, by: estimate}}" if metric else ""
    return load_suite(
        write_suite(
            tmp_path / "suites" / f"{name}.yaml",
            f"""\
            rl_eval: 1
            env: {env}
            train: {train}
            runs: {runs}
            criteria:
              a: {{metric: mean_length, at_least: 1, by: estimate}}
              {extra}
            """,
        ),
        label=f"suites/{name}.yaml",
    )


def names(selection):
    return [run.path.name for run in selection.runs]


def test_the_newest_finished_run_of_environment_agent_and_settings(tmp_path):
    outputs = tmp_path / "outputs"
    for number, differing in enumerate(
        [{}, {}, {"agent": "a2c"}, {"env": {"name": "cartpole", "kwargs": {"sutton_barto_reward": True}}}]
    ):
        write_run(outputs / f"run{number}", **{"env": "cartpole", **differing})
    write_run(outputs / "slow", config={"lr": 1e-5})
    assert names(newest_group(suite(tmp_path, train="{agent: ppo, lr: null}"), outputs)) == ["run1"]
    assert names(newest_group(suite(tmp_path), outputs)) == ["slow"]
    assert names(newest_group(suite(tmp_path, train="{agent: a2c}"), outputs)) == ["run2"]
    assert names(newest_group(suite(tmp_path, train="{agent.lr: 1e-3, lr: 1e-5}"), outputs)) == ["slow"]


def sweep_of(folder, scores, *, settings="lr", **options):
    """A sweep with one job a score, the first job the oldest."""
    names = [f"{job}_{settings}={job}" for job in range(len(scores))]
    folder.mkdir(parents=True)
    write_json(folder / "sweep.json", {"jobs": [{"directory": name} for name in names]})
    for job, (name, score) in enumerate(zip(names, scores, strict=True)):
        differing = {"config": {"lr": 10.0**-job}} if settings == "lr" else {"seed": job}
        write_run(folder / name, info={"results": {"mean_return": score}}, **differing, **options)
    return folder


@pytest.mark.parametrize("settings", ["lr", "seed"])
def test_of_a_sweep_the_best_on_validation_whatever_the_test_set_says(tmp_path, settings):
    outputs = tmp_path / "outputs"
    write_run(outputs / "before", info={"results": {"mean_return": 500.0}})
    sweep = sweep_of(outputs / "day" / "a_sweep", [20.0, 30.0, 10.0], settings=settings)
    for job in sweep.glob("2_*"):  # nobody reads it
        write_json(job / "verdict.json", {"suites": [{"decision": "PASS", "criteria": []}]})
    selection = newest_group(suite(tmp_path), outputs)
    assert names(selection) == [f"1_{settings}=1"]
    assert selection.reasons == (f"the best on validation (mean_return 30) of the 3 finished jobs, of {sweep}",)
    write_run(outputs / "after", info={"results": {"mean_return": 1.0}})
    selection = newest_group(suite(tmp_path), outputs)
    assert names(selection) == ["after"]
    assert selection.reasons == ("the newest of 5 runs that fit",)


def test_of_a_sweep_of_several_groups_the_best_on_validation(tmp_path):
    outputs = tmp_path / "outputs"
    folder = outputs / "a_sweep"
    folder.mkdir(parents=True)
    write_json(folder / "sweep.json", {"jobs": [{"directory": "0"}]})
    for lr, score in ((1e-2, 40.0), (1e-3, 30.0), (1e-4, 90.0)):
        for seed in (1, 2) if lr > 1e-4 else (1,):  # the last group is not complete
            info = {"results": {"mean_return": score + seed}}
            write_run(folder / f"{lr}_{seed}", seed=seed, config={"lr": lr}, info=info)
    selection = newest_group(suite(tmp_path, runs="{count: 2}"), outputs)
    assert names(selection) == ["0.01_1", "0.01_2"]
    assert "the best on validation (mean_return 41.5) of the 2 groups of 2 runs" in selection.reasons[0]


def test_of_a_sweep_without_a_complete_group_the_best_job(tmp_path):
    sweep_of(tmp_path / "outputs" / "a_sweep", [20.0, 10.0])
    selection = newest_group(suite(tmp_path, runs="{count: 3}"), tmp_path / "outputs")
    assert names(selection) == ["0_lr=0"]
    assert "of the 2 groups, none with 3 runs" in selection.reasons[0]
    assert selection.too_few


def test_jobs_of_a_sweep_that_did_not_finish_are_counted(tmp_path):
    sweep = sweep_of(tmp_path / "outputs" / "a_sweep", [20.0, 10.0])
    write_run(sweep / "2_lr=2", config={"lr": 0.5}, status="failed")
    selection = newest_group(suite(tmp_path), tmp_path / "outputs")
    assert names(selection) == ["0_lr=0"]
    assert "of the 2 finished jobs (1 job did not finish)" in selection.reasons[0]


def test_jobs_that_cannot_be_compared_on_validation(tmp_path):
    sweep_of(tmp_path / "outputs" / "a_sweep", [None, None])
    selection = newest_group(suite(tmp_path), tmp_path / "outputs")
    assert names(selection) == ["1_lr=1"]
    assert "cannot be compared" in selection.reasons[0]


def test_what_is_newer_or_was_trained_for_longer_is_named(tmp_path):
    outputs = tmp_path / "outputs"
    write_run(outputs / "long", config={"total_steps": 200_000})
    assert newest_group(suite(tmp_path), outputs).reasons == ("the only run that fits",)
    write_run(outputs / "try", config={"total_steps": 4096})
    write_run(outputs / "other_agent", agent="a2c", config={"total_steps": 900_000})
    first, second = newest_group(suite(tmp_path), outputs).reasons
    assert first == "the newest of 2 runs that fit"
    assert f"{outputs / 'long'} was trained for longer (200,000 steps instead of 4,096)" in second
    fixed = suite(tmp_path, train="{agent: ppo, total_steps: 200000}")
    selection = newest_group(fixed, outputs)
    assert names(selection) == ["long"]
    assert f"{outputs / 'try'} is newer, but does not fit: total_steps is 4096, not 200000" in selection.reasons[1]


def test_why_a_group_was_taken(tmp_path):
    outputs = tmp_path / "outputs"
    judged = suite(tmp_path, runs="{count: 2}")
    write_run(outputs / "a", seed=1)
    assert newest_group(judged, outputs).reasons[0].startswith("1 of 2 runs")
    write_run(outputs / "b", seed=2)
    assert newest_group(judged, outputs).reasons[0].startswith("the only complete group of 2 runs")
    for seed in (1, 2):
        write_run(outputs / f"c{seed}", seed=seed, config={"lr": 1e-2})
    assert newest_group(judged, outputs).reasons[0].startswith("the newest of 2 complete groups of 2 runs")
    assert named_runs(judged, [outputs / "a", outputs / "b"]).reasons == ()


def test_a_list_in_train_selects_runs(tmp_path):
    outputs = tmp_path / "outputs"
    for number, widths in enumerate(([], [64])):
        write_run(outputs / f"run{number}", config={"agent": {"name": "ppo", "network": {"widths": widths}}})
    for number, widths in enumerate(("[]", "[64]")):
        checked = suite(tmp_path, train=f"{{agent.network.widths: {widths}}}")
        assert names(newest_group(checked, outputs)) == [f"run{number}"]


HOSTILE = {
    "brackets": "env: " + "[" * 3000,
    "bomb": "a0: &a0 [1, 1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60)),
    "merges": "a0: &a0 {k: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 60)),
    "seed": "env: {name: cartpole}\nseed: [1]",
    "keys": "env: {name: cartpole}\n1: 2\na: 3",
}


def test_damaged_runs_are_passed_over_and_named(tmp_path):
    outputs = tmp_path / "outputs"
    write_run(outputs / "good")
    for name, text in HOSTILE.items():
        (write_run(outputs / name).path / "config.yaml").write_text(text)
    for name, text in {
        "no agent": "env: {name: cartpole}",
        "name": "env: {name: []}",
    }.items():  # readable, yet no match
        (write_run(outputs / name).path / "config.yaml").write_text(text)
    selection = newest_group(suite(tmp_path), outputs)
    assert names(selection) == ["good"]
    assert len(selection.passed_over) == len(HOSTILE)
    for name, sentence in zip(sorted(HOSTILE), selection.passed_over, strict=True):
        assert str(outputs / name / "config.yaml") in sentence
        assert "\n" not in sentence
    shutil.rmtree(outputs / "good")
    with pytest.raises(InputError, match=r"train\.agent is not recorded"):
        newest_group(suite(tmp_path), outputs)
    shutil.rmtree(outputs / "no agent")
    with pytest.raises(InputError, match=r"no finished run in .*passed over: .* and 4 more"):
        newest_group(suite(tmp_path), outputs)


def test_without_a_run_the_error_says_how_to_train_one(tmp_path):
    with pytest.raises(InputError, match=r"train with `python train\.py env=cartpole agent=ppo`, or name a run"):
        newest_group(suite(tmp_path), tmp_path / "outputs")
    with pytest.raises(InputError, match=r"env=cartpole agent=ppo -m seed=1,2,3`, or name"):
        newest_group(suite(tmp_path, runs="{count: 3}"), tmp_path / "outputs")


@pytest.mark.parametrize(
    ("env", "train", "runs", "command"),
    [
        ("cartpole", "{agent: ppo}", "{count: 2, same_seed: true}",
         "python train.py env=cartpole agent=ppo seed=42 && python train.py env=cartpole agent=ppo seed=42"),
        ("{id: Acrobot-v1, success_return: -100}", "{agent: a2c, lr: 1e-3}", "{count: 1}",
         "python train.py env=gym env.id=Acrobot-v1 env.success_return=-100 agent=a2c lr=0.001"),
        ("{name: lunarlander, kwargs: {enable_wind: true}}", "{}", "{count: 1}",
         "python train.py env=lunarlander ++env.kwargs.enable_wind=true"),
        ("{name: threat, data: nsl_kdd, path: my data}", "{agent: ppo}", "{count: 1}",
         "python train.py env=threat env.data=nsl_kdd 'env.path=\"my data\"' agent=ppo"),
        ("{name: threat, data: nsl_kdd}", "{agent: ppo}", "{count: 1}",
         "python train.py env=threat env.data=nsl_kdd 'env.path=<folder or file of the data>' agent=ppo"),
        ("threat", "{agent: ppo}", "{count: 1}", "python train.py env=threat agent=ppo"),
        ("threat", "{agent.network.widths: [8, 8]}", "{count: 1}",
         "python train.py env=threat 'agent.network.widths=[8,8]'"),
    ],
)  # fmt: skip
def test_the_command_that_trains(tmp_path, env, train, runs, command):
    assert train_command(suite(tmp_path, env=env, train=train, runs=runs)) == command


def test_a_group_is_complete_with_enough_seeds_and_the_newest_of_each_counts(tmp_path):
    outputs = tmp_path / "outputs"
    for number, seed in enumerate([1, 2, 2, 3]):
        write_run(outputs / f"old{number}", seed=seed)
    write_run(outputs / "new", seed=1, config={"lr": 1e-2})
    group = newest_group(suite(tmp_path, runs="{count: 3}", metric="mean_return_seed_std"), outputs)
    assert (names(group), group.too_few) == (["old0", "old2", "old3"], None)


def test_the_back_end_does_not_matter_to_a_suite_but_separates_repeats(tmp_path):
    outputs = tmp_path / "outputs"
    write_run(outputs / "one", seed=1, env={"name": "cartpole", "backend": "auto"}, info={"backend": "gymnasium"})
    write_run(outputs / "two", seed=2, env={"name": "cartpole", "backend": "auto"}, info={"backend": "envpool"})
    judged = suite(tmp_path, runs="{count: 2}", metric="mean_return_seed_std")
    assert names(newest_group(judged, outputs)) == ["two"]
    both = named_runs(judged, [outputs / "one", outputs / "two"])
    assert "differs from" in both.too_few
    assert "in backend" in both.too_few


def test_too_few_runs_are_judged_but_not_compared(tmp_path):
    outputs = tmp_path / "outputs"
    write_run(outputs / "one", seed=1)
    group = newest_group(suite(tmp_path, runs="{count: 3}", metric="mean_return_seed_std"), outputs)
    assert names(group) == ["one"]
    assert "needs 3 finished runs, but there are only 1: train with `python train.py" in group.too_few


def test_same_seed_takes_repeats_of_one_seed(tmp_path):
    outputs = tmp_path / "outputs"
    for number, seed in enumerate([42, 42, 1, 2, 3]):
        write_run(outputs / f"run{number}", seed=seed)
    group = newest_group(suite(tmp_path, runs="{count: 2, same_seed: true}"), outputs)
    assert names(group) == ["run0", "run1"]


@pytest.mark.parametrize(
    ("status", "message"),
    [("failed", "failed (loss is not finite)"), ("running", "killed"), ("interrupted", "was interrupted")],
)
def test_a_run_that_did_not_finish_is_an_error_and_not_passed_over(tmp_path, status, message):
    outputs = tmp_path / "outputs"
    write_run(outputs / "a", seed=1)
    write_run(outputs / "b", seed=2, status=status)
    write_run(outputs / "c", seed=3)
    with pytest.raises(InputError) as raised:
        newest_group(suite(tmp_path, runs="{count: 2}"), outputs)
    assert message in str(raised.value)
    assert f"train.py resume={outputs / 'b'}" in str(raised.value)
    write_run(outputs / "d", seed=2)
    assert names(newest_group(suite(tmp_path, runs="{count: 2}"), outputs)) == ["c", "d"]


def test_a_single_run_is_passed_over_for_no_failure_but_its_own(tmp_path):
    outputs = tmp_path / "outputs"
    write_run(outputs / "a", seed=1)
    write_run(outputs / "b", seed=2, status="running")
    assert names(newest_group(suite(tmp_path), outputs)) == ["a"]
    write_run(outputs / "c", seed=1, status="failed")
    with pytest.raises(InputError, match=r"/c .seed 1. failed"):
        newest_group(suite(tmp_path), outputs)


def test_only_unfinished_runs(tmp_path):
    write_run(tmp_path / "outputs" / "a", status="failed")
    with pytest.raises(InputError, match=r"/a \(seed 1\) failed \(loss is not finite\)"):
        newest_group(suite(tmp_path), tmp_path / "outputs")


def test_named_runs_are_taken_whatever_trained_them(tmp_path):
    run = write_run(tmp_path / "a", agent="a2c")
    assert names(named_runs(suite(tmp_path), [run.path])) == ["a"]


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ("lunarlander", "is a run of lunarlander, but suites/s.yaml judges cartpole"),
        (
            {"name": "cartpole", "success_return": 3.0},
            r"with env.success_return=3.0, but .* judges 475.0: put `success_return:` ",
        ),
    ],
)
def test_a_named_run_of_another_environment_is_an_error(tmp_path, env, message):
    run = write_run(tmp_path / "a", env)
    with pytest.raises(InputError, match=message):
        named_runs(suite(tmp_path), [run.path])


def test_named_runs_that_are_no_runs(tmp_path):
    with pytest.raises(InputError, match="is neither a run directory nor a policy"):
        named_runs(suite(tmp_path), [tmp_path / "nowhere"])
    with pytest.raises(InputError, match="is not a run directory"):
        named_runs(suite(tmp_path), [tmp_path])
    with pytest.raises(InputError, match="was interrupted"):
        named_runs(suite(tmp_path), [write_run(tmp_path / "a", status="interrupted").path])


def test_a_run_or_policy_that_is_named_twice_is_judged_once(tmp_path, monkeypatch):
    """Or two spellings of one run would be a group whose runs agree perfectly."""
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "run")
    (tmp_path / "link").symlink_to("run")
    (tmp_path / "model.zip").write_bytes(b"1")
    repeats = suite(tmp_path, runs="{count: 2, same_seed: true}", metric="same_seed_return_std")
    selection = named_runs(repeats, ["run", str(tmp_path / "run"), "link", "./run/"])
    assert names(selection) == ["run"]
    assert selection.too_few
    policies = ["sb3:ppo:model.zip", "random", f"sb3:PPO:{tmp_path}/model", "random"]
    assert [str(judged.path) for judged in named_runs(suite(tmp_path), policies).runs] == policies[:2]


def test_a_named_sweep_stands_for_its_runs(tmp_path):
    sweep = tmp_path / "sweep"
    for seed in (1, 2):
        write_run(sweep / f"{seed - 1}_seed={seed}", seed=seed)
    write_json(sweep / "sweep.json", {"jobs": [{"directory": "0_seed=1"}, {"directory": "1_seed=2"}]})
    checked = suite(tmp_path, runs="{count: 2}")
    assert names(named_runs(checked, [sweep])) == ["0_seed=1", "1_seed=2"]
    write_json(sweep / "sweep.json", {"jobs": [{"directory": "0_seed=1"}, {"directory": "2_seed=3"}]})
    with pytest.raises(InputError, match=r"2_seed=3, a run of the sweep .* is missing"):
        named_runs(checked, [sweep])


@pytest.mark.parametrize(
    ("runs", "second", "message"),
    [
        ("{count: 2}", {"seed": 2, "config": {"lr": 1e-2}}, "differs from .* in lr"),
        ("{count: 2}", {"seed": 1}, "have the seeds 1, 1: name runs of different seeds"),
        ("{count: 2, same_seed: true}", {"seed": 2}, "have the seeds 1, 2: name runs of one seed"),
    ],
)
def test_named_runs_that_are_no_group_cannot_be_compared(tmp_path, runs, second, message):
    import re

    paths = [write_run(tmp_path / "a", seed=1).path, write_run(tmp_path / "b", **second).path]
    assert re.search(message, named_runs(suite(tmp_path, runs=runs), paths).too_few)


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ("{agemt: ppo}", r"train\.agemt is not recorded in runs.*did you mean 'agent'"),
        ("{experiment: report}", r"train\.experiment is not recorded in runs"),
        ("{validation: x}", r"train\.validation is a config group, and runs do not record its choice"),
    ],
)
def test_a_setting_that_runs_do_not_record_is_an_error(tmp_path, train, message):
    write_run(tmp_path / "outputs" / "a")
    with pytest.raises(InputError, match=message):
        newest_group(suite(tmp_path, train=train), tmp_path / "outputs")


def test_suites_of_a_run(tmp_path):
    suite(tmp_path, name="a")
    suite(tmp_path, name="b", env="lunarlander")
    suite(tmp_path, name="c")
    write_suite(tmp_path / "suites" / "other.yaml", "rl_evaluation: no suite\n")
    run = write_run(tmp_path / "run")
    assert [suite.name for suite in suites_for(run, tmp_path / "suites")] == ["a", "c"]
    assert [suite.name for suite in suites_for(run.config, tmp_path / "suites")] == ["a", "c"]
    assert suites_for(run, tmp_path / "nowhere") == []


def test_a_run_is_not_judged_by_the_suite_of_another_agent(tmp_path):
    suite(tmp_path, name="any_agent", train="{}")
    suite(tmp_path, name="of_ppo", train="{agent: ppo, total_steps: 7}")
    suite(tmp_path, name="of_dqn", train="{agent: dqn}")
    judged_by = {
        agent: [suite.name for suite in suites_for(write_run(tmp_path / agent, agent=agent), tmp_path / "suites")]
        for agent in ("ppo", "dqn", "a2c")
    }
    assert judged_by == {
        "ppo": ["any_agent", "of_ppo"],
        "dqn": ["any_agent", "of_dqn"],
        "a2c": ["any_agent", "of_dqn", "of_ppo"],  # none is its own: it is held to the bars of the others
    }


def test_the_data_path_is_not_part_of_the_environment(tmp_path):
    judged = suite(tmp_path, env="{name: threat, data: nsl_kdd}")
    from rl_eval.gates.suite_files import matches_environment

    env = {"name": "threat", "data": "nsl_kdd", "path": "/somewhere"}
    assert matches_environment(judged, env)
    assert not matches_environment(judged, {**env, "prevalence": 0.1})
    assert not matches_environment(judged, {"name": "threat", "data": "no such data"})
