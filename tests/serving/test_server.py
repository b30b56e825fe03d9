"""Learning from served decisions: the same bytes as in training, versions, checkpoints, and folders that go on."""

import asyncio
import contextlib

import numpy as np
import pytest
import yaml

from rl_eval import domains
from rl_eval.errors import InputError
from rl_eval.serving import checkpoints
from rl_eval.serving.learning import Learner
from rl_eval.serving.rows import Decision
from rl_eval.serving.source import load, version_of
from rl_eval.serving.store import Store
from tests.serving.served_runs import AGENTS, OBS, client_of, live, observations, policy_server, write_run


def play(client, steps, units, env_seed=0, greedy=False):
    """Let the server play CartPole; every step's experience is stored. Returns what happened, by name `[T, N, …]`."""
    config = domains.validate({"name": "cartpole"})
    envs = domains.make(config, n_envs=units, part="train")
    obs, _ = envs.reset(seed=env_seed)
    names = [f"unit-{i}" for i in range(units)]
    rows = []
    for _ in range(steps):
        answer = client.post(
            "/select_action", json={"observation": obs.tolist(), "unit": names, "greedy": greedy}
        ).json()
        actions = np.array(answer["action"])
        following, rewards, terminated, truncated, infos = envs.step(actions)
        next_obs = np.where((terminated | truncated)[:, None], infos.get("final_obs", following), following)
        for i, decision_id in enumerate(answer["decision_id"]):
            body = {
                "decision_id": decision_id,
                "reward": float(rewards[i]),
                "done": bool(terminated[i] | truncated[i]),
                "truncated": bool(truncated[i] & ~terminated[i]),
                "next_observation": next_obs[i].tolist(),
            }
            assert client.post("/store_experience", json=body).status_code == 200
        rows.append((obs.astype(np.float32), actions, rewards, terminated, truncated & ~terminated, next_obs))
        obs = following
    columns = {}
    for name, values in zip(
        ("obs", "actions", "rewards", "terminated", "truncated", "next_obs"), zip(*rows, strict=True), strict=True
    ):
        stacked = np.stack(values, axis=1)
        columns[name] = stacked.reshape(-1, *stacked.shape[2:])
    columns["next_obs"] = columns["next_obs"].astype(np.float32)
    columns["streams"] = np.repeat(np.arange(units), steps)
    return columns


@pytest.mark.parametrize("agent", ["ppo", "dqn"])
def test_what_was_trained_with_bins_and_all_actions_learns_from_the_action_taken(tmp_path, agent):
    path = tmp_path / agent
    write_run(path, [*AGENTS[agent], "agent.input_bins=4"])
    config = yaml.safe_load((path / "config.yaml").read_text())
    config["agent"] |= {"gamma": 0.0, "gae_lambda": 0.0, "all_actions": True} if agent == "ppo" else {}
    (path / "config.yaml").write_text(yaml.safe_dump(config))
    source = load(str(path), seed=0, trust=False)
    learner = Learner(source, None, tmp_path)
    learner.start(source.arrays, source.meta)
    np.testing.assert_array_equal(learner.agent.encoding.low, source.arrays["encoding.low"])
    with client_of(path, tmp_path / "folder") as client:
        columns = play(client, 40, 1 if agent == "dqn" else 4, env_seed=0)
    assert np.isfinite(learner.agent.learn_from(columns)["value_loss"])
    assert version_of(learner.agent.policy_checkpoint()[0]) != version_of(source.arrays)


@pytest.mark.parametrize("agent", ["ppo", "a2c", "dqn"])
def test_an_update_is_that_of_the_agent_on_the_same_transitions(runs, tmp_path, agent):
    """To the bit, twice: the second one starts from what the first one learned."""
    units, steps = (1, 40) if agent == "dqn" else (4, 8)
    learner = Learner(load(str(runs / agent), seed=0, trust=False), None, tmp_path)
    learner.start(learner._source.arrays, learner._source.meta)
    with client_of(runs / agent, tmp_path / "folder") as client:
        versions = [client.server.policy.version]
        for round_ in range(2):
            columns = play(client, steps, units, env_seed=round_)
            answer = client.post("/update").json()
            losses = learner.agent.learn_from(columns)
            assert answer["updated"]
            assert answer["transitions"] == units * steps
            assert answer["losses"]["value_loss"] == losses["value_loss"]
            assert answer["policy_version"] == version_of(learner.agent.policy_checkpoint()[0])
            versions.append(answer["policy_version"])
        assert len(set(versions)) == 3


def test_an_update_says_how_many_transitions_are_missing(client):
    live(client, 20)
    before = client.get("/health").json()["policy_version"]
    answer = client.post("/update").json()
    assert (answer["updated"], answer["transitions"], answer["needed"]) == (False, 20, 12)
    assert answer["policy_version"] == before
    live(client, 12, seed=1)
    assert client.post("/update").json()["updated"]


def test_ppo_learns_from_drawn_actions_of_the_current_version_alone(client):
    live(client, 32, greedy=True)
    assert client.post("/update").json()["needed"] == 32
    live(client, 32)
    late = client.post("/select_action", json={"observation": OBS}).json()["decision_id"]
    assert client.post("/update").json()["updated"]
    assert client.post("/store_experience", json={"decision_id": late, "reward": 1.0, "done": True}).status_code == 200
    assert client.post("/update").json()["transitions"] == 0


def test_dqn_learns_from_every_version_and_from_greedy_decisions(runs, tmp_path):
    with client_of(runs / "dqn", tmp_path / "folder") as client:
        live(client, 32, greedy=True)
        assert client.post("/update").json()["transitions"] == 32
        live(client, 4, seed=1)
        assert client.post("/update").json()["transitions"] == 4


def test_update_after_lowers_what_an_update_needs(runs, tmp_path):
    for agent in ("ppo", "dqn"):
        with client_of(runs / agent, tmp_path / agent, update_after=10) as client:
            live(client, 18 if agent == "dqn" else 10)
            assert client.post("/update").json()["updated"]


def store(client, count, seed):
    """Whole transitions, the same for the same seed."""
    rng = np.random.default_rng(seed)
    for i, row in enumerate(observations(count, seed=seed)):
        body = {
            "decision_id": f"own-{seed}-{i}",
            "observation": row.tolist(),
            "action": int(rng.integers(2)),
            "reward": float(rng.standard_normal()),
            "done": bool(rng.random() < 0.5),
            "next_observation": observations(1, seed=seed + i)[0].tolist(),
            "policy_version": client.server.policy.version,
            "unit": f"unit-{i % 3}",
        }
        assert client.post("/store_experience", json=body).status_code == 200


@pytest.mark.parametrize("agent", ["ppo", "dqn"])
def test_a_folder_goes_on_where_it_was(runs, tmp_path, agent):
    """After a restart the learned policy is served, and learns on to the same bytes as without the restart."""
    learned = {}
    for name, restart in (("whole", False), ("restarted", True)):
        with contextlib.ExitStack() as stack:
            client = stack.enter_context(client_of(runs / agent, tmp_path / name, update_after=20))
            for seed in range(3):
                store(client, 24, seed)
                version = client.post("/update").json()["policy_version"]
                if restart and seed == 1:
                    stack.close()
                    client = stack.enter_context(client_of(runs / agent, tmp_path / name, update_after=20))
                    assert client.get("/health").json()["policy_version"] == version
                    assert client.get("/stats").json()["experiences"] == 48
                learned[name, seed] = version
    assert [learned["whole", i] for i in range(3)] == [learned["restarted", i] for i in range(3)]
    assert len(set(learned.values())) == 3


def test_an_update_that_cannot_be_kept_leaves_everything_as_it_was(client, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    live(client, 32)
    before = client.get("/health").json()["policy_version"]
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "write_version", full)
        answer = client.post("/update")
    assert answer.status_code == 503
    assert "No space left" in answer.json()["detail"]
    assert client.get("/health").json()["policy_version"] == before
    assert client.post("/update").json()["transitions"] == 32


def test_the_version_before_stays_until_the_disk_has_the_next_one(client, monkeypatch):
    """Else a power failure could bring back a record that names a version that is gone."""

    def fails(self):
        raise OSError(5, "Input/output error")

    folder = client.server.folder / "versions"
    live(client, 32)
    assert client.post("/update").json()["updated"]
    with monkeypatch.context() as patch:
        patch.setattr(Store, "wait_for_disk", fails)
        live(client, 32, seed=1)
        assert client.post("/update").json()["updated"]
        assert sorted(path.name for path in folder.iterdir()) == ["1", "2"]
    live(client, 32, seed=2)
    assert client.post("/update").json()["updated"]
    assert [path.name for path in folder.iterdir()] == ["3"]


@pytest.mark.parametrize("replaced", [False, True])
def test_a_store_that_somebody_removed_acknowledges_nothing(client, replaced):
    decision_id = client.post("/select_action", json={"observation": OBS}).json()["decision_id"]
    file = client.server.folder / "store.sqlite"
    file.rename(file.with_name("elsewhere"))
    if replaced:
        file.touch()
    experience = {"decision_id": decision_id, "reward": 1.0, "done": True}
    bodies = {"/select_action": {"observation": OBS}, "/store_experience": experience, "/save": {"name": "a"}}
    for path, body in bodies.items():
        answer = client.post(path, json=body)
        assert answer.status_code == 503
        assert "store.sqlite" in answer.json()["detail"]
    assert client.post("/select_action", json={"observation": OBS, "record": False}).status_code == 200


def test_a_folder_whose_store_cannot_be_opened_is_refused(runs, tmp_path):
    (tmp_path / "folder" / "store.sqlite").mkdir(parents=True)
    with pytest.raises(InputError, match="cannot be written"):
        policy_server(runs / "ppo", tmp_path / "folder")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "store.sqlite").write_bytes(b"nothing of SQLite" * 100)
    with pytest.raises(InputError, match="not a store"):
        policy_server(runs / "ppo", tmp_path / "other")


def test_a_checkpoint_is_served_again(client, tmp_path):
    first = client.post("/save", json={"name": "first"}).json()["policy_version"]
    live(client, 32)
    second = client.post("/update").json()["policy_version"]
    assert first != second
    assert client.post("/load", json={"name": "first"}).json()["policy_version"] == first
    assert client.post("/select_action", json={"observation": OBS}).json()["policy_version"] == first
    live(client, 32, seed=1)
    assert client.post("/update").json()["updated"]
    stats = client.get("/stats").json()
    assert stats["versions"][:2] == [second, first]
    assert (len(stats["versions"]), stats["updates"], stats["loads"]) == (3, 2, 1)


def test_what_stats_counts_of_the_folder_survives_a_restart(runs, tmp_path):
    own = {"observation": OBS, "action": 0, "unit": "u", "next_observation": OBS}
    with client_of(runs / "ppo", tmp_path / "folder", update_after=4) as client:
        for reward, done in ((1.0, False), (2.0, True), (5.0, True), (7.0, False)):
            version = client.server.policy.version
            body = {**own, "reward": reward, "done": done, "policy_version": version}
            assert client.post("/store_experience", json=body).status_code == 200
        client.post("/save", json={"name": "first"})
        assert client.post("/update").json()["updated"]
        client.post("/load", json={"name": "first"})
        before = client.get("/stats").json()
        assert (before["episodes"], before["mean_return"]) == (2, 4.0)
        assert (before["updates"], before["loads"], len(before["versions"])) == (1, 1, 2)
        assert before["last_update"] is not None
        assert before["losses"]
    with client_of(runs / "ppo", tmp_path / "folder", update_after=4) as client:
        after = client.get("/stats").json()
        ours = ("uptime_s", "requests", "buffer_fill")
        assert {key: value for key, value in after.items() if key not in ours} == {
            key: value for key, value in before.items() if key not in ours
        }
        client.post("/store_experience", json={**own, "reward": 1.0, "done": True})
        assert client.get("/stats").json()["mean_return"] == pytest.approx((3 + 5 + 8) / 3)


def test_the_store_drops_returns_with_their_decisions(tmp_path):
    store = Store(tmp_path, keep=10)
    row = Decision(None, "u", b"", None, b"", None, None, None, False)
    for i in range(1100):
        with store.transaction():
            (decision_id,) = store.add_decisions([row])
            store.add_return(int(decision_id.partition("-")[0]), f"u{i % 7}", 1.0, ended=i % 2 == 0)
    kept = store.counts()
    store.close()
    assert kept.decisions < 100
    assert kept.episodes <= kept.decisions


def test_losses_that_are_not_finite_leave_the_policy_as_it_was(client, monkeypatch):
    def diverge(self, transitions):
        self.agent.network.actor_head.bias.data.fill_(np.nan)
        raise FloatingPointError("policy_loss is nan")

    before = client.post("/select_action", json={"observation": OBS, "greedy": True}).json()
    live(client, 32)
    with monkeypatch.context() as patch:
        patch.setattr(Learner, "learn", diverge)
        answer = client.post("/update")
    assert answer.status_code == 409
    assert "policy_loss is nan" in answer.json()["detail"]
    after = client.post("/select_action", json={"observation": OBS, "greedy": True}).json()
    assert after["policy_version"] == before["policy_version"]
    assert after["value"] == before["value"]
    assert client.get("/stats").json()["waiting"] == 0
    live(client, 32)
    assert client.post("/update").json()["updated"]


def test_the_folder_of_another_policy_is_refused(runs, tmp_path):
    policy_server(runs / "ppo", tmp_path / "folder").close()
    with pytest.raises(InputError, match="another policy"):
        policy_server(runs / "dqn", tmp_path / "folder")


def test_the_oldest_decisions_are_dropped(runs, tmp_path):
    with client_of(runs / "ppo", tmp_path / "folder", keep=10) as client:
        first = client.post("/select_action", json={"observation": OBS}).json()["decision_id"]
        for _ in range(3):
            client.post("/select_action", json={"observation": [OBS] * 1000})
        assert client.get("/stats").json()["decisions"] <= 10 + 1024
        gone = client.post("/store_experience", json={"decision_id": first, "reward": 1.0, "done": True})
        assert gone.status_code == 404


def test_decisions_that_are_not_recorded_do_not_depend_on_the_others(client):
    """To the last bit, as gates play them; and requests of both kinds that arrive together get their own answers."""
    rows = observations(40)
    bodies = [{"observation": rows.tolist(), "greedy": True, "record": False}]
    bodies.append({"observation": rows[5:11].tolist(), "greedy": True, "record": False})
    bodies += [{"observation": row.tolist(), "greedy": True} for row in rows]

    async def together():
        posts = [client.client.post("/select_action", json=body) for body in bodies]
        return [answer.json() for answer in await asyncio.gather(*posts)]

    whole, part, *singles = client.run(together())
    assert part["value"] == whole["value"][5:11]
    assert whole["value"] == client.server.policy.policy.values(rows).tolist()
    np.testing.assert_allclose([single["value"] for single in singles], whole["value"], rtol=1e-4, atol=1e-7)
    assert whole["decision_id"] is None
    assert len({single["decision_id"] for single in singles}) == client.get("/stats").json()["decisions"] == 40
