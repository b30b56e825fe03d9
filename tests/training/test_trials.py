"""Walk-forward trials: they decide whether the first or the trained policy is judged, and say so."""

import json

import numpy as np
import pytest

from rl_eval import agent_registry, domains, metrics, run
from rl_eval import config as configs
from rl_eval.dry_run import dry_run
from rl_eval.errors import InputError
from rl_eval.exposure import read_exposure
from rl_eval.hydra_compose import compose
from rl_eval.training import _trials
from rl_eval.training._trials import ENOUGH, Trials
from tests.run_bytes import content
from tests.training.learn import ROOT, learn

SMALL = [
    "env=qase", "env.cycles=24", "env.signal=false", "total_steps=1024", "agent.n_envs=8", "agent.n_steps=16",
    "agent.batch_size=128", "agent.n_epochs=1", "validation.every=512", "validation.trials=2", "judge=off",
]  # fmt: skip
BLOCK = np.array([0.02, 0.03, 0.01, 0.05, 0.04])


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    """A run with its own decision."""
    return learn(SMALL, tmp_path_factory.mktemp("trials") / "run")


def result(*blocks):
    return _trials._result(len(blocks), np.concatenate(blocks), None, {})


@pytest.mark.parametrize(
    ("blocks", "keeps_first"),
    [
        ([BLOCK, BLOCK + 0.001], False),
        ([BLOCK, -BLOCK], True),  # as often worse as better
        ([BLOCK + 0.1, BLOCK + 0.2, -BLOCK / 9, -BLOCK / 8], True),  # what is gained early is lost again
        ([BLOCK[:2]], True),  # two episodes decide nothing
        ([np.append(BLOCK, [-0.5]), BLOCK + 0.001], True),  # mostly better, and worse on average
        ([np.zeros(5)], True),
    ],
)
def test_training_counts_where_all_and_the_later_half_are_better(blocks, keeps_first):
    assert result(*blocks).keeps_first == keeps_first


def test_the_record_says_what_was_decided_and_on_what():
    record = result(BLOCK, BLOCK + 0.001).to_json()
    assert record["trials"] == 2
    assert record["episodes"] == 10
    assert record["difference"] == pytest.approx(0.0305)
    assert record["p_value"] == pytest.approx(1 / 1024)
    assert record["judged"] == "the trained policy"
    assert result(-BLOCK).to_json()["judged"] == "the first policy"


def decided(monkeypatch, *, first):
    monkeypatch.setattr(Trials, "keeps_first", property(lambda _: first))


def test_a_kept_first_policy_is_the_judged_snapshot_and_is_the_sort(tmp_path, monkeypatch):
    decided(monkeypatch, first=True)
    trained = learn(SMALL, tmp_path / "run")
    assert trained.info["snapshot"] == "step_0"
    assert trained.info["env_steps"] == 1024
    text = run.trials_text(trained)
    assert text.startswith("not better by evidence than the failure rate sort (the first policy) on ")
    assert text.endswith("the first policy is judged")
    arrays, meta = run.read_checkpoint(trained.judged_snapshot(), "policy")
    acting = agent_registry.agent("ppo").load_policy(arrays, meta)
    config = configs.load(trained.config).env
    observations = domains.domain("qase").case_observations(config, "test")
    rates = observations[:, 51]
    order = acting.probabilities(observations) @ np.arange(8)
    assert (np.sign(order[:, None] - order) == np.sign(rates[:, None] - rates)).all()
    assert metrics.lookup("artefacts_complete").compute(trained) == []
    assert metrics.lookup("numbers_agree").compute(trained) == []


def test_a_trained_policy_stays_the_judged_one(tmp_path, monkeypatch):
    decided(monkeypatch, first=False)
    trained = learn(SMALL, tmp_path / "run")
    assert trained.info["snapshot"] != "step_0"
    assert trained.info["trials"]["trials"] == 2


def test_what_trials_used_is_on_record(complete):
    config = configs.load(complete.config).env
    domain = domains.domain("qase")
    splits = [config, *domain.earlier_splits(config, 2)]
    seen = read_exposure(complete.path)
    for part, fingerprints in (("train", seen.train), ("validation", seen.validation)):
        count = sum(domain.cases(split, part) for split in splits)
        assert fingerprints.counts.sum() == count == complete.info["cases"][part]


def test_trials_repeat_to_the_bit_and_resume_too(complete, tmp_path):
    again = learn(SMALL, tmp_path / "again", stop_at=500).path
    assert json.loads((again / "run.json").read_text())["trials"] is None
    learn(SMALL, again, resume=True)
    assert content(again) == content(complete.path)


def test_a_large_validation_part_decides_without_trials(tmp_path, monkeypatch):
    monkeypatch.setattr(_trials, "ENOUGH", 1)
    monkeypatch.setattr(_trials, "_trial", None)
    trials = learn(SMALL, tmp_path / "run").info["trials"]
    assert trials["trials"] == 0
    assert 0 < trials["episodes"] < ENOUGH


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (["env=cartpole"], "needs data in order of time, and env=cartpole has none"),
        (["env=qase", "validation.metric=failures_found"], "needs a metric with a value for each episode"),
    ],
)
def test_where_trials_are_impossible_says_so(overrides, problem):
    config = configs.load(compose(ROOT / "conf", [*overrides, "validation.trials=3"]))
    with pytest.raises(InputError, match=problem):
        dry_run(config)
