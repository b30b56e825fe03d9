"""The suite of a run that no suite of a folder judges."""

import pytest

from rl_eval import domains
from rl_eval.gates.baseline_suite import baseline_suite

OWN_DATA = [
    {"name": "threat", "data": "csv", "path": "flows.csv", "label": "label", "ignore": ["id"]},
    {"name": "threat", "data": "nsl_kdd", "path": "folder", "prevalence": 0.109},
    {"name": "qase", "data": "history", "path": "history.csv"},
    {"name": "qase", "data": "qase", "path": "export.json", "budget": "20m"},
]


@pytest.mark.parametrize("env", OWN_DATA)
def test_data_of_ones_own_is_judged_beside_baselines_that_it_has(env):
    suite = baseline_suite({"env": env})
    assert suite.env == domains.validate(env)
    assert suite.spec.leaks == "report"
    domain = domains.domain(env["name"])
    beaten = [name for criterion in suite.criteria for name in criterion.spec.better_than]
    for name in beaten:
        assert name == "constant:*" or name.removeprefix("baseline:").partition("@")[0] in domain.baselines
    assert {criterion.spec.by for criterion in suite.criteria} == {"evidence"}
    assert len(beaten) >= 2


@pytest.mark.parametrize("name", ["threat", "qase", "cartpole", "lunarlander", "prompt", "webtest"])
def test_other_runs_have_none(name):
    assert baseline_suite({"env": {"name": name}}) is None


def test_what_a_run_was_fitted_with_is_no_part_of_the_environment():
    env = OWN_DATA[0]
    fitted = {"numeric": [], "categorical": [], "dropped": [], "clip": 5.0}
    assert baseline_suite({"env": {**env, "preprocessing": fitted}}).env == domains.validate(env)
