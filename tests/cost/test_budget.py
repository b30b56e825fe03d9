import pytest

from rl_eval.cost import Budget, Cost
from rl_eval.errors import InputError


@pytest.mark.parametrize(
    ("text", "amount", "unit"),
    [("5 USD", 5, "USD"), ("0.5eur", 0.5, "EUR"), ("2 h", 2, "h"), ("30 min", 30, "min"), ("10 s", 10, "s"),
     ("1_000 USD", 1000, "USD"), ("1e-3 USD", 0.001, "USD")],
)  # fmt: skip
def test_amounts_of_money_and_of_machine_time(text, amount, unit):
    budget = Budget.parse(text)
    assert (budget.amount, budget.unit) == (amount, unit)
    assert Budget.parse(str(budget)) == budget


@pytest.mark.parametrize("text", ["", "5", "USD", "-5 USD", "0 USD", "5 dollars", "1e999 USD", "5 USD 3", "nan h"])
def test_what_is_no_budget(text):
    with pytest.raises(ValueError):
        Budget.parse(text)


def test_how_much_of_it_a_cost_uses():
    assert Budget.parse("2 h").used_by(Cost(3600)) == 1
    assert Budget.parse("2 USD").used_by(Cost(3600, None, 0.7, "USD")) == 0.7


@pytest.mark.parametrize("cost", [Cost(3600), Cost(3600, None, 0.7, "EUR")])
def test_money_needs_a_price_in_its_currency(cost):
    with pytest.raises(InputError):
        Budget.parse("2 USD").used_by(cost)
