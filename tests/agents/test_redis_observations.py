"""Replay on a Redis server: the same as in memory, through kills of the server, bounded, failures in a sentence."""

import errno

import numpy as np
import pytest

from agents import redis_observations
from agents.redis_address import ENVIRONMENT_VARIABLE, parse_address
from agents.redis_observations import RedisObservations
from agents.replay import ReplayBuffer
from tests.agents.replay_copies import GAMMA, Copies, add_and_draw
from tests.redis_process import RedisProcess, needs_redis, redis_server

pytestmark = needs_redis


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    yield from redis_server(tmp_path_factory)


def observations(url, rows=40, n_envs=3, shape=(2,), dtype=np.float32, folder=None):
    return RedisObservations(rows, n_envs, shape, dtype, url, folder)


@pytest.mark.parametrize("next_step", [False, True])
@pytest.mark.parametrize("n_step", [1, 3])
def test_it_draws_what_memory_draws_to_the_bit(server, monkeypatch, next_step, n_step):
    monkeypatch.setattr(redis_observations, "CHUNK", 100)  # strings of a few records
    drawn, states = [], []
    for storage in ("memory", server.url):
        buffer = ReplayBuffer(90, 3, (2,), gamma=GAMMA, n_step=n_step, priority_alpha=0.6, storage=storage)
        drawn.append(add_and_draw(buffer, Copies(3, 5, 0.1), np.random.default_rng(5), 120, next_step))
        states.append(buffer.state())
    for expected, batch in zip(*drawn, strict=True):
        for name, values in vars(expected).items():
            np.testing.assert_array_equal(getattr(batch, name), values)
    (expected, meta), (arrays, other_meta) = states
    assert arrays.keys() == expected.keys()
    assert meta == other_meta
    for name in expected:
        np.testing.assert_array_equal(arrays[name], expected[name])
        assert arrays[name].dtype == expected[name].dtype


def test_masks_and_state_come_back(server, tmp_path):
    rng = np.random.default_rng(0)
    first = observations(server.url, folder=tmp_path)
    first.keep_masks(5)
    obs, masks = rng.normal(size=(120, 2)).astype(np.float32), rng.random((120, 5)) < 0.5
    first.write(np.arange(120), obs, masks)
    first.write(np.arange(7), obs[1:8], None)
    state = first.state(120)
    np.testing.assert_array_equal(state["obs"][:7], obs[1:8])
    assert state["masks"][:7].all()
    np.testing.assert_array_equal(state["masks"][7:], masks[7:])
    second = observations(server.url)
    second.keep_masks(5)
    second.load_state(state["obs"], state["masks"])
    read, read_masks = second.read(np.array([9, 3, 9]))
    np.testing.assert_array_equal(read, obs[[9, 4, 9]])
    np.testing.assert_array_equal(read_masks, [masks[9], [True] * 5, masks[9]])
    assert not list(tmp_path.iterdir())


def test_nothing_is_left_on_the_server(server):
    kept = observations(server.url)
    kept.write(np.arange(3), np.ones((3, 2)), None)
    kept.read(np.arange(3))
    with server.client() as client:
        assert client.dbsize() == 2  # one string and the number of calls
        assert all(client.ttl(key) > 0 for key in client.scan_iter())
        del kept
        assert client.dbsize() == 0


def test_a_second_buffer_of_a_folder_takes_the_place_of_the_first(server, tmp_path):
    first, second = (observations(server.url, folder=tmp_path) for _ in range(2))
    assert first._key == second._key != observations(server.url)._key


def fill(kept, step):
    kept.write(np.arange(120), np.full((120, 2), step, np.float32), None)
    return kept.read(np.arange(120))[0]


def test_a_server_that_is_killed_and_comes_back_has_lost_nothing(tmp_path):
    server = RedisProcess(tmp_path, "--appendfsync", "everysec")
    try:
        kept = observations(server.url)
        for step in range(1, 30):
            assert (fill(kept, step) == step).all()
            if step % 7 == 0:
                server.kill()
                server.start()
        assert (kept.read(np.arange(120))[0] == 29).all()
    finally:
        server.kill()


def test_calls_that_a_server_lost_are_sent_again(tmp_path):
    """As after a restart from a file that lacks the last calls, or from none."""
    server = RedisProcess(tmp_path)
    try:
        kept = observations(server.url)
        fill(kept, 1)
        with server.client() as client:
            before = {key: client.get(key) for key in client.scan_iter()}
            fill(kept, 2)
            for key, value in before.items():
                client.set(key, value)
            assert (kept.read(np.arange(120))[0] == 2).all()
            client.flushall()
            assert (kept.read(np.arange(120))[0] == 2).all()
    finally:
        server.kill()


def test_what_cannot_be_sent_again_is_a_sentence(server, monkeypatch):
    monkeypatch.setattr(redis_observations, "KEEP_BYTES", 1)
    kept = observations(server.url)
    for step in range(3):
        fill(kept, step)
    with server.client() as client:
        client.flushall()
    with pytest.raises(OSError, match=r"has lost a part of the replay buffer \(3 calls of 3\): start it with --app"):
        kept.read(np.arange(3))


def test_a_string_that_is_gone_is_a_sentence(server):
    kept = observations(server.url)
    fill(kept, 1)
    with server.client() as client:
        client.delete(f"{kept._key}:0")
    with pytest.raises(OSError, match=r"has dropped a part of the replay buffer .*evict"):
        kept.read(np.arange(3))


def test_a_server_that_stays_away_is_a_sentence(tmp_path, monkeypatch):
    server = RedisProcess(tmp_path)
    kept = observations(server.url)
    fill(kept, 1)
    server.kill()
    monkeypatch.setattr("agents.redis_server.WAIT_S", 0.2)
    with pytest.raises(OSError, match="the server has been away for 0 seconds") as raised:
        kept.read(np.arange(3))
    assert (raised.value.errno, raised.value.filename) == (errno.EIO, f"replay.storage={server.url}")


def test_a_server_without_room_is_a_sentence(tmp_path):
    server = RedisProcess(tmp_path, "--maxmemory", "3mb")
    try:
        with pytest.raises(ValueError, match=r"bytes free below its maxmemory, and 8,000,000 are needed: raise maxm"):
            observations(server.url, rows=1_000_000, n_envs=1)
        kept = observations(server.url)
        fill(kept, 1)
        with server.client() as client:
            client.config_set("maxmemory", 1)
            with pytest.raises(OSError, match="memory of the server is full: raise its maxmemory") as raised:
                fill(kept, 2)
            assert raised.value.errno == errno.ENOSPC
            client.config_set("maxmemory", 0)
            client.config_set("maxmemory-policy", "allkeys-lru")
        with pytest.raises(ValueError, match=r"drops keys when its memory is full \(maxmemory-policy allkeys-lru\)"):
            observations(server.url)
    finally:
        server.kill()


def test_a_password_comes_from_the_environment(tmp_path, monkeypatch):
    server = RedisProcess(tmp_path, "--requirepass", "a:b@c d")
    try:
        for value in ("", "wrong"):
            monkeypatch.setenv(ENVIRONMENT_VARIABLE, value)
            with pytest.raises(ValueError, match="refuses the user or the password: give them as"):
                observations(server.url)
        for value in ("a%3Ab%40c%20d", ":a:b@c d", "default:a%3Ab@c%20d"):
            monkeypatch.setenv(ENVIRONMENT_VARIABLE, value)
            assert (fill(observations(server.url), 1) == 1).all()
    finally:
        server.kill()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://localhost", "redis://localhost:6379/0"),
        ("REDISS://Host.example:1/7", "rediss://host.example:1/7"),
        ("redis://[::1]:5/", "redis://[::1]:5/0"),
    ],
)
def test_addresses(text, shown):
    assert str(parse_address(text)) == shown


@pytest.mark.parametrize(
    "text", ["redis://", "redis://u:secret@h/0", "redis://h:0", "redis://h:70000", "redis:h", "redis://h/x"]
)
def test_other_addresses_are_refused_without_repeating_them(text):
    with pytest.raises(ValueError, match="is redis://host:port/db, or rediss://") as error:
        parse_address(text)
    assert "secret" not in str(error.value)
