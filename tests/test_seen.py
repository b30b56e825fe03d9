"""What a run has seen: fingerprints, the record that training keeps, and the file that is not trusted."""

import io
import math
import os
import signal
import zipfile
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from rl_eval import config as configs
from rl_eval import domains, seeding, seen
from rl_eval import run as runs
from rl_eval.domains import threat
from rl_eval.errors import InputError
from rl_eval.launch import compose
from rl_eval.tracking import open_tracker
from rl_eval.training import train

ROOT = Path(__file__).resolve().parents[1]
CARTPOLE = [
    "env=cartpole", "total_steps=4096", "agent.n_envs=4", "agent.n_steps=64", "agent.n_epochs=1",
    "resume_every=1024", "validation.every=2048", "validation.episodes=3",
]  # fmt: skip
THREAT = [
    "env=threat", "env.train_flows=2000", "env.validation_flows=500", "env.test_flows=500", "total_steps=2048",
    "agent.n_envs=16", "agent.batch_size=128", "validation.episodes=2",
]  # fmt: skip
FEW_VALUES = st.sampled_from([0.0, -0.0, 1.0, 1.0001, 1.002, -1.0, 0.5, 1e-300, 3e5, math.inf])
SHAPES = st.tuples(st.integers(0, 12), st.integers(1, 3))
ROWS = arrays_of.arrays(np.float64, SHAPES, elements=FEW_VALUES)


def learn(overrides, directory, *, stop_at=None, resume=False):
    config = configs.load(compose(ROOT / "conf", overrides))
    directory.mkdir(exist_ok=True)

    def on_step(env_steps, *_):
        if stop_at is not None and env_steps >= stop_at:
            signal.raise_signal(signal.SIGINT)

    tracker = open_tracker(config.tracker, run_dir=directory, config={})
    return train(config, directory, tracker=tracker, on_step=on_step, resume=resume)


def a_record(**changes):
    """A small record; `changes` replace its parts."""
    train_, validation = (
        seen.Fingerprints.of(*seen.of_observations(np.arange(n, dtype=float)[:, None])) for n in (5, 2)
    )
    values = {"cases": False, "train": train_, "validation": validation, "train_seeds": np.arange(4), "left_out": 0}
    return seen.Seen(**{**values, "validation_seeds": np.arange(7, 9), **changes})


# -- fingerprints ------------------------------------------------------------------------------------------------------


@given(ROWS)
def test_rows_hash_alike_exactly_when_they_are_equal(rows):
    """Against Python's own equality of tuples, for which -0.0 == 0.0."""
    exact, _ = seen.of_observations(rows)
    plain = [tuple(row) for row in rows.tolist()]
    assert [[a == b for a in exact] for b in exact] == [[a == b for a in plain] for b in plain]


def by_hand(x, bits=10):
    """Ten significant bits through integers: ties to even, as Python's `round`."""
    if x == 0 or math.isinf(x):
        return x
    exponent = math.frexp(x)[1]
    return round(x * 2.0 ** (bits - exponent)) * 2.0 ** (exponent - bits) if abs(exponent) < 900 else x


@given(ROWS)
def test_near_duplicates_are_those_that_brute_force_finds(rows):
    _, near = seen.of_observations(rows)
    plain = [tuple(by_hand(x) for x in row) for row in rows.tolist()]
    assert [[a == b for a in near] for b in near] == [[a == b for a in plain] for b in plain]


@given(st.floats(1e-100, 1e100), st.floats(-1e-3, 1e-3))
def test_rounding_moves_a_number_by_less_than_a_thousandth(x, relative):
    assert abs(seen.rounded(np.array(x)) - x) <= x / 1000
    assert seen.rounded(np.array(-x)) == -seen.rounded(np.array(x))
    assert seen.rounded(seen.rounded(np.array(x))) == seen.rounded(np.array(x))


def test_the_fingerprint_is_of_the_numbers_not_of_their_type_or_layout():
    rows = np.array([[1, 2, 3], [4, 5, 6]])
    for same in (rows.astype(np.float32), np.asfortranarray(rows, np.float64), rows.astype(np.uint8)[:, :, None]):
        assert np.array_equal(seen.hash_rows(same), seen.hash_rows(rows))
    assert len(set(seen.hash_rows(rows[:, ::-1])) | set(seen.hash_rows(rows))) == 4
    assert len(set(seen.hash_rows(np.zeros((1, 2)))) & set(seen.hash_rows(np.zeros((1, 3))))) == 0


def test_fingerprints_stay_as_they_were():
    """A run is judged by later versions too: these values may change only with the schema."""
    assert seen.hash_rows(np.array([[0.0], [1.0], [-2.5]])).tolist() == [
        10905525725756348110,
        8616530930701005867,
        10958213021151862089,
    ]


def test_a_million_neighbours_have_different_fingerprints():
    rows = np.stack([np.arange(1_000_000) // 1000, np.arange(1_000_000) % 1000], 1)
    assert len(np.unique(seen.hash_rows(rows))) == 1_000_000


# -- the recorder ------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 9), max_size=6), max_size=12), st.integers(0, 12))
def test_the_recorder_is_a_multiset(chunks, saved_at):
    """Against a Python dict; a resume point in between changes nothing."""
    recorder, counts = seen.Recorder(), {}
    for i, chunk in enumerate(chunks):
        recorder.add(np.array(chunk, float).reshape(-1, 1))
        for value in chunk:
            counts[value] = counts.get(value, 0) + 1
        if i == saved_at:
            state = {name: array.copy() for name, array in recorder.state().items()}
            recorder = seen.Recorder()
            recorder.add(np.full((3, 1), 77.0))  # what a restart resets to is forgotten
            recorder.load_state(state, episodes=0)
    found = recorder.fingerprints()
    exact, near = seen.of_observations(np.array(list(counts), float).reshape(-1, 1))
    expected = dict(zip(exact.tolist(), zip(near.tolist(), counts.values(), strict=True), strict=True))
    pairs = zip(found.near.tolist(), found.times.tolist(), strict=True)
    assert dict(zip(found.exact.tolist(), pairs, strict=True)) == expected
    assert (np.diff(found.exact.astype(object)) > 0).all()


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP], ids=lambda mode: mode.name)
def test_watched_shows_the_first_observation_of_every_episode(mode):
    """Against a single environment, whose every reset is seen."""
    recorder = seen.Recorder()
    vector = seen.Watched(gym.vector.SyncVectorEnv([lambda: gym.make("CartPole-v1")], autoreset_mode=mode), recorder)
    single = gym.make("CartPole-v1")
    vector.reset(seed=3)
    starts, over = [single.reset(seed=3)[0]], False
    while len(starts) < 6:
        _, _, terminated, truncated, _ = vector.step(np.array([1]))
        if over:  # this was the step that only resets
            starts.append(single.reset()[0])
        else:
            _, _, ends, cut, _ = single.step(1)
            assert (bool(terminated[0]), bool(truncated[0])) == (ends, cut)
            if (ends or cut) and mode == AutoresetMode.SAME_STEP:
                starts.append(single.reset()[0])
        over = mode == AutoresetMode.NEXT_STEP and bool(terminated[0] or truncated[0]) and not over
    expected = seen.Fingerprints.of(*seen.of_observations(np.stack(starts)))
    for name, column in vars(expected).items():
        assert np.array_equal(getattr(recorder.fingerprints(), name), column)


def test_a_full_recorder_keeps_what_it_has_and_counts_the_rest():
    recorder = seen.Recorder(limit=3)
    recorder.add(np.array([[1.0], [2.0]]))
    assert recorder.left_out == 0
    recorder.add(np.array([[1.0], [3.0], [4.0], [4.0]]))
    found = recorder.fingerprints()
    assert len(found) == 3
    assert {*seen.hash_rows(np.array([[1.0], [2.0]])).tolist()} <= set(found.exact.tolist())
    assert recorder.left_out + int(found.times.sum()) == 6
    recorder.add(np.array([[1.0], [5.0]]))
    assert recorder.left_out + int(recorder.fingerprints().times.sum()) == 8


def test_many_blocks_are_as_good_as_one():
    rows = np.random.default_rng(0).integers(0, 30_000, (200_000, 1)).astype(float)
    recorder = seen.Recorder()
    for chunk in np.array_split(rows, 900):
        recorder.add(chunk)
    whole = seen.Fingerprints.of(*seen.of_observations(rows))
    for name in ("exact", "near", "times"):
        assert np.array_equal(getattr(recorder.fingerprints(), name), getattr(whole, name))


def test_watching_sees_every_first_observation_and_changes_nothing():
    """Against Gymnasium's own vector of the same copies, read by hand."""

    def made():
        return domains.make(domains.validate({"name": "cartpole"}), n_envs=3, part="train")

    bare, recorder = made(), seen.Recorder()
    watched = seen.Watched(made(), recorder)
    seeds = [5, 6, 7]
    first, obs = bare.reset(seed=seeds)[0], watched.reset(seed=seeds)[0]
    assert np.array_equal(first, obs)
    firsts = [*first]
    for t in range(200):
        actions = np.full(3, t % 2)
        ours, theirs = watched.step(actions), bare.step(actions)
        assert np.array_equal(ours[0], theirs[0])
        firsts += [theirs[0][i] for i in np.flatnonzero(theirs[2] | theirs[3])]
    assert len(firsts) > 6
    expected = seen.Fingerprints.of(*seen.of_observations(np.array(firsts)))
    assert np.array_equal(recorder.fingerprints().exact, expected.exact)
    alone = gym.make("CartPole-v1")
    assert np.isin(seen.hash_rows(alone.reset(seed=6)[0][None]), expected.exact).all()


# -- training ----------------------------------------------------------------------------------------------------------


def test_a_resumed_run_has_the_same_record_as_one_that_never_stopped(tmp_path):
    whole = learn(CARTPOLE, tmp_path / "whole")
    assert not (tmp_path / "broken" / "seen.npz").exists()
    assert learn(CARTPOLE, tmp_path / "broken", stop_at=2500).info["status"] == "interrupted"
    again = learn(CARTPOLE, tmp_path / "broken", resume=True)
    assert (again.path / "seen.npz").read_bytes() == (whole.path / "seen.npz").read_bytes()
    found = seen.read(whole.path)
    # every episode that ended, and those in flight or given up at the three resume points
    assert int(found.train.times.sum()) == whole.info["episodes"] + 4 * (1 + 3)
    assert found.validation_seeds.tolist() == seeding.episode_seeds(42, 3, "select")
    assert len(found.validation) == 3
    assert (len(found.train_seeds), found.left_out) == (4 * (1 + 3), 0)


def test_watching_does_not_touch_training(tmp_path, monkeypatch):
    watched = learn(CARTPOLE, tmp_path / "watched")
    monkeypatch.setattr(seen.Recorder, "add", lambda *_: None)
    blind = learn(CARTPOLE, tmp_path / "blind")
    policies = [(run.judged_snapshot() / "policy.safetensors").read_bytes() for run in (watched, blind)]
    assert policies[0] == policies[1]
    assert len(seen.read(blind.path).train) == 0


def test_a_resume_point_without_a_record_is_said_to_lack_one(tmp_path):
    learn(CARTPOLE, tmp_path / "run", stop_at=2500)
    point = runs.steps_in(tmp_path / "run" / "resume")[-1]
    arrays, meta = runs.read_checkpoint(point, "state")
    kept = {name: array for name, array in arrays.items() if not name.startswith("starts.")}
    runs.write_checkpoint(point, "state", kept, {k: v for k, v in meta.items() if k not in ("schema", "sha256")})
    found = seen.read(learn(CARTPOLE, tmp_path / "run", resume=True).path)
    assert found.left_out == meta["agent"]["episodes"] + 4
    assert len(found.train) > 0


def test_a_run_on_data_has_seen_its_training_and_selection_cases(tmp_path):
    run = learn(THREAT, tmp_path / "run")
    found, config = seen.read(run.path), domains.validate(run.config["env"])
    assert found.cases
    for part in ("train", "validation"):
        assert set(getattr(found, part).exact.tolist()) == set(threat.DOMAIN.case_hashes(config, part).tolist())
    assert not np.isin(threat.DOMAIN.case_hashes(config, "test"), found.train.exact).any()
    assert not any(name.startswith("starts.") for name in _resume_arrays(run.path))


def _resume_arrays(path):
    points = runs.steps_in(path / "resume")
    return runs.read_checkpoint(points[-1], "state")[0] if points else {}


# -- the file ----------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 2**64 - 1), max_size=9, unique=True), st.booleans(), st.integers(0, 2**40))
def test_a_record_comes_back_as_it_was(tmp_path_factory, hashes, cases, left_out):
    folder = tmp_path_factory.mktemp("seen")
    exact = np.array(hashes, np.uint64)
    prints = seen.Fingerprints.of(exact, exact ^ np.uint64(1))
    seen.write(folder, a_record(cases=cases, train=prints, left_out=left_out))
    back = seen.read(folder)
    assert (back.cases, back.left_out) == (cases, left_out)
    for name in ("exact", "near", "times"):
        assert np.array_equal(getattr(back.train, name), getattr(prints, name))
    assert sorted(back.train.exact.tolist()) == back.train.exact.tolist()
    assert [file.name for file in folder.iterdir()] == ["seen.npz"]
    with np.load(folder / "seen.npz", allow_pickle=False) as plain:  # for any other program too
        assert plain["train"].tolist() == prints.exact.tolist()


def test_a_run_without_a_record_has_none(tmp_path):
    assert seen.read(tmp_path) is None


def forge(folder, **changes):
    """A `seen.npz` with members replaced: arrays, raw bytes, or None to leave one out."""
    seen.write(folder, a_record())
    with zipfile.ZipFile(folder / "seen.npz") as archive:
        members = {name.removesuffix(".npy"): archive.read(name) for name in archive.namelist()}
    for name, value in changes.items():
        if isinstance(value, np.ndarray):
            stream = io.BytesIO()
            np.save(stream, value, allow_pickle=True)
            value = stream.getvalue()
        members[name] = value
    with zipfile.ZipFile(folder / "seen.npz", "w") as archive:
        for name, payload in members.items():
            if payload is not None:
                archive.writestr(f"{name}.npy", payload)


def _header(text):
    text = text.ljust(118) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


class Bomb:
    """Would write a file if it were unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


PLAIN = "train is not a plain one-dimensional array"
ADVERSARIES = {
    "object array": ({"train": np.array([Bomb("unpickled")], object)}, r"train holds \|O where <u8 is expected"),
    "another dtype": ({"train": np.zeros(5)}, "train holds <f8 where <u8 is expected"),
    "huge claim": (
        {"train": _header("{'descr': '<u8', 'fortran_order': False, 'shape': (1000000000000,), }")},
        "train claims 1000000000000 values and holds 0 bytes",
    ),
    "negative claim": ({"train": _header("{'descr': '<u8', 'fortran_order': False, 'shape': (-1,), }")}, PLAIN),
    "two dimensions": ({"train": np.zeros((5, 1), np.uint64)}, PLAIN),
    "code in the header": ({"train": _header("__import__('os').abort()")}, PLAIN),
    "unfinished header": ({"train": _header("{'descr': (")}, PLAIN),
    "nested header": ({"train": _header("[" * 100)}, PLAIN),
    "no header": ({"train": b""}, PLAIN),
    "another version": ({"train": b"\x93NUMPY\x03\x00"}, PLAIN),
    "missing array": ({"select": None}, "it holds 10 arrays where it should hold schema, cases"),
    "one too many": ({"more": np.zeros(1)}, "it holds 12 arrays"),
    "another schema": ({"schema": np.array([2])}, "it has schema 2, not 1"),
    "no schema": ({"schema": np.zeros(0, np.int64)}, "schema holds 0 values where one is expected"),
    "uneven": ({"train_near": np.zeros(4, np.uint64)}, "fingerprints of different counts in train"),
}


@pytest.mark.parametrize(("changes", "said"), ADVERSARIES.values(), ids=ADVERSARIES)
def test_a_forged_record_is_refused_by_name(tmp_path, monkeypatch, changes, said):
    monkeypatch.chdir(tmp_path)
    forge(tmp_path, **changes)
    with pytest.raises(InputError, match=rf"seen\.npz .*{said}"):
        seen.read(tmp_path)
    assert not (tmp_path / "unpickled").exists()


def test_a_record_cut_short_anywhere_is_refused(tmp_path):
    seen.write(tmp_path, a_record())
    whole = (tmp_path / "seen.npz").read_bytes()
    for size in range(0, len(whole), 37):
        (tmp_path / "seen.npz").write_bytes(whole[:size])
        with pytest.raises(InputError, match="damaged or not ours; train again"):
            seen.read(tmp_path)


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_harmless(tmp_path_factory, place, change):
    folder = tmp_path_factory.getbasetemp() / "changed"
    folder.mkdir(exist_ok=True)
    seen.write(folder, a_record())
    content = bytearray((folder / "seen.npz").read_bytes())
    content[place % len(content)] ^= change
    (folder / "seen.npz").write_bytes(content)
    try:
        back = seen.read(folder)
    except InputError:
        return
    assert np.array_equal(back.train.exact, a_record().train.exact)


def test_a_bomb_a_giant_and_things_that_are_no_file_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "seen.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in seen._MEMBERS:
            archive.writestr(f"{name}.npy", bytes(10_000_000))
    with pytest.raises(InputError, match="is compressed"):
        seen.read(tmp_path)
    with open(tmp_path / "seen.npz", "wb") as file:
        file.truncate(seen._MAX_BYTES + 1)
    with pytest.raises(InputError, match="is larger than"):
        seen.read(tmp_path)
    (tmp_path / "seen.npz").unlink()
    os.mkfifo(tmp_path / "seen.npz")
    with pytest.raises(InputError, match="is not a plain file"):
        seen.read(tmp_path)
    (tmp_path / "seen.npz").unlink()
    (tmp_path / "seen.npz").symlink_to("/dev/zero")
    with pytest.raises(InputError, match="is not a plain file"):
        seen.read(tmp_path)
