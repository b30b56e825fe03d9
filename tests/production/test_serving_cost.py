"""What 1,000 decisions cost: the time of all servers, by the price list, on the page and in the metrics."""

import pytest

from rl_eval.cost import Rate, read_prices
from rl_eval.errors import InputError
from rl_eval.production.collection_config import ServeConfig
from rl_eval.production.config import load_config
from rl_eval.production.loop.config_check import check_config
from rl_eval.production.parts import open_parts
from rl_eval.production.serving_cost import Served, rate_of, read_served, report_served
from rl_eval.production.watch import pages
from rl_eval.production.watch.figures import read_figures
from rl_eval.production.watch.metrics import prometheus_text
from tests.production.served import Loop, write_config

MACHINE = next(name for name, rate in read_prices().rates.items() if rate.price_per_hour is not None)


def test_a_table_worked_by_hand():
    rate = Rate("own", price_per_hour=0.36, watts=100.0, currency="USD", share=0.5)
    cost = Served(3600.0, 9_000).cost_per_thousand(rate)  # 400 s for a thousand, on half of a machine
    assert (cost.machine_s, cost.currency) == (200.0, "USD")
    assert cost.money == pytest.approx(0.02)
    assert cost.energy_wh == pytest.approx(100 / 18)
    assert Served(3600.0, 0).cost_per_thousand(rate) is None
    assert Served(3600.0, 9_000).cost_per_thousand(Rate()).money is None


def test_servers_add_up_and_each_counts_once(tmp_path):
    with open_parts(load_config(write_config(tmp_path))) as parts:
        assert read_served(parts.store) == Served()
        for number in range(100):  # most of them are gone
            assert report_served(parts.store, f"server{number}", Served(1.0, 5))
            assert report_served(parts.store, f"server{number}", Served(10.0, 20))
        assert read_served(parts.store) == Served(1000.0, 2_000)


def test_a_server_reports_and_operators_see_it(runs, tmp_path):
    loop = Loop(tmp_path, runs, serve={"machine": MACHINE, "share": 0.5})
    try:
        for _ in range(4):
            loop.decide(unit="a")
        loop.server._began -= 100.0
        loop.follower._counted = float("-inf")
        loop.follower.look()
        assert "rl_eval_production_machine_seconds_total 5" in loop.get("/metrics").text
        with open_parts(loop.config) as parts:
            figures = read_figures(parts, 2e9)
        assert 12_500 <= figures.thousand.machine_s < 20_000  # 100 s and more of half a machine for four decisions
        rate = read_prices().rate(MACHINE)
        assert figures.thousand.money == pytest.approx(figures.thousand.machine_s / 3600 * rate.price_per_hour)
        assert f" {rate.currency}, " in pages.status_page(figures, (0.1,))
        text = prometheus_text(figures).decode()
        assert f'cost_per_thousand_decisions{{currency="{rate.currency}"}} ' in text
        assert "machine_seconds_per_thousand_decisions 1" in text
    finally:
        loop.close()


def test_without_a_machine_there_is_no_money(tmp_path):
    with open_parts(load_config(write_config(tmp_path))) as parts:
        report_served(parts.store, "a", Served(10.0, 1_000))
        figures = read_figures(parts, 2e9)
        assert (figures.thousand.machine_s, figures.thousand.money) == (10.0, None)
        assert "10 s of machine time" in pages.status_page(figures, (0.1,))
        assert "cost_per_thousand" not in prometheus_text(figures).decode()


def test_a_machine_that_the_price_list_has_not_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"serve.machine: .*not in the price list"):
        rate_of(ServeConfig(machine="no such"))
    with pytest.raises(InputError, match=r"serve.machine"):
        check_config(load_config(write_config(tmp_path, serve={"machine": "no such"})))
