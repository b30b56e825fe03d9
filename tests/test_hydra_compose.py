"""Configs as Hydra composes them, for one job and for many."""

from pathlib import Path

import pytest

from rl_eval import hydra_compose
from rl_eval.command_line import read_command_line, read_overrides
from rl_eval.errors import InputError
from rl_eval.hydra_compose import compose, compose_jobs, composed_directory, expand_sweep
from rl_eval.launch import plan

ROOT = Path(__file__).resolve().parents[1]
CONF = ROOT / "conf"
SWEEP = ["env=cartpole", "agent=ppo,dqn", "lr=1e-3,1e-4,null", "seed=1,2", "agent.network.widths=[8],[16,8]"]


def hydra_alone(overrides):
    """What Hydra makes of the overrides of one job, as plain values."""
    import hydra
    from omegaconf import OmegaConf

    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        return OmegaConf.to_container(hydra.compose("config", overrides=list(overrides)), resolve=True)


def test_jobs_that_share_a_composition_are_composed_as_by_hydra():
    jobs = expand_sweep(SWEEP)
    composed = compose_jobs(CONF, jobs)
    assert len(composed) == 24
    for index in (0, 7, 13, 23):
        assert composed[index] == hydra_alone(jobs[index])


@pytest.mark.parametrize(
    "overrides",
    [
        ["agent.lr=1", "agent={lr: 2}", "env=cartpole"],
        ["agent={lr: 2}", "agent.lr=1", "env=cartpole"],
        ["env=lunarlander", "+env.kwargs.continuous=true", "++env.kwargs.gravity=-3", "~tuned"],
        ["name=${env.name}-${seed}", "seed=1", "seed=2"],
        ["experiment=lunarlander_report", "~experiment"],
    ],
)
def test_the_order_of_overrides_and_interpolations_are_hydras(overrides):
    assert compose(CONF, overrides) == hydra_alone(overrides)


def test_a_hundred_jobs_take_one_composition_for_each_choice_of_options_and_one_step(monkeypatch):
    import rl_eval.dry_run

    calls = {"compose": 0, "step": 0}

    def counted(name, function):
        def call(*arguments, **keywords):
            calls[name] += 1
            return function(*arguments, **keywords)

        return call

    monkeypatch.setattr(hydra_compose, "_hydra_compose", counted("compose", hydra_compose._hydra_compose))
    monkeypatch.setattr(rl_eval.dry_run, "first_step", counted("step", rl_eval.dry_run.first_step))
    jobs = plan(CONF, ROOT / "suites", ["env=cartpole", "agent=ppo,a2c", "seed=range(50)"], True)
    assert len(jobs) == 100
    assert calls == {"compose": 2, "step": 1}


def test_hydras_sweeper_composes_no_job_before_the_first_starts():
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    hydra_compose.start_jobs_at_once()
    assert BasicSweeper(max_batch_size=None).validate_batch_is_legal([["no=such"]]) is None


def test_every_job_of_a_sweep_must_suit_its_environment():
    with pytest.raises(InputError, match="use agent=ppo or agent=a2c"):
        plan(CONF, ROOT / "suites", ["env=gym", "env.id=Pendulum-v1", "agent=ppo,dqn"], True)


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("hydra.run.dir='/x/q,1'", "/x/q,1"),
        ('hydra.run.dir="a=b"', "a=b"),
        ("hydra.run.dir=runs/${env.name}_${seed}", "runs/cartpole_7"),
        (r"hydra.run.dir='\${seed}'", "${seed}"),
        ("hydra.run.dir=${hydra:job.name}/x", "train/x"),
        ("hydra.run.dir=3", "3"),
    ],
)
def test_the_directory_of_a_run_is_read_by_hydras_rules(text, folder):
    assert composed_directory(CONF, ["env=cartpole", "seed=7", text], "hydra.run.dir") == Path(folder)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("agent.target_kl=None", None),
        ("agent.target_kl=null", None),
        ("agent.normalize_obs=True", True),
        ("agent.normalize_obs=False", False),
        ("name='None'", "None"),
        ("agent.network.widths=[64, 32]", [64, 32]),
        ("agent.network.activation=relu", "relu"),
        ("lr=1e-05", 1e-5),
    ],
)
def test_values_are_read_as_a_wandb_agent_writes_them(text, value):
    (override,) = read_command_line([text]).overrides
    section = compose(CONF, [override])
    for key in text.partition("=")[0].split("."):
        section = section[key]
    assert section == value


def test_none_is_null_in_a_sweep_as_well():
    jobs = expand_sweep(read_command_line(["-m", "agent.target_kl=None,0.1", "lr=choice(None,1)"]).overrides)
    values = [(override.value(), lr.value()) for override, lr in map(read_overrides, jobs)]
    assert values == [(None, None), (None, 1), (0.1, None), (0.1, 1)]


def test_the_path_of_an_existing_run_needs_no_quotes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("0_lr=0.0003,seed=1").mkdir()
    (override,) = read_overrides(["resume=0_lr=0.0003,seed=1"])
    assert override.value() == "0_lr=0.0003,seed=1"
    with pytest.raises(InputError, match="quotes"):
        read_overrides(["resume=1_lr=0.0003,seed=1"])
