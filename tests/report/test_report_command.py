"""`rl-eval report`, the page at the end of a training, and how long a page takes."""

import pytest

from rl_eval.cli import main
from rl_eval.report import write_report
from tests.report.judged_runs import judged_run, table


def test_the_command_writes_the_page_and_says_where(cartpole, tmp_path, capsys):
    assert main(["report", str(cartpole), "--out", str(tmp_path / "page.html")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "page.html")
    assert "CartPole" in (tmp_path / "page.html").read_text() or "cartpole" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize("arguments", [["nowhere"], ["."], []])
def test_bad_input_is_one_sentence_and_status_2(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["report", *arguments]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_page_that_cannot_be_written_fails_no_training(tmp_path, capsys, monkeypatch):
    from rl_eval import job, report

    def broken(*_, **__):
        raise RuntimeError("no room\nleft")

    monkeypatch.setattr(report, "write_report", broken)
    job._report(tmp_path)
    page = capsys.readouterr().err
    assert "no report was written (no room left): try `rl-eval report" in " ".join(page.split())


@pytest.mark.verify
def test_a_hundred_thousand_rows_take_less_than_five_seconds(tmp_path):
    import time

    path = judged_run(tmp_path / "run").path
    (path / "metrics.csv").write_text(table(100_000))
    begun = time.process_time()
    file = write_report([path])
    assert time.process_time() - begun < 5
    assert file.stat().st_size < 1_000_000
