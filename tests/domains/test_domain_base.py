"""`Domain`: a domain that lacks a method it must have."""

import pytest

from rl_eval.domains import Domain, EnvConfig
from rl_eval.errors import InputError


class Incomplete(Domain):
    name = "incomplete"
    has_cases = True

    def make(self, config, *, n_envs, part, autoreset=True):
        raise AssertionError("not played here")


@pytest.mark.parametrize("method", ["cases", "case_hashes", "case_observations"])
def test_a_domain_with_cases_that_lacks_a_method_is_one_sentence_that_names_it(method):
    with pytest.raises(InputError, match=rf"'incomplete'.* {method}: define it"):
        getattr(Incomplete(), method)(EnvConfig(name="incomplete"), "test")
