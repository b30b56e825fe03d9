"""The identity of a test set: what makes data another one, and what does not."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from rl_eval import seeding
from rl_eval.domains import threat, validate
from rl_eval.gates.held_out.held_out_set import load_test_set

NUMBERS = itertools.count()
HEADER = ("bytes", "count", "protocol", "label")
ROWS = [(i + float(i * i % 97) / 7, i % 5, "tcp" if i % 3 else "udp", int(i % 4 == 0)) for i in range(60)]


def identity(folder, rows, columns=range(4)):
    """Of a CSV file that is the test part, beside another that is trained on."""
    paths = [folder / f"{next(NUMBERS)}.csv" for _ in range(2)]
    for path, values in zip(paths, (ROWS, rows), strict=True):
        lines = [[HEADER[column] for column in columns], *([row[column] for column in columns] for row in values)]
        path.write_text("".join(",".join(map(str, line)) + "\n" for line in lines))
    config = threat.Config(data="csv", label="label", path=str(paths[0]), test_path=str(paths[1]))
    test_set = load_test_set(config, [])
    assert len(test_set) == len(rows)
    return test_set.fingerprint, threat.DOMAIN.fingerprints(config)["test"]


@settings(max_examples=15)
@given(
    rows=st.permutations(ROWS), columns=st.permutations(range(4)), copied=st.lists(st.sampled_from(ROWS), max_size=9)
)
def test_order_of_rows_and_columns_and_copies_make_no_other_test_set(tmp_path_factory, rows, columns, copied):
    folder = tmp_path_factory.mktemp("data")
    assert identity(folder, [*copied, *rows], columns)[0] == identity(folder, ROWS)[0]
    assert identity(folder, rows, columns) == identity(folder, ROWS)


def test_another_number_of_episodes_is_no_other_test_set_and_another_gate_seed_is():
    """Or whoever raises `episodes.max` by one begins to count from one."""

    def episodes(gate_seed, count, name="cartpole"):
        return load_test_set(validate({"name": name}), seeding.episode_seeds(gate_seed, count)).fingerprint

    assert len({episodes(3, count) for count in (1, 40, 41)}) == 1
    assert len({episodes(3, 4), episodes(4, 4), episodes(3, 4, "lunarlander")}) == 3


def test_each_map_is_a_test_set_though_episodes_begin_alike():
    """All episodes of FrozenLake begin in the same square; what counts as success changes no episode."""
    seeds = seeding.episode_seeds(3, 4)

    def episodes(**config):
        return load_test_set(validate({"name": "gym", "id": "FrozenLake-v1", **config}), seeds).fingerprint

    same = [{}, {"success_return": 1.0}, {"max_episode_steps": 100}, {"workers": 1}, {"kwargs": {"map_name": "4x4"}}]
    others = [
        {"kwargs": {"desc": ["SF", "FG"]}}, {"kwargs": {"desc": ["SF", "HG"]}}, {"kwargs": {"is_slippery": False}},
        {"max_episode_steps": 50},
    ]  # fmt: skip
    assert len({episodes(**config) for config in same}) == 1
    assert len({episodes(**config) for config in (*same, *others)}) == 1 + len(others)
    assert (
        load_test_set(validate({"name": "cartpole"}), seeds).fingerprint
        == load_test_set(validate({"name": "gym", "id": "CartPole-v1"}), seeds).fingerprint
    )


@settings(max_examples=15)
@given(row=st.sampled_from(ROWS), column=st.sampled_from([0, 1]), noise=st.sampled_from([1e-9, 1e-4, 0.5]))
def test_noise_another_label_and_a_missing_case_make_another_test_set(tmp_path_factory, row, column, noise):
    folder, place = tmp_path_factory.mktemp("data"), ROWS.index(row)
    others = [*ROWS[:place], *ROWS[place + 1 :]]
    noisy = (*row[:column], row[column] + noise, *row[column + 1 :])
    identities = [
        identity(folder, rows)[0] for rows in (ROWS, others, [*others, noisy], [*others, (*row[:3], 1 - row[3])])
    ]
    assert len(set(identities)) == 4
