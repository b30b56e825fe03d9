import pytest

from rl_eval.cost import chosen_machine, matches_gpu, read_prices
from rl_eval.cost._prices import SHIPPED
from rl_eval.errors import InputError

OWN = """
currency: EUR
electricity: {price_per_kwh: 0.3, date: "2026-01-01", source: my bill}
machines:
  mine: {kind: owned, gpu: RTX 3070, purchase: {price: 1000, hours: 10000}, watts: 200, date: "2026-01-01", source: me}
  rack: {kind: owned, date: "2026-01-01", source: me}
"""


def test_every_shipped_row_is_dated_and_sourced():
    rates = read_prices().rates
    assert {rate.kind for rate in rates.values()} == {"owned", "on-demand", "spot"}
    for rate in rates.values():
        assert rate.price_per_hour > 0
        assert rate.date.startswith("20")
        assert len(rate.source) > 10


def test_an_owned_machine_costs_its_share_and_its_electricity(tmp_path):
    (tmp_path / "own.yaml").write_text(OWN)
    prices = read_prices(tmp_path / "own.yaml")
    assert prices.rate("mine").price_per_hour == pytest.approx(0.1 + 0.2 * 0.3)
    assert prices.rate("mine").currency == "EUR"
    assert prices.rate("rack").price_per_hour is None  # unknown, and not 0
    assert prices.rate("rack").cost(3600).money is None
    assert set(read_prices().rates) < set(prices.rates)


def test_rows_of_ones_own_replace_shipped_ones(tmp_path):
    name = next(iter(read_prices().rates))
    (tmp_path / "own.yaml").write_text(OWN.replace("rack", name))
    assert read_prices(tmp_path / "own.yaml").rate(name).price_per_hour is None


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("kind: owned, date", "kind: leased, date", "kind"),
        ('date: "2026-01-01", source: me}\n  rack', 'source: me}\n  rack', "date"),
        ("watts: 200", "watts: -1", "watts"),
        ("kind: owned, gpu", "price_per_hour: 1, kind: owned, gpu", "purchase"),
        ("currency: EUR", "currency: euros", "currency"),
        ("machines:", "machine:", "machine"),
        ("machines:", "machines: [", "not valid YAML"),
    ],
)  # fmt: skip
def test_a_damaged_list_names_what_is_wrong(tmp_path, old, new, named):
    (tmp_path / "own.yaml").write_text(OWN.replace(old, new))
    with pytest.raises(InputError, match=named):
        read_prices(tmp_path / "own.yaml")


def test_a_list_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_prices(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("model", "name", "same"),
    [
        ("RTX 3070", "NVIDIA GeForce RTX 3070", True),
        ("RTX 3070", "NVIDIA GeForce RTX 3070 Ti", False),
        ("RTX 3070 Ti", "NVIDIA GeForce RTX 3070 Ti", True),
        ("RTX 3070", "NVIDIA GeForce RTX 3070 Laptop GPU", False),
        ("A100", "NVIDIA A100-SXM4-80GB", True),
        ("A100", "NVIDIA A10", False),
        ("H200", "NVIDIA H200", True),
    ],
)
def test_models_of_gpus(model, name, same):
    assert matches_gpu(model, name) is same


def test_a_kind_is_the_row_for_the_gpu_that_is_there():
    prices = read_prices()
    assert chosen_machine(prices, "owned", "NVIDIA GeForce RTX 3070").machine == "rtx3070"
    assert chosen_machine(prices, "spot", "NVIDIA A100-SXM4-80GB").machine == "a100-spot"
    assert chosen_machine(prices, None, "NVIDIA H200").price_per_hour is None
    for machine, gpu in (("owned", None), ("owned", "NVIDIA H200"), ("rtx3071", None)):
        with pytest.raises(InputError):
            chosen_machine(prices, machine, gpu)


def test_the_list_can_be_shipped():
    assert SHIPPED.is_file()
