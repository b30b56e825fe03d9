"""What a judge may use: numbers that limit something, and answers that say what they took."""

from math import inf, nan

import pytest

from rl_eval.domains.prompt.scoring.budget import Budget
from rl_eval.errors import InputError


@pytest.mark.parametrize(
    "values",
    [{"money": 1.0}, {"money": 1.0, "price_in": inf}, {"price_out": nan}, {"money": nan, "price_in": 1.0},
     {"money": -1.0, "price_in": 1.0}, {"price_in": -1.0}],
)  # fmt: skip
def test_money_that_nothing_limits_is_refused(values):
    with pytest.raises(InputError):
        Budget(**values)


def test_a_cost_is_that_of_the_tokens():
    budget = Budget(money=1.0, price_in=2.0, price_out=5.0)
    assert budget.cost({"prompt_tokens": 10, "completion_tokens": 4}) == pytest.approx(40e-6)
    assert Budget(price_in=2.0).cost(None) == 0


@pytest.mark.parametrize("usage", [None, {}, {"completion_tokens": 3}, {"prompt_tokens": 0}])
def test_an_answer_that_does_not_say_what_it_took_is_refused_where_money_is_limited(usage):
    with pytest.raises(InputError, match="calls"):
        Budget(money=1.0, price_in=1.0).cost(usage)


@pytest.mark.parametrize(
    "usage", [[1], 3, {"prompt_tokens": "many"}, {"prompt_tokens": int("9" * 400)}, {"prompt_tokens": -1}]
)
def test_usage_that_is_none_is_refused(usage):
    with pytest.raises(ValueError):
        Budget(price_in=1.0).cost(usage)
