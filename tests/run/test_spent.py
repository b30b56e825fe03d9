from rl_eval import run as runs


def test_jobs_write_their_own_number_and_read_the_sum(tmp_path):
    with runs.open_spent(tmp_path, 0, 3) as first, runs.open_spent(tmp_path, 2, 3) as last:
        assert first.write(1.5) == 1.5
        assert last.write(2.0) == 3.5
        assert first.write(2.5) == 4.5
    with runs.open_spent(tmp_path, 1, 3) as second:
        assert second.own() == 0
        assert second.total() == 4.5
