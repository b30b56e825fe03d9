"""Copies stepped by several processes: the same numbers as one process, and no process hangs or remains."""

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import gymnasium as gym
import joblib
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from rl_eval.domains.gym import DOMAIN, Config
from rl_eval.envs.worker import WorkerError
from rl_eval.envs.workers_vector import WorkersVector

ROOT = Path(__file__).resolve().parents[2]
COPIES = 5  # no number of processes but one divides it
TAXI = max(env_id for env_id in gym.registry if env_id.startswith("Taxi-v"))
# Gymnasium id, kwargs, and steps that take every copy past the end of an episode.
SAME = [
    ("CartPole-v1", {}, 120),
    ("CartPole-v1", {"max_episode_steps": 7}, 30),  # truncation
    ("LunarLander-v3", {"continuous": True, "enable_wind": True}, 250),
    ("Pendulum-v1", {"max_episode_steps": 20}, 45),
    ("FrozenLake-v1", {"is_slippery": True}, 120),
    (TAXI, {"max_episode_steps": 15}, 40),  # with action masks
]


def make(env_id, count, n_envs=COPIES, autoreset=True, **kwargs):
    vector = DOMAIN.make(
        Config(id=env_id, kwargs=kwargs, workers=count), n_envs=n_envs, part="train", autoreset=autoreset
    )
    assert isinstance(vector, WorkersVector) == (min(count, n_envs) > 1)
    return vector


def assert_same(one, other):
    """Two answers of `step`, to the bit."""
    for a, b in zip(one[:4], other[:4], strict=True):
        assert a.dtype == b.dtype
        assert a.tobytes() == b.tobytes()
    assert one[4].keys() == other[4].keys()
    assert one[4]["outcome"].keys() == other[4]["outcome"].keys()
    pairs = [(one[4]["outcome"][name], other[4]["outcome"][name]) for name in one[4]["outcome"]]
    pairs += [(one[4][name], other[4][name]) for name in one[4] if name != "outcome"]
    for a, b in pairs:
        assert a.dtype == b.dtype
        assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize(("env_id", "kwargs", "steps"), SAME, ids=lambda value: value if isinstance(value, str) else "")
def test_the_number_of_processes_changes_no_bit(env_id, kwargs, steps):
    vectors = [make(env_id, count, **kwargs) for count in (1, 2, 3, 9)]
    first, *others = vectors
    seeds = [3, 1, 4, 15, 9]
    starts = [vector.reset(seed=seeds)[0] for vector in vectors]
    assert all(start.tobytes() == starts[0].tobytes() for start in starts)
    first.action_space.seed(0)
    ended = np.zeros(COPIES, int)
    for _ in range(steps):
        actions = first.action_space.sample()
        expected = first.step(actions)
        for vector in others:
            assert_same(vector.step(actions), expected)
        ended += expected[2] | expected[3]
    assert ended.all(), "the comparison is to cover the end of an episode in every copy"
    for vector in vectors:
        vector.close()


def test_without_autoreset_the_number_of_processes_changes_no_bit():
    vectors = [make("CartPole-v1", count, autoreset=False) for count in (1, 2, 3)]
    rng, mask = np.random.default_rng(0), np.array([True, False, True, True, False])
    starts = [vector.reset(seed=[1, 2, 3, 4, 5], options={"reset_mask": mask})[0] for vector in vectors]
    all_idle = 0
    for step in range(300):
        assert all(start.tobytes() == starts[0].tobytes() for start in starts)
        actions = rng.integers(2, size=COPIES)
        expected, *others = [vector.step(actions) for vector in vectors]
        for answer in others:
            assert_same(answer, expected)
        idle = vectors[0]._arrays.idle
        all_idle += idle.all()
        if step % 40 == 39:
            mask = idle & (rng.random(COPIES) < 0.7)
            seeds = rng.integers(1000, size=COPIES).tolist()
            starts = [vector.reset(seed=seeds, options={"reset_mask": mask})[0] for vector in vectors]
    assert all_idle, "the comparison is to cover steps in which nothing is played"
    for vector in vectors:
        vector.close()


def test_it_is_gymnasiums_sync_vector_env_step_by_step():
    vector = make("LunarLander-v3", 2)
    reference = SyncVectorEnv([lambda: gym.make("LunarLander-v3")] * COPIES, autoreset_mode=AutoresetMode.SAME_STEP)
    assert vector.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    assert (vector.observation_space, vector.action_space) == (reference.observation_space, reference.action_space)
    assert np.array_equal(vector.reset(seed=7)[0], reference.reset(seed=7)[0])
    reference.action_space.seed(0)
    for _ in range(200):
        actions = reference.action_space.sample()
        obs, *rest, infos = vector.step(actions)
        expected, *expected_rest, expected_infos = reference.step(actions)
        assert np.array_equal(obs, expected)
        assert all(np.array_equal(a, b) for a, b in zip(rest, expected_rest, strict=True))
        for i in np.flatnonzero(infos.get("_final_obs", [])):
            assert np.array_equal(infos["final_obs"][i], expected_infos["final_obs"][i])
    vector.close()
    reference.close()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_actions_reach_the_environment_in_the_type_they_come_in(dtype):
    one, two = make("Pendulum-v1", 1), make("Pendulum-v1", 2)
    one.reset(seed=0), two.reset(seed=0)
    for i in range(20):
        actions = np.linspace(-1.9, 1.9, COPIES, dtype=dtype)[:, None] / (i + 1)
        assert_same(one.step(actions), two.step(actions))
    assert_same(one.step([[0.1]] * COPIES), two.step([[0.1]] * COPIES))
    with pytest.raises(ValueError, match=r"actions of shape \(5, 2\).*, but \(5, 1\) numbers"):
        two.step(np.zeros((COPIES, 2)))
    one.close(), two.close()


def test_what_was_returned_is_never_written_again():
    vector = make("CartPole-v1", 2, max_episode_steps=3)
    kept, copies = [(vector.reset(seed=0)[0],)], []
    for _ in range(8):
        copies.append(tuple(array.copy() for array in kept[-1]))
        *arrays, infos = vector.step(np.zeros(COPIES, int))
        kept.append((*arrays, infos["outcome"]["native_reward"], *([infos["final_obs"]] if len(infos) > 1 else [])))
    for arrays, before in zip(kept[:-1], copies, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(arrays, before, strict=True))
    vector.close()


# -- the processes -----------------------------------------------------------------------------------------------------


def worker_of(vector):
    return vector._others[0][0]


def process_ended(pid, within_s=60.0):
    """Whether a process ends, be it as a zombie that nobody has waited for."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False


def test_environments_share_a_process_and_close_as_often_as_one_likes():
    one, other = make("CartPole-v1", 2), make("CartPole-v1", 2, autoreset=False)
    assert worker_of(one) is worker_of(other)
    assert np.array_equal(one.reset(seed=0)[0], other.reset(seed=0)[0])
    one.close(), one.close()
    other.step(np.zeros(COPIES, int))
    unopened = make("CartPole-v1", 2)
    unopened.close()  # before its process has answered
    other.step(np.zeros(COPIES, int))
    other.close(), other.close()
    again = make("CartPole-v1", 2)
    assert worker_of(again) is worker_of(one), "the next environment need not wait for a process to start"
    again.reset(seed=0)
    again.close()


def test_a_process_knows_no_torch():
    vector = make("LunarLander-v3", 2)
    vector.reset(seed=0)
    assert "torch" not in Path(f"/proc/{worker_of(vector).process.pid}/maps").read_text()
    vector.close()


@pytest.mark.parametrize("dead", [False, True], ids=["while asked", "before it is asked"])
def test_a_killed_process_is_an_error_that_says_so(dead):
    vector = make("CartPole-v1", 2)
    vector.reset(seed=0)
    worker_of(vector).process.kill()
    assert not dead or process_ended(worker_of(vector).process.pid)
    with pytest.raises(WorkerError, match=r"was killed by SIGKILL.*env\.workers=1"):  # noqa: PT012
        for _ in range(1000):
            vector.step(np.zeros(COPIES, int))
    for act in (lambda: vector.step(np.zeros(COPIES, int)), lambda: vector.reset(seed=0)):
        with pytest.raises(WorkerError, match="SIGKILL"):
            act()
    vector.close()
    fresh = make("CartPole-v1", 2)
    fresh.reset(seed=0)
    fresh.step(np.zeros(COPIES, int))
    fresh.close()


def test_a_process_leaves_ctrl_c_and_sigterm_to_the_one_that_started_it():
    vector = make("CartPole-v1", 2)
    vector.reset(seed=0)
    process = worker_of(vector).process
    assert os.getpgid(process.pid) != os.getpgid(0)
    for number in (signal.SIGINT, signal.SIGTERM):
        process.send_signal(number)  # it arrives before the process reads what it is asked next
        vector.step(np.zeros(COPIES, int))
    vector.close()


ODD = """
    import os, sys, time
    import gymnasium as gym
    import numpy as np

    HERE = os.getpid() == {pid}

    class Odd(gym.Env):
        observation_space = gym.spaces.Box(-1, 1, (2,))
        action_space = gym.spaces.Discrete(2)

        def __init__(self, does="nothing", here=False):
            self.does, self.acts = does, HERE == here
            if self.acts and does == "refuse":
                raise KeyError("no such map")

        def reset(self, *, seed=None, options=None):
            return np.zeros(2, np.float32), {{}}

        def step(self, action):
            if self.acts and action:
                if self.does == "raise":
                    raise ArithmeticError("the craft is upside down")
                if self.does == "leave":
                    sys.exit("I have had enough")
                if self.does == "die":
                    os._exit(3)
                if self.does == "interrupt":
                    raise KeyboardInterrupt
                if self.does == "sleep":
                    time.sleep(60)
            return np.ones(2, np.float32), 1.0, False, False, {{}}

    gym.register("Odd-v0", __name__ + ":Odd")
"""


@pytest.fixture
def odd(tmp_path, monkeypatch):
    """The id of an environment that misbehaves in a worker process alone, on action 1."""
    name = f"odd_{os.getpid()}_{time.monotonic_ns()}"
    (tmp_path / f"{name}.py").write_text(textwrap.dedent(ODD.format(pid=os.getpid())))
    monkeypatch.syspath_prepend(tmp_path)
    yield f"{name}:Odd-v0"
    gym.registry.pop("Odd-v0", None)


@pytest.mark.parametrize(
    ("does", "message"),
    [
        ("raise", r"(?s)Traceback.*in step\n.*ArithmeticError: the craft is upside down\nin copy 2"),
        ("leave", r"(?s)Traceback.*SystemExit: I have had enough"),
        ("die", "ended with status 3"),
    ],
)
def test_what_goes_wrong_in_a_process_is_reported_here(odd, does, message):
    vector = make(odd, 2, does=does)
    vector.reset(seed=0)
    vector.step(np.zeros(COPIES, int))
    with pytest.raises(WorkerError, match=message):
        vector.step(np.ones(COPIES, int))
    if does != "die":  # the process has only answered
        vector.step(np.zeros(COPIES, int))
    vector.close()


def test_an_environment_that_cannot_be_made_there_is_reported_by_every_reset(odd):
    vector = make(odd, 2, does="refuse")
    for _ in range(2):
        with pytest.raises(WorkerError, match=r"(?s)Traceback.*KeyError: 'no such map'"):
            vector.reset(seed=0)
    vector.close()


def test_a_module_that_cannot_be_imported_there_is_reported(odd, tmp_path):
    (file,) = tmp_path.glob("odd_*.py")
    file.write_text(file.read_text() + "\nif not HERE:\n    import nowhere\n")
    vector = make(odd, 2)
    with pytest.raises(WorkerError, match=r"(?s)Traceback.*No module named 'nowhere'"):
        vector.reset(seed=0)
    vector.close()


def test_what_goes_wrong_here_is_itself_and_leaves_no_answer_behind(odd):
    vector = make(odd, 2, does="raise", here=True)
    vector.reset(seed=0)
    with pytest.raises(ArithmeticError, match="upside down") as raised:
        vector.step(np.ones(COPIES, int))
    assert raised.value.__notes__ == ["in copy 0"]
    assert vector.step(np.zeros(COPIES, int))[1].tolist() == [1.0] * COPIES
    vector.close()


def test_an_interrupted_step_does_not_wait_for_the_others(odd):
    vector = make(odd, 2, does="interrupt", here=True)
    vector.reset(seed=0)
    process = worker_of(vector).process
    with pytest.raises(KeyboardInterrupt):
        vector.step(np.ones(COPIES, int))
    assert process_ended(process.pid)
    with pytest.raises(WorkerError, match="interrupted"):
        vector.step(np.zeros(COPIES, int))
    vector.close()
    fresh = make("CartPole-v1", 2)
    fresh.reset(seed=0)
    fresh.close()


SCRIPT = """
    import sys, time
    import numpy as np
    from rl_eval.domains.gym import DOMAIN, Config
    doing, env_id = sys.argv[1:]
    vector = DOMAIN.make(Config(id=env_id, kwargs={"does": "sleep"}, workers=2), n_envs=4, part="train")
    if doing != "starting":
        vector.reset(seed=0)
    print(vector._others[0][0].process.pid, flush=True)
    while doing == "stepping":
        vector.step(np.zeros(4, int))
    if doing == "stuck":
        vector.step(np.ones(4, int))
    if doing != "ending":
        time.sleep(60)
"""


@pytest.mark.parametrize("doing", ["starting", "idle", "stepping", "stuck", "ending"])
def test_no_process_outlives_the_one_that_started_it(odd, tmp_path, doing):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    # another process id: there, "here" is never the script, so all of its copies would misbehave
    (file,) = tmp_path.glob("odd_*.py")
    file.write_text(file.read_text().replace("HERE = ", "HERE = __name__ == '__main__' or 'script' in sys.argv[0] or "))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])}
    command = [sys.executable, str(script), doing, odd]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        pid = int(parent.stdout.readline())
        if doing == "ending":
            assert parent.wait(60) == 0
        else:
            time.sleep(0.2)
            assert parent.poll() is None
            parent.kill()
        assert process_ended(pid)


def _in_a_child(count, _=None):
    vector = DOMAIN.make(Config(id="Acrobot-v1", workers=count), n_envs=64, part="train")
    obs, _ = vector.reset(seed=3)
    vector.close()
    return type(vector).__name__, float(obs.sum())


def _into(queue, count):
    queue.put(_in_a_child(count))


@pytest.mark.parametrize("count", ["auto", 2])
def test_it_works_in_processes_that_are_themselves_workers(count):
    name = "GymnasiumVector" if count == "auto" else "WorkersVector"
    expected = (name, _in_a_child(1)[1])
    assert joblib.Parallel(n_jobs=2)(joblib.delayed(_in_a_child)(count) for _ in range(2)) == [expected] * 2
    before = make("CartPole-v1", 2)  # a forked child may not speak to the processes of its parent
    before.reset(seed=0)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_into, args=(queue, count), daemon=True)
    child.start()
    assert queue.get(timeout=300) == expected
    child.join(60)
    before.step(np.zeros(COPIES, int))
    before.close()
