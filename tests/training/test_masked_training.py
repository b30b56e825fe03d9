"""Action masks through a complete run: training, validation, judging and resuming take no illegal action."""

import numpy as np
import pytest

from rl_eval import config as configs
from rl_eval import domains, policy
from rl_eval.dry_run import dry_run
from rl_eval.errors import InputError
from rl_eval.hydra_compose import compose
from rl_eval.policy import Constant, Random, Spaces, Untrained
from rl_eval.rollout import PolicyFailure, play
from tests.masked_env import ACTIONS, Corridor, legal_actions
from tests.run_bytes import content
from tests.training.learn import ROOT, learn

SHORT = [
    "env=gym", "env.id=tests.masked_env:MaskedCorridor-v0", "agent.n_envs=4", "total_steps=2048", "log_every=256",
    "resume_every=512", "checkpoint_every=512", "validation.every=512", "validation.episodes=5",
    "validation.stop_at=null",
]  # fmt: skip
AGENTS = {
    "ppo": ["agent=ppo", "agent.n_steps=32", "agent.batch_size=32", "agent.n_epochs=2", "agent.ent_coef=0.01"],
    "ppo-autograd": ["agent=ppo", "agent.n_steps=32", "agent.batch_size=64", "agent.network.norm=layer"],
    "a2c": ["agent=a2c"],
    "a2c-workers": ["agent=a2c", "env.workers=2"],
    "dqn": ["agent=dqn", "agent.n_step=3", "agent.batch_size=32", "agent.buffer_size=600", "agent.learning_starts=100"],
    "dqn-prioritized": [
        "agent=dqn", "agent.prioritized=true", "agent.double=false", "agent.batch_size=32", "replay.storage=memmap",
        "agent.learning_starts=100",
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def masked_run(tmp_path_factory):
    """A run that nothing happened to; read only."""
    return learn([*SHORT, *AGENTS["ppo"]], tmp_path_factory.mktemp("masked") / "run").path


@pytest.mark.parametrize("overrides", AGENTS.values(), ids=AGENTS.keys())
def test_a_stopped_run_ends_with_the_bytes_of_one_that_was_not(overrides, tmp_path):
    uninterrupted = learn([*SHORT, *overrides], tmp_path / "whole")
    assert uninterrupted.info["status"] == "finished"
    stopped = learn([*SHORT, *overrides], tmp_path / "stopped", stop_at=1500)
    assert stopped.info["status"] == "interrupted"
    learn(None, stopped.path, resume=True)
    assert content(stopped.path) == content(uninterrupted.path)


@pytest.fixture
def config():
    return domains.validate({"name": "gym", "id": "tests.masked_env:MaskedCorridor-v0", "workers": 1})


def make(config, n_envs, **keywords):
    vector = domains.make(config, n_envs=n_envs, part="test", **keywords)
    return vector, Spaces.of(config, vector)


@pytest.mark.parametrize("greedy", [True, False])
@pytest.mark.parametrize("spec", ["run", "random", "constant:4", "untrained"])
def test_judged_policies_take_only_legal_actions(masked_run, config, spec, greedy):
    vector, spaces = make(config, 3, autoreset=False)
    acting = policy.load(str(masked_run) if spec == "run" else spec, spaces, config, seed=1)
    episodes = play(vector, acting, seeds=range(20), greedy=greedy)  # the environment raises on an illegal action
    assert len(episodes) == 20
    assert episodes.lengths.max() > 3


def test_a_policy_that_takes_no_mask_is_called_without_one(config):
    class Middle:
        def act(self, obs, greedy):
            return np.full(len(obs), 4)

    vector, _ = make(config, 3, autoreset=False)
    with pytest.raises(PolicyFailure, match="the mask forbids"):
        play(vector, Middle(), seeds=range(20))


def test_a_function_may_take_the_mask(config, monkeypatch, tmp_path):
    (tmp_path / "lowest.py").write_text("def act(obs, mask):\n    return mask.argmax(axis=1) + 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    vector, spaces = make(config, 3, autoreset=False)
    acting = policy.load("python:lowest:act", spaces, config, trust=True)
    assert len(play(vector, acting, seeds=range(20))) == 20


@pytest.mark.parametrize("workers", [1, 2])
def test_the_mask_is_that_of_the_observation(config, workers):
    vector, spaces = make(config.model_copy(update={"workers": workers}), 3)
    obs, infos = vector.reset(seed=5)
    acting, finals = Random(spaces.action, 0), 0
    for _ in range(60):
        for row, mask in zip(obs, infos["action_mask"], strict=True):
            np.testing.assert_array_equal(mask, legal_actions(*row))
        obs, _, terminated, truncated, infos = vector.step(acting.act(obs, False, infos["action_mask"]))
        for copy in np.flatnonzero(terminated | truncated):
            final, mask = infos["final_obs"][copy], infos["final_action_mask"][copy]
            np.testing.assert_array_equal(mask, legal_actions(*final) & ~terminated[copy])
            finals += 1
    assert finals > 5
    vector.close()


def test_environments_without_masks_give_none():
    vector, _ = make(domains.validate({"name": "gym", "id": "CartPole-v1"}), 2)
    assert vector.reset(seed=0)[1] == {}
    infos = [vector.step(np.array([0, 0]))[4] for _ in range(30)]
    assert set().union(*infos) == {"outcome", "final_obs", "_final_obs"}


def test_controls_choose_among_legal_actions():
    space, rng = Corridor.action_space, np.random.default_rng(0)
    obs, mask = rng.normal(size=(4000, 2)).astype(np.float32), np.tile([[True, False, True, False]], (4000, 1))
    rows = np.arange(4000)
    for acting in (Random(space, 0), Constant(space, "6"), Untrained(Corridor.observation_space, space, 0, 0)):
        for greedy in (True, False):
            assert mask[rows, acting.act(obs, greedy, mask) - 3].all()
    shares = np.bincount(Random(space, 0).act(obs, False, mask) - 3, minlength=ACTIONS) / 4000
    np.testing.assert_allclose(shares, [0.5, 0, 0.5, 0], atol=0.03)
    assert (Constant(space, "5").act(obs, True, mask) == 5).all()
    assert (Constant(space, "6").act(obs, True, mask) == 3).all()


def test_no_legal_action_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr("tests.masked_env.legal_actions", lambda position, step: np.full(ACTIONS, step < 3))
    run = learn([*SHORT, *AGENTS["a2c"]], tmp_path / "run")
    assert run.info["status"] == "failed"
    assert "action_mask allows no action in copy" in run.info["reason"]
    assert "\n" not in run.info["reason"]


def test_onnx_export_refuses_a_masked_policy(masked_run, tmp_path):
    from rl_eval.cli._export import export

    with pytest.raises(InputError, match="action masks"):
        export(masked_run, onnx=True, file=tmp_path / "policy.onnx")


@pytest.mark.parametrize("only", range(ACTIONS))
def test_a_masked_environment_is_tried_out_with_a_legal_action(only, monkeypatch):
    monkeypatch.setattr("tests.masked_env.legal_actions", lambda position, step: np.arange(ACTIONS) == only)
    config = configs.load(compose(ROOT / "conf", [*SHORT, "agent=ppo"]))
    dry_run(config)  # the environment raises on an illegal action
