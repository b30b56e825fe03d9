import math

from rl_eval import run as runs


def test_jobs_write_their_own_number_and_read_the_sum(tmp_path):
    with runs.open_spent(tmp_path, 0, 3) as first, runs.open_spent(tmp_path, 2, 3) as last:
        assert first.write(1.5, 0.25) == (1.5, 0.25)
        assert last.write(2.0, 1.0) == (3.5, 1.25)
        assert first.write(2.5, 0.5) == (4.5, 1.5)
    with runs.open_spent(tmp_path, 1, 3) as second:
        assert second.own() == (0, 0)
        assert second.total() == (4.5, 1.5)


def test_money_that_is_not_known_leaves_the_sum_of_money_unknown(tmp_path):
    with runs.open_spent(tmp_path, 0, 2) as first, runs.open_spent(tmp_path, 1, 2) as second:
        first.write(1.0, 2.0)
        machine_s, money = second.write(3.0, None)
    assert machine_s == 4.0
    assert math.isnan(money)
