"""Complete runs on synthetic scores: masks are honoured, a resumed run has the same bytes, a policy learns."""

import numpy as np
import pytest

from rl_eval import config as configs
from rl_eval import domains, policy
from rl_eval.domains.prompt import metrics
from rl_eval.hydra_compose import compose
from rl_eval.rollout import play
from rl_eval.run import environment_of, read_metrics, read_preprocessing
from tests.run_bytes import content
from tests.training.learn import ROOT, learn

SHORT = ["env=prompt", "tuned=none", "total_steps=1024", "log_every=256", "validation.every=512", "agent.n_envs=8"]
AGENTS = {
    "ppo": ["agent=ppo", "agent.n_steps=16", "agent.batch_size=64", "agent.n_epochs=2"],
    "a2c": ["agent=a2c", "agent.n_steps=8"],
    "dqn": ["agent=dqn", "agent.buffer_size=1000", "agent.learning_starts=100", "agent.updates_per_step=0.1"],
}


def judged_gain(run, spec):
    config = environment_of(run)
    count = domains.domain("prompt").episodes(config, "test")
    envs = domains.make(config, n_envs=count, part="test", autoreset=False)
    acting = policy.load(spec, policy.Spaces.of(config, envs), config, seed=0)
    episodes = play(envs, acting, seeds=range(count))
    assert not episodes.outcome["repeat"].any()
    return float(metrics.mean_judge_gain(episodes, config))


@pytest.mark.parametrize("overrides", AGENTS.values(), ids=AGENTS.keys())
def test_agents_take_legal_mutations_alone_and_repeats_cost_nothing(overrides, tmp_path):
    run = learn([*SHORT, *overrides], tmp_path / "run")
    assert run.info["status"] == "finished"
    assert not read_metrics(run.path / "metrics.csv")["reward/repeat"].any()
    assert np.isfinite(judged_gain(run, str(run.path)))


def test_a_stopped_run_ends_with_the_bytes_of_one_that_was_not(tmp_path):
    overrides = [*SHORT, *AGENTS["ppo"], "resume_every=256"]
    whole = learn(overrides, tmp_path / "whole")
    stopped = learn(overrides, tmp_path / "stopped", stop_at=600)
    assert stopped.info["status"] == "interrupted"
    learn(None, stopped.path, resume=True)
    assert content(stopped.path) == content(whole.path)


def test_the_run_records_the_encoder_and_the_rank_correlation(tmp_path):
    run = learn([*SHORT, *AGENTS["a2c"]], tmp_path / "run")
    correlation, low = metrics.reward_model_correlation(run), metrics.reward_model_correlation_low(run)
    assert -1 <= low <= correlation <= 1
    assert read_preprocessing(run)["encoder"]["identity"]["name"] == "hashed-ngrams"
    assert np.isfinite(metrics.shuffled_state_drop(run))


def test_the_experiment_has_the_settings_of_the_report():
    config = configs.load(compose(ROOT / "conf", ["experiment=prompt_report"]))
    agent, network = config.agent, config.agent.network
    assert (agent.name, agent.lr, agent.gamma, agent.gae_lambda) == ("ppo", 3e-4, 0.99, 0.95)
    assert (agent.clip_range, agent.clip_range_vf, agent.ent_coef, agent.vf_coef) == (0.2, 0.2, 0.01, 0.5)
    assert (agent.n_epochs, agent.batch_size, agent.n_envs * agent.n_steps) == (4, 64, 2048)
    assert agent.lr_schedule != "constant"
    assert network.widths == [256, 256, 128]
    assert (network.norm, network.dropout, network.activation, network.init) == ("batch", 0.1, "relu", "xavier")
    envs = domains.make(config.env, n_envs=1, part="train")
    assert (envs.single_observation_space.shape, envs.single_action_space.n) == ((1536,), 5)
    assert domains.domain("prompt").longest_episode(config.env) == 5


@pytest.mark.verify
def test_ppo_beats_the_best_sequence_on_tasks_it_never_saw(tmp_path):
    run = learn(["env=prompt", "agent=ppo"], tmp_path / "run")
    assert judged_gain(run, str(run.path)) > judged_gain(run, "baseline:best_sequence")
