"""The three parts: disjoint, deterministic, and preprocessed with the training part only."""

import itertools
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_eval.domains import threat
from rl_eval.domains.threat import data, preprocess, synthetic
from rl_eval.domains.threat.flow_table import Table, partition_hashes, row_hashes
from rl_eval.errors import InputError

ROOT = Path(__file__).resolve().parents[3]
SMALL = {"train_flows": 4000, "validation_flows": 1000, "test_flows": 2500}


def table_of(numeric, text, label):
    levels = tuple(sorted(set(text)))
    return Table(
        numeric_names=("size",),
        numeric=np.asarray(numeric, np.float64)[:, None],
        categorical_names=("proto",),
        levels=(levels,),
        codes=np.array([[levels.index(t)] for t in text], np.int32),
        label=np.asarray(label, np.int8),
        category_names=("normal", "attack"),
        category=np.asarray(label, np.int16),
    )


def csv_config(path, **values):
    return threat.Config(data="csv", path=str(path), label="label", **values)


def write_csv(path, rows):
    path.write_text("size,proto,label\n" + "".join(f"{s},{p},{y}\n" for s, p, y in rows))
    return path


def some_rows(count=400, seed=0):
    rng = np.random.default_rng(seed)
    sizes, protocols = rng.lognormal(size=count), rng.choice(["tcp", "udp", "icmp"], count)
    labels = rng.random(count) < 0.3
    return [(float(s), str(p), int(y)) for s, p, y in zip(sizes, protocols, labels, strict=True)]


def test_defaults_are_those_of_conf_key_by_key():
    written = yaml.safe_load((ROOT / "conf/env/threat.yaml").read_text())
    assert written == threat.Config().model_dump(mode="json")


@settings(max_examples=25)
@given(
    flows=st.lists(st.tuples(st.integers(0, 6), st.sampled_from("ab"), st.booleans()), min_size=60, max_size=150),
    seed=st.integers(0, 2**31),
)
def test_copies_of_a_flow_stay_in_one_part(tmp_path_factory, flows, seed):
    path = write_csv(tmp_path_factory.mktemp("flows") / "flows.csv", [(s, p, int(y)) for s, p, y in flows])
    config = csv_config(path, data_seed=seed, validation_share=0.3, test_share=0.3)
    tables = data._tables(config)
    hashes = {part: set(row_hashes(table).tolist()) for part, table in tables.items()}
    assert not hashes["train"] & hashes["validation"]
    assert not hashes["train"] & hashes["test"]
    assert not hashes["validation"] & hashes["test"]
    assert sum(len(table) for table in tables.values()) == len(flows)


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.sampled_from(["", "a", "b"])), min_size=2, max_size=30))
def test_row_hashes_are_equal_exactly_where_fields_are(rows):
    sizes, texts = zip(*rows, strict=True)
    hashes = row_hashes(table_of(sizes, texts, [0] * len(rows)))
    for i, a in enumerate(rows):
        for j, b in enumerate(rows):
            assert (hashes[i] == hashes[j]) == (a == b)


@given(
    st.lists(st.tuples(*[st.integers(0, 2)] * 2, *[st.sampled_from(["c", "d"])] * 2), min_size=1, max_size=6),
    st.permutations(range(2)),
    st.permutations(range(2)),
    st.randoms(),
)
def test_the_order_of_columns_and_rows_changes_no_row_hash_and_other_names_do(rows, numbers, texts, random):
    def hashes(rows, numeric_names=("a", "b"), text_names=("c", "d")):
        levels = ("c", "d")  # the names of the columns
        numeric = np.array([[row["ab".index(name)] for name in numeric_names] for row in rows], float)
        codes = np.array([[levels.index(row["cd".index(name) + 2]) for name in text_names] for row in rows], np.int32)
        zeros = np.zeros(len(rows), np.int8)
        return row_hashes(Table(numeric_names, numeric, text_names, (levels,) * 2, codes, zeros, ("x",), zeros))

    plain = hashes(rows)
    assert (plain[:, None] == plain).tolist() == [[row == other for other in rows] for row in rows]
    names = tuple("ab"[i] for i in numbers), tuple("cd"[i] for i in texts)
    assert np.array_equal(hashes(rows, *names), plain)
    order = random.sample(range(len(rows)), len(rows))
    assert np.array_equal(hashes([rows[i] for i in order]), plain[order])
    swapped = hashes([(b, a, c, d) for a, b, c, d in rows])
    assert (swapped == plain).tolist() == [a == b for a, b, _, _ in rows]
    swapped = hashes([(a, b, d, c) for a, b, c, d in rows])
    assert (swapped == plain).tolist() == [c == d for _, _, c, d in rows]


def test_row_hashes_are_the_same_on_every_machine():
    assert partition_hashes(table_of([0.0, -0.0, 1.5], ["tcp", "tcp", "udp"], [0, 1, 0])).tolist() == [
        7969924072435266223, 7969924072435266223, 14306218529517523119,
    ]  # fmt: skip


def test_the_parts_of_a_file_have_about_their_shares(tmp_path):
    config = csv_config(write_csv(tmp_path / "f.csv", some_rows(4000)))
    sizes = {name: len(part) for name, part in data.load_dataset(config).parts.items()}
    assert sum(sizes.values()) == 4000
    assert sizes["test"] == pytest.approx(1000, abs=100)
    assert sizes["validation"] == pytest.approx(450, abs=80)


@pytest.mark.parametrize("share", [0.05, 0.109, 0.6])
def test_prevalence_drops_rows_of_every_part(tmp_path, share):
    path = write_csv(tmp_path / "f.csv", some_rows(3000))
    complete, resampled = data.load_dataset(csv_config(path)), data.load_dataset(csv_config(path, prevalence=share))
    for name, part in resampled.parts.items():
        assert part.label.mean() == pytest.approx(share, abs=0.5 / len(part) ** 0.5 / 5)
        assert set(part.hashes.tolist()) <= set(complete.parts[name].hashes.tolist())
        assert len(set(part.hashes.tolist())) == len(part)  # these rows are all distinct, so none was repeated


def test_prevalence_moves_the_law_of_the_embedded_data():
    config = threat.Config(prevalence=0.4, **SMALL)
    assert data.load_dataset(config).parts["test"].label.mean() == pytest.approx(0.4, abs=0.04)
    assert data.load_dataset(config).parts["test"].posterior.mean() == pytest.approx(0.4, abs=0.04)


def test_an_unseen_category_goes_to_other_and_never_to_zeros():
    train = table_of([1.0, 2.0] * 10, ["tcp", "udp"] * 10, [0, 1] * 10)
    fitted = preprocess.fit(train)
    assert fitted.columns() == ["size", "proto=tcp", "proto=udp", "proto=<other>"]
    observations = fitted.transform(table_of([1.0, 1.0], ["gre", "udp"], [0, 1]))
    assert observations[:, 1:].tolist() == [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]


def test_rare_categories_train_the_weights_of_other():
    train = table_of([1.0, 2.0] * 10, ["tcp", "udp"] * 9 + ["gre", "esp"], [0, 1] * 10)
    fitted = preprocess.fit(train)
    assert fitted.transform(train)[-2:, -1].tolist() == [1.0, 1.0]


def test_preprocessing_reads_the_training_part_only(tmp_path):
    rows = some_rows(600)
    config = csv_config(write_csv(tmp_path / "a.csv", rows))
    gate = set(data.load_dataset(config).parts["test"].hashes.tolist())
    hashes = row_hashes(table_of([r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows]))
    without = [row for row, h in zip(rows, hashes.tolist(), strict=True) if h not in gate]
    kept_some = without + [row for row, h in zip(rows, hashes.tolist(), strict=True) if h in gate][:40]
    other = csv_config(write_csv(tmp_path / "b.csv", kept_some))
    assert threat.DOMAIN.preprocessing(config) == threat.DOMAIN.preprocessing(other)


def test_preprocessing_is_json_and_standardises():
    config = threat.Config(**SMALL)
    saved = threat.DOMAIN.preprocessing(config)
    assert json.loads(json.dumps(saved)) == saved
    features = data.load_dataset(config).parts["train"].features
    assert features.dtype == np.float32
    assert features.shape[1] == len(saved["columns"])
    numeric = features[:, : len(saved["numeric"])]
    assert np.abs(numeric.mean(axis=0)).max() < 0.02
    assert np.abs(numeric.std(axis=0) - 1).max() < 0.05
    assert all(field["scale"] for field in saved["numeric"])  # log-normal: every one is heavy-tailed


def test_a_field_that_never_varies_in_training_is_dropped():
    train = table_of([3.0] * 20, ["tcp", "udp"] * 10, [0, 1] * 10)
    assert preprocess.fit(train).dropped == ("size",)


def test_loading_is_cached_until_the_file_changes(tmp_path):
    path = write_csv(tmp_path / "f.csv", some_rows(500))
    first = data.load_dataset(csv_config(path))
    assert data.load_dataset(csv_config(path, shift=7)) is first  # the shift is no part of the data
    write_csv(path, some_rows(501, seed=1))
    assert data.load_dataset(csv_config(path)) is not first


def test_fingerprints_follow_the_content(tmp_path):
    config = threat.Config(**SMALL)
    prints = threat.DOMAIN.fingerprints(config)
    assert set(prints) == {"train", "validation", "test"}
    assert len(set(prints.values())) == 3
    assert threat.DOMAIN.fingerprints(threat.Config(shift=50, **SMALL)) == prints
    assert threat.DOMAIN.fingerprints(threat.Config(data_seed=1, **SMALL))["test"] != prints["test"]


def test_csv_and_parquet_give_the_same_data(tmp_path):
    path = write_csv(tmp_path / "f.csv", some_rows(500))
    pl.read_csv(path).write_parquet(tmp_path / "f.parquet")
    assert threat.DOMAIN.fingerprints(csv_config(path)) == threat.DOMAIN.fingerprints(
        csv_config(tmp_path / "f.parquet")
    )


def test_the_posterior_is_calibrated():
    """Among flows given P(threat) near p, a share p are threats: within five standard errors in every bin."""
    flows = synthetic.generate(200_000, 0.109, seed=3, part="test")
    posterior = synthetic.posterior(flows.numeric, flows.codes, 0.109)
    edges = np.linspace(0, 1, 11)
    for low, high in itertools.pairwise(edges):
        inside = (posterior >= low) & (posterior <= high)
        error = 5 * (posterior[inside] * (1 - posterior[inside])).sum() ** 0.5 / inside.sum()
        assert flows.label[inside].mean() == pytest.approx(posterior[inside].mean(), abs=error)


def test_the_posterior_is_that_of_scipys_densities():
    from scipy.stats import multivariate_normal

    flows = synthetic.generate(200, 0.109, seed=5, part="test")
    covariance = synthetic.CORRELATION * np.outer(synthetic.DEVIATION, synthetic.DEVIATION)
    joint = []
    for family, prior in zip(synthetic.FAMILIES, synthetic.priors(0.109), strict=True):
        density = prior * multivariate_normal(family.mean, covariance).pdf(np.log(flows.numeric))
        for column, name in enumerate(synthetic.CATEGORICAL):
            density = density * np.array(getattr(family, name))[flows.codes[:, column]] / 100
        joint.append(density)
    threats = np.sum([j for j, f in zip(joint, synthetic.FAMILIES, strict=True) if f.threat], axis=0)
    np.testing.assert_allclose(
        synthetic.posterior(flows.numeric, flows.codes, 0.109), threats / np.sum(joint, axis=0), rtol=1e-8, atol=1e-12
    )


MIX = {"web": 3.0, "mail": 1.0, "exfiltration": 2.0}


def test_a_mix_has_the_families_that_it_names_and_a_posterior_of_its_own():
    assert synthetic.priors(0.3, MIX)[[0, 2, 8]] == pytest.approx([0.7 * 0.75, 0.7 * 0.25, 0.3])
    flows = synthetic.generate(40_000, 0.3, seed=3, part="test", mix=MIX)
    shares = np.bincount(flows.category, minlength=10) / 40_000
    assert shares == pytest.approx(synthetic.priors(0.3, MIX), abs=0.01)
    posterior = synthetic.posterior(flows.numeric, flows.codes, 0.3, mix=MIX)
    assert np.isfinite(posterior).all()
    middle = (posterior > 0.3) & (posterior < 0.7)
    assert flows.label[middle].mean() == pytest.approx(posterior[middle].mean(), abs=0.1)
    config = threat.Config(mix=MIX, **SMALL)
    assert threat.DOMAIN.fingerprints(config) != threat.DOMAIN.fingerprints(threat.Config(**SMALL))
    with_none = threat.Config(mix=None, **SMALL)
    assert threat.DOMAIN.fingerprints(with_none) == threat.DOMAIN.fingerprints(threat.Config(**SMALL))


@pytest.mark.parametrize(
    ("mix", "reason"),
    [({"web": 1, "flod": 1}, "did you mean 'flood'"), ({"web": 1}, "no family of threats"),
     ({"flood": 1}, "no family of benign")],
)  # fmt: skip
def test_a_mix_that_makes_no_sense_is_refused(mix, reason):
    with pytest.raises(InputError, match=reason):
        threat.DOMAIN.fingerprints(threat.Config(mix=mix, **SMALL))
    with pytest.raises(ValueError, match="embedded data"):
        threat.Config(data="csv", path="x.csv", label="y", mix=mix)


def test_every_law_of_a_family_sums_to_one():
    assert synthetic.priors(0.109).sum() == pytest.approx(1)
    for family in synthetic.FAMILIES:
        assert sum(family.protocol) == sum(family.service) == sum(family.flag) == 100
