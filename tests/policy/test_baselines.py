"""Baselines of a domain as policies."""

from rl_eval import policy
from rl_eval.domains import threat
from rl_eval.policy import Spaces, load
from rl_eval.rollout import play
from tests.policy.policies import SMALL, refused


def test_baselines_of_an_environment_are_policies_for_it():
    envs = threat.DOMAIN.make(SMALL, n_envs=4, part="test", autoreset=False)
    for name in ("bayes", "block_all", "logistic_regression"):
        acting = load(f"baseline:{name}", Spaces.of(SMALL, envs), SMALL)
        assert isinstance(acting, policy.Policy)
        assert play(envs, acting, seeds=[0]).lengths.tolist() == [200]


def test_an_unknown_baseline_is_reported_with_the_nearest():
    refused(
        r"^baseline:bays is not a baseline of threat: did you mean 'bayes'\? it has ", "baseline:bays", config=SMALL
    )
    refused(r"^baseline:bayes is not a baseline of cartpole: it has none$", "baseline:bayes")
