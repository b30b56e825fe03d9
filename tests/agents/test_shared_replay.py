"""Replay shared between processes: what is drawn, what is missed, and the same bytes from memory and from a server."""

import copy
from dataclasses import dataclass

import numpy as np
import pytest

from agents import redis_messages
from agents.config import AgentsConfig, DQNConfig, ReplayConfig
from agents.redis_messages import RedisMessages
from agents.replay import ReplayBuffer
from agents.shared_replay import SharedReplay
from tests.agents.environments import Walk, build, everything
from tests.redis_process import RedisProcess, needs_redis, redis_server

COPIES, EVERY = 2, 3


@dataclass(frozen=True)
class Letter:
    sender: str
    number: int
    data: bytes


class Post:
    """Messages in memory: one list for all."""

    def __init__(self):
        self.letters = []

    def box(self, sender):
        return Box(self, sender)


class Box:
    def __init__(self, post, sender):
        self.post, self.sender, self.position, self.number = post, sender, "0", 0

    def send(self, data):
        self.number += 1
        self.post.letters.append(Letter(self.sender, self.number, data))

    def receive(self):
        new = self.post.letters[int(self.position) :]
        self.position = str(len(self.post.letters))
        return [letter for letter in new if letter.sender != self.sender]


def shared(box, peers=2, capacity=60):
    def make():
        return ReplayBuffer(capacity, COPIES, (1,), gamma=0.5)

    return SharedReplay(make(), make, box, peers=peers, every=EVERY, obs_size=1)


def play(replay, start, steps, worth):
    """Steps that count up, with rewards that name the process."""
    for step in range(start, start + steps):
        never = np.zeros(COPIES, bool)
        obs = np.full((COPIES, 1), step, np.float32)
        replay.add(obs, np.zeros(COPIES, np.int64), np.full(COPIES, worth), never, never)


def drawn(replay, size=24, seed=0):
    return replay.sample(size, np.random.default_rng(seed))


def test_transitions_of_all_are_drawn_and_each_leads_to_its_own_next_one():
    post = Post()
    first, second = shared(post.box("a")), shared(post.box("b"))
    for round_ in range(6):
        play(first, 3 * round_, 3, 1.0)
        play(second, 100 + 3 * round_, 3, 2.0)
    for replay in (first, second):
        batch = drawn(replay)
        assert set(batch.returns) == {1.0, 2.0}
        np.testing.assert_array_equal(batch.next_obs, batch.obs + 1)
        np.testing.assert_array_equal(batch.returns, np.where(batch.obs[:, 0] < 100, 1.0, 2.0))
    assert (first.received, second.received, first.missed) == (30, 36, 0)
    many = np.concatenate([drawn(second, 24, seed).returns for seed in range(40)])
    assert abs((many == 1.0).mean() - 34 / 68) < 0.05  # of each process as many as it has


def test_alone_it_is_the_buffer():
    plain = ReplayBuffer(60, COPIES, (1,), gamma=0.5)
    alone = shared(Post().box("a"))
    for replay in (plain, alone):
        play(replay, 0, 20, 1.0)
    for name, values in vars(drawn(plain)).items():
        np.testing.assert_array_equal(getattr(drawn(alone), name), values)


def test_what_was_missed_is_counted_and_no_transition_leads_across():
    post = Post()
    first, second = shared(post.box("a")), shared(post.box("b"))
    play(second, 0, 12, 1.0)
    play(first, 0, 12, 1.0)
    assert first.received == 24
    play(second, 12, 9, 1.0)
    play(second, 1000, 21, 2.0)
    del post.letters[8:11]  # the three that begin with 12
    play(first, 12, 3, 1.0)
    assert first.missed == 3
    batch = drawn(first, size=28)
    np.testing.assert_array_equal(batch.next_obs, batch.obs + 1)
    assert {*batch.returns} == {1.0, 2.0}
    assert (batch.obs[batch.returns == 2.0] >= 1000).all()


def test_a_process_that_was_resumed_begins_anew_and_one_that_is_too_many_is_refused():
    post = Post()
    first, second = shared(post.box("a"), peers=1), shared(post.box("b"))
    play(second, 0, 12, 1.0)
    resumed = shared(post.box("b"))
    resumed._messages.number = 4
    play(resumed, 500, 21, 2.0)
    play(first, 0, 30, 3.0)
    assert set(drawn(first, 20).returns) == {2.0, 3.0}
    assert first.missed == 0
    play(shared(post.box("c")), 0, 3, 1.0)
    with pytest.raises(OSError, match=r"agents.processes=2: steps of another process arrive"):
        play(first, 30, 3, 3.0)


def test_state_comes_back():
    post = Post()
    first, second = shared(post.box("a")), shared(post.box("b"))
    for round_ in range(5):
        play(first, 3 * round_, 3, 1.0)
        play(second, 100 + 3 * round_, 3, 2.0)
    arrays, meta = copy.deepcopy(first.state())
    again = shared(post.box("a"))
    again.load_state(arrays, meta)
    again._messages.number = first._messages.number
    play(second, 115, 6, 2.0)
    for replay in (first, again):
        play(replay, 15, 6, 1.0)
    assert again.received == first.received == 42
    for name, values in vars(drawn(first)).items():
        np.testing.assert_array_equal(getattr(drawn(again), name), values)


def agent(seed, messages, monkeypatch, url="redis://127.0.0.1:1/0"):
    monkeypatch.setattr("agents.replay.ReplayBuffer._make_observations", in_memory)
    monkeypatch.setattr(redis_messages, "RedisMessages", lambda address, folder: messages)
    config = DQNConfig(
        n_envs=4, batch_size=8, buffer_size=400, learning_starts=20, target_every=10, train_every=2, n_step=2,
        agents=AgentsConfig(processes=2), replay=ReplayConfig(storage=url),
    )  # fmt: skip
    return build(config, Walk(n_envs=4), seed=seed)


def in_memory(buffer, shape, dtype, storage, folder):
    from agents.replay_observations import ArrayObservations

    return ArrayObservations(buffer.size, shape, dtype, "memory", None)


def trained_together(boxes, monkeypatch):
    """Two agents in one process, in an order of their own."""
    agents = [agent(seed, box, monkeypatch) for seed, box in enumerate(boxes)]
    for turn in (0, 0, 1, 0, 1, 1, 1, 0, 1, 0):
        agents[turn].iterate()
    return agents


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    yield from redis_server(tmp_path_factory)


@needs_redis
def test_the_same_order_of_arrival_gives_the_same_bytes_from_memory_and_from_a_server(server, monkeypatch, tmp_path):
    post = Post()
    real = RedisMessages
    servers = [real(server.url, tmp_path / name) for name in "ab"]
    expected = trained_together([post.box(box.sender) for box in servers], monkeypatch)
    through_server = trained_together(servers, monkeypatch)
    for one, other in zip(expected, through_server, strict=True):
        assert one.buffer.received == other.buffer.received > 0
        arrays, others = one.policy_checkpoint()[0], other.policy_checkpoint()[0]
        assert all(arrays[name].tobytes() == others[name].tobytes() for name in arrays)


def test_an_agent_goes_on_from_its_state(monkeypatch):
    post = Post()
    first, other = (agent(seed, post.box(name), monkeypatch) for seed, name in enumerate("ab"))
    for one in (first, other, first, other):
        one.iterate()
    arrays, meta = copy.deepcopy(first.state())
    again = agent(0, post.box("a"), monkeypatch)
    again.envs = copy.deepcopy(first.envs)
    again.load_state(arrays, meta)
    assert again.buffer.received == first.buffer.received > 0
    first.iterate()
    again.iterate()
    weights = [one.policy_checkpoint()[0] for one in (first, again)]
    assert all(weights[0][name].tobytes() == weights[1][name].tobytes() for name in weights[0])
    assert everything(first).keys() == everything(again).keys()


def test_what_does_not_go_together_is_one_sentence():
    with pytest.raises(ValueError, match=r"set replay.storage=redis://host:port/db"):
        DQNConfig(agents=AgentsConfig(processes=2))
    with pytest.raises(ValueError, match=r"does not go with agent.prioritized"):
        DQNConfig(
            agents=AgentsConfig(processes=2), replay=ReplayConfig(storage="redis://127.0.0.1:1/0"), prioritized=True
        )


def received(messages):
    return [(message.number, message.data) for message in messages.receive()]


@needs_redis
def test_messages_arrive_once_and_in_order(server):
    with server.client() as client:
        client.flushall()
    first, second, reader = (RedisMessages(server.url, None) for _ in range(3))
    for number in range(40):
        (first, second)[number % 2].send(bytes([number]))
    messages = reader.receive()
    assert [message.data[0] for message in messages] == list(range(40))
    assert {message.sender for message in messages} == {first.sender, second.sender}
    assert [message.data[0] for message in first.receive()] == list(range(1, 40, 2))
    assert reader.receive() == []
    assert RedisMessages(server.url, None).receive() == []  # what was sent before it came


@needs_redis
def test_the_stream_is_bounded(server, monkeypatch):
    monkeypatch.setattr(redis_messages, "LIMIT", 1000)
    with server.client() as client:
        client.flushall()
        writer, reader = (RedisMessages(server.url, None) for _ in range(2))
        for number in range(50):
            writer.send(bytes([number]) * 100)
        assert client.xlen(redis_messages.STREAM) == 10
        assert client.ttl(redis_messages.STREAM) > 0
    assert [number for number, _ in received(reader)] == list(range(41, 51))


@needs_redis
def test_a_server_that_is_killed_and_comes_back_has_lost_nothing(tmp_path):
    server = RedisProcess(tmp_path, "--appendfsync", "everysec")
    try:
        writer, reader = (RedisMessages(server.url, None) for _ in range(2))
        numbers = []
        for number in range(1, 31):
            writer.send(bytes([number]))
            if number % 4 == 0:
                numbers += [number for number, _ in received(reader)]
            if number % 7 == 0:
                server.kill()
                server.start()
        numbers += [number for number, _ in received(reader)]
        assert list(dict.fromkeys(numbers)) == list(range(1, 31))
    finally:
        server.kill()


@needs_redis
def test_what_a_server_lost_is_sent_again_and_a_name_goes_on(tmp_path):
    server = RedisProcess(tmp_path)
    try:
        writer, reader = RedisMessages(server.url, tmp_path), RedisMessages(server.url, None)
        for number in range(5):
            writer.send(bytes([number]))
        with server.client() as client:
            client.flushall()
        writer.send(b"\x05")
        assert received(reader) == [(number + 1, bytes([number])) for number in range(6)]
        again = RedisMessages(server.url, tmp_path)
        again.send(b"\x06")
        assert again.sender == writer.sender
        assert received(reader) == [(7, b"\x06")]
    finally:
        server.kill()


@needs_redis
def test_a_full_memory_and_foreign_entries_are_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(redis_messages, "LIMIT", 4 << 20)
    server = RedisProcess(tmp_path)
    try:
        writer = RedisMessages(server.url, None)
        with server.client() as client:
            client.config_set("maxmemory", 1 << 19)
            with pytest.raises(OSError, match="memory of the server is full"):
                writer.send(bytes(1 << 20))
            with pytest.raises(ValueError, match="raise maxmemory"):
                RedisMessages(server.url, None)
            client.config_set("maxmemory", 0)
            client.config_set("maxmemory-policy", "allkeys-lru")
            with pytest.raises(ValueError, match="noeviction"):
                RedisMessages(server.url, None)
            client.config_set("maxmemory-policy", "noeviction")
            reader = RedisMessages(server.url, None)
            client.xadd(redis_messages.STREAM, {"x": "y"})
        with pytest.raises(OSError, match="another program writes to it"):
            reader.receive()
    finally:
        server.kill()
