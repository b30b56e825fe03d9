"""Suite files: accepted ones, and one sentence for each error."""

from __future__ import annotations

from pathlib import Path

import pytest

from rl_eval.errors import InputError
from rl_eval.gates import load_suite
from tests.gates.fake_runs import write_suite

SUITE = """\
rl_eval: 1
env: cartpole
train: {agent: ppo, lr: 1e-3}
runs: {count: 1}
episodes: {fixed: 20}
criteria:
  solved: {metric: mean_return, at_least: 475, by: estimate}
  quick: {metric: training.wall_s, at_most: 60}
"""
REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("path", sorted((REPOSITORY / "suites").glob("*.yaml")), ids=lambda path: path.name)
def test_the_shipped_suites_are_valid(path):
    suite = load_suite(path)
    assert suite.name == path.stem
    assert any(criterion.metric.kind == "task" for criterion in suite.criteria)


def test_the_fields_of_a_suite(tmp_path):
    suite = load_suite(write_suite(tmp_path / "a.yaml", SUITE))
    assert suite.env.name == "cartpole"
    assert suite.spec.train == {"agent": "ppo", "lr": 1e-3}  # YAML 1.1 alone would read text
    assert [(c.name, c.line, c.direction) for c in suite.criteria] == [
        ("solved", 7, "at_least"),
        ("quick", 8, "at_most"),
    ]


def test_gate_seed_belongs_to_the_suite(tmp_path):
    first = load_suite(write_suite(tmp_path / "a.yaml", SUITE)).gate_seed
    other = load_suite(write_suite(tmp_path / "b.yaml", SUITE)).gate_seed
    set_by_suite = load_suite(
        write_suite(tmp_path / "a.yaml", SUITE.replace("train:", "gate_seed: 7\ntrain:"))
    ).gate_seed
    again = load_suite(write_suite(tmp_path / "a.yaml", SUITE.replace("475", "400"))).gate_seed
    assert len({first, other, 7}) == 3
    assert (set_by_suite, again) == (7, first)


# what is replaced, by what, the line and the words of the error
BROKEN = [
    ("mean_return", "mean_retrun", 7, "solved.metric: 'mean_retrun' is not a metric: did you mean 'mean_return'?"),
    ("at_least: 475", "at_least: 475, at_most: 500", 7, "criteria.solved: has at_least and at_most: give exactly one"),
    ("at_least: 475, ", "", 7, "criteria.solved: has no condition: give exactly one"),
    ("475", "high", 7, "criteria.solved.at_least: must be a number, such as 0.8, not 'high'"),
    ("475", "'475'", 7, "criteria.solved.at_least: must be a number, such as 0.8, not '475'"),
    ("475", "yes", 7, "criteria.solved.at_least: must be a number, such as 0.8, not True"),
    ("475", ".nan", 7, "criteria.solved.at_least: must be a finite number"),
    ("475", "[1]", 7, "criteria.solved.at_least: must be a number"),
    ("at_least: 475", "at_laest: 475", 7, "criteria.solved.at_laest: there is no such key: did you mean 'at_least'?"),
    ("at_least: 475", "min: 475", 7, "criteria.solved.min: there is no such key: did you mean 'at_least'?"),
    ("at_least: 475", "maximum: 475", 7, "criteria.solved.maximum: there is no such key: did you mean 'at_most'?"),
    ("metric: mean_return, ", "", 7, "criteria.solved: has neither metric nor diagnostic: give one of them"),
    ("at_least: 475", "at_least: 475, factor: 3", 7, "factor without better_than"),
    ("at_least: 475", "better_than: random, factor: 0", 7, "criteria.solved.factor: must be greater than 0"),
    ("fixed: 20}\ncriteria:\n  solved: {metric: mean_return, at_least: 475, by: estimate}",
     "return_bounds: [-1, 500]}\ncriteria:\n  solved: {metric: mean_return, better_than: random, factor: 2}", 7,
     "criteria.solved.factor: mean_return can be negative, as low as -1"),
    ("cartpole\ntrain: {agent: ppo, lr: 1e-3}\nruns: {count: 1}\nepisodes: {fixed: 20}\ncriteria:\n  solved: {metric: "
     "mean_return, at_least: 475, by: estimate}",
     "threat\ncriteria:\n  solved: {metric: f1, better_than: random, factor: 2}", 4,
     "criteria.solved.factor: is not supported for f1 by evidence"),
    ("at_least: 475", "better_than: []", 7, "empty better_than"),
    ("wall_s, at_most: 60", "wall_s, better_than: random", 8, "cannot be used with"),
    ("wall_s, at_most: 60", "wall_s, at_most: 1, by: evidence", 8, "one number of"),
    ("mean_return, at_least: 475", "mean_length, better_than: random", 7, "neither direction of it is better"),
    (", by: estimate", "", 7, "criteria.solved: mean_return by evidence, the default, needs the lowest and highest"),
    ("mean_return, at_least: 475, by: estimate", "median_return, at_least: 475, by: evidence", 7,
     "criteria.solved.by: median_return is not a mean of bounded units: set by: estimate"),
    ("fixed: 20}\ncriteria:\n  solved: {metric: mean_return, at_least: 475, by: estimate}",
     "return_bounds: [0, 400]}\ncriteria:\n  solved: {metric: mean_return, at_least: 475}", 7,
     "criteria.solved.at_least: 475 is outside the range of mean_return, 0 to 400"),
    ("mean_return, at_least: 475, by: estimate", "success_rate, at_least: 0", 7,
     "criteria.solved.at_least: every value of success_rate meets 0"),
    ("mean_return, at_least: 475, by: estimate", "success_rate, at_most: 1", 7,
     "criteria.solved.at_most: every value of success_rate meets 1"),
    ("by: estimate", "by: hand", 7, "criteria.solved.by: must be 'estimate' or 'evidence', not 'hand'"),
    ("mean_return", "f1", 7, "f1 reads 'label', which cartpole does not report: its outcome has native_reward"),
    ("mean_return", "mean_return_seed_std", 7, "needs runs of different seed: set runs: {count: 8}"),
    ("count: 1}\nepisodes: {fixed: 20}\ncriteria:\n  solved: {metric: mean_return, at_least: 475, by: estimate}",
     "count: 8}\nepisodes: {fixed: 20}\ncriteria:\n  solved: {metric: mean_return_seed_mean, at_least: 475}", 7,
     "criteria.solved: mean_return_seed_mean by evidence, the default, needs the lowest and highest possible"),
    ("by: estimate", "by: estimate, assume: normal", 7, "criteria.solved.assume: is only for criteria over runs by"),
    ("by: estimate", "assume: gaussian", 7, "criteria.solved.assume: must be 'normal'"),
    ("mean_return", "same_seed_return_std", 7, "needs runs of same seed: set runs: {count: 2, same_seed: true}"),
    ("mean_return", "training.wall_s", 6, "criteria: no criterion is about the policy's own episodes"),
    ("solved:", "quick:", 8, "duplicate key 'quick'"),
    ("metric: mean_return", "metric: mean_return, diagnostic: policy_unmoved", 7, "both metric and diagnostic: give"),
    ("metric: mean_return", "diagnostic: policy_unmoved", 7, "has diagnostic and at_least: remove at_least"),
    ("{metric: training.wall_s, at_most: 60}", "{diagnostic: policy_unmovd}", 8,
     "criteria.quick.diagnostic: 'policy_unmovd' is not a diagnostic: did you mean 'policy_unmoved'?"),
    ("solved:", "controls:", 6, "'controls' cannot name a criterion"),
    ("solved:", "1 2:", 6, "'1 2' cannot name a criterion"),
    ("cartpole", "cartpool", 2, "env.name: env='cartpool' is not an environment: did you mean 'cartpole'?"),
    ("cartpole", "{name: cartpole, sucess_return: 3}", 2, "env.sucess_return: there is no such key: did you mean"),
    ("cartpole", "{name: cartpole, success_return: high}", 2, "env.success_return: must be a number"),
    ("cartpole", "3", 2, "env: must be"),
    ("rl_eval: 1", "rl_eval: 2", 1, "rl_eval: must be 1, not 2"),
    ("episodes: {fixed: 20}", "episode: {fixed: 20}", 5, "episode: there is no such key: did you mean 'episodes'?"),
    ("fixed: 20", "fixed: 0", 5, "episodes.fixed: must be greater than or equal to 1, not 0"),
    ("fixed: 20", "fixed: many", 5, "episodes.fixed: must be a whole number, not 'many'"),
    ("fixed: 20", "fixed: true", 5, "episodes.fixed: must be a whole number, not True"),
    ("count: 1", "count: 0", 4, "runs.count: must be greater than or equal to 1"),
    ("train:", "policy: lazy\ntrain:", 3, "policy: must be 'greedy' or 'sampled', not 'lazy'"),
    ("train:", "train: [", 4, "not valid YAML"),
    ("train:", "\ttrain:", 3, "not valid YAML"),
    ("fixed: 20", "max: 0", 5, "episodes.max: must be greater than or equal to 1, not 0"),
    ("fixed: 20", "return_bounds: [1, 0]", 5, "episodes.return_bounds: [1, 0] is not a range: give the lower bound"),
    ("fixed: 20", "return_bounds: [1]", 5, "episodes.return_bounds"),
    ("fixed: 20", "return_bounds: [.nan, 1]", 5, "episodes.return_bounds.0: must be a finite number"),
    ("train:", "alpha: 0.5\ntrain:", 3, "alpha: must be less than 0.5"),
    ("train:", "alpha: 1e-300\ntrain:", 3, "alpha: must be greater than or equal to 0.000000001"),
    ("train:", "population: all\ntrain:", 3, "population: must be 'source' or 'set', not 'all'"),
    ("train:", "population: set\ntrain:", 3, "population: cartpole has no finite test set: set source"),
    ("train:", "units: case\ntrain:", 3, "units: with this configuration, decisions on cases of cartpole"),
    ("train:", "controls: 1\ntrain:", 3, "controls: must be a list, not 1"),
    ("train:", "attainable: 1\ntrain:", 3, "attainable: must be text, not 1"),
    ("train:", "leaks: keep\ntrain:", 3, "leaks: must be 'refuse', 'drop' or 'report', not 'keep'"),
    ("train:", "near_duplicates: {share: 1.1}\ntrain:", 3, "near_duplicates.share: must be less than or equal to 1"),
    ("train:", "near_duplicates: {share: -0.1}\ntrain:", 3, "near_duplicates.share: must be greater than or"),
    ("train:", "near_duplicates: {rounding: 0.02}\ntrain:", 3, "near_duplicates.rounding: runs do not record 0.02"),
    ("train:", "near_duplicates: {shares: 1}\ntrain:", 3, "near_duplicates.shares: there is no such key"),
    ("train:", "trust: true\ntrain:", 3, "trust: there is no such key"),
    ("train:", "judge_on: {gravity: 3}\ntrain:", 3, "judge_on.gravity: there is no such key"),
    ("train:", "judge_on: {name: lunarlander}\ntrain:", 3, "judge_on"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line", "message"), BROKEN)
def test_bad_input_is_one_sentence_with_file_line_and_key(tmp_path, old, new, line, message):
    assert old in SUITE
    path = write_suite(tmp_path / "broken.yaml", SUITE.replace(old, new, 1))
    with pytest.raises(InputError) as raised:
        load_suite(path, label="suites/broken.yaml")
    sentence = str(raised.value)
    assert sentence.startswith(f"suites/broken.yaml:{line}: ")
    assert message in sentence
    assert "\n" not in sentence


def test_one_seed_cannot_serve_runs_of_different_seeds(tmp_path):
    text = SUITE.replace("lr: 1e-3", "seed: 3").replace("count: 1", "count: 2")
    with pytest.raises(InputError, match=r"train\.seed fixes the seed of 2 runs"):
        load_suite(write_suite(tmp_path / "a.yaml", text))
    load_suite(write_suite(tmp_path / "a.yaml", text.replace("count: 2", "count: 2, same_seed: true")))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a suite is a mapping"),
        (b"- 1\n", "a suite is a mapping"),
        (b"rl_eval: 1\n\xff\xfe", "cannot be read"),
        (b"rl_eval: &a [*a]\n", "a.yaml"),
        (b"rl_eval: !!python/object/apply:os.getcwd []\n", "not valid YAML"),
    ],
)
def test_files_that_are_no_suite(tmp_path, content, message):
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_suite(path)


def test_success_rate_needs_to_know_what_success_is(tmp_path):
    text = SUITE.replace("cartpole", "{id: Acrobot-v1}").replace("mean_return", "success_rate")
    with pytest.raises(InputError, match=r"success_rate needs env\.success_return, which is not set"):
        load_suite(write_suite(tmp_path / "a.yaml", text))
    load_suite(write_suite(tmp_path / "a.yaml", text.replace("{id:", "{success_return: -100, id:")))
