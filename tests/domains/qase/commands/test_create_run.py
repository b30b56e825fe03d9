"""`--create-run`: shown first, sent once and with the token only to the API, the cases in their order."""

import pytest

from rl_eval.cli import main
from tests.domains.qase.qase_api import TOKEN, serving


@pytest.fixture
def qase(monkeypatch):
    with serving() as stand_in:
        monkeypatch.setenv("QASE_API_URL", stand_in.url)
        monkeypatch.setenv("QASE_API_TOKEN", TOKEN)
        yield stand_in


def create(disk, capsys, *arguments):
    """Order the export on the disk with all its results; status, stdout and stderr."""
    options = [str(disk / "export.json"), "--results", str(disk / "results.jsonl"), "--policy", "baseline:failure_rate"]
    status = main(["qase", "prioritise", *options, *arguments])
    output = capsys.readouterr()
    assert TOKEN not in output.out + output.err
    return status, " ".join(output.out.split()), " ".join(output.err.split())


def listed(path):
    """Ids and whether they fit, of the CSV."""
    rows = [line.split(",") for line in (path / "prioritised.csv").read_text().splitlines()]
    return [(int(row[1]), row[-1] == "yes") for row in rows[1:]]


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_without_send_nothing_is_sent_and_no_token_is_needed(qase, disk, capsys, monkeypatch):
    monkeypatch.delenv("QASE_API_TOKEN")
    status, out, _ = create(disk, capsys, "--create-run", "DEMO")
    assert status == 0
    assert "not sent add --send to create it" in out
    assert qase.sent == qase.asked == []


def test_the_run_has_the_cases_that_fit_in_their_order(qase, disk, capsys, tmp_path):
    status, out, _ = create(disk, capsys, "--create-run", "DEMO", "--send", "--budget", "30s", "--title", "Nightly é")
    assert status == 0
    ((path, token, body),) = qase.sent
    assert (path, token) == ("/v1/run/DEMO", TOKEN)
    within = [key for key, fits in listed(tmp_path) if fits]
    assert 0 < len(within) < 12
    assert body["cases"] == within
    assert body["title"] == "Nightly é"
    assert body["include_all_cases"] is False
    assert "created run 41 of project DEMO" in out


def test_a_title_of_its_own_says_which_policy_ordered(qase, disk, capsys):
    assert create(disk, capsys, "--create-run", "DEMO", "--send")[0] == 0
    assert "baseline:failure_rate" in qase.sent[0][2]["title"]
    assert len(qase.sent[0][2]["cases"]) == 12


@pytest.mark.parametrize(
    ("instead", "problem"),
    [
        ((401, {}, {"error": "x"}), "status 401: the token in QASE_API_TOKEN is refused"),
        ((422, {}, {"errorMessage": "Data is \x1b[31minvalid."}), r"status 422, 'Data is \\x1b[31minvalid.'"),
        ((302, {"Location": "http://127.0.0.1:1/"}, {}), "a redirect, which is not followed"),
        ((200, {}, {"status": True, "result": {}}), "has no id of a run"),
        ((None, {}, None), "Qase did not answer"),
        ((503, {}, {}), "status 503"),
    ],
)
def test_a_run_that_is_not_created_is_one_sentence_and_is_not_tried_again(qase, disk, capsys, instead, problem):
    qase.instead = [instead]
    status, _, err = create(disk, capsys, "--create-run", "DEMO", "--send")
    assert status == 2
    assert problem in err or problem.replace("\\\\", "\\") in err
    assert len(qase.sent) == 1


@pytest.mark.parametrize("url", ["http://qase.example.org/v1", "ftp://127.0.0.1/v1", "https://user@api.qase.io/v1"])
def test_the_token_goes_to_no_other_kind_of_address(qase, disk, capsys, monkeypatch, url):
    monkeypatch.setenv("QASE_API_URL", url)
    status, _, err = create(disk, capsys, "--create-run", "DEMO", "--send")
    assert status == 2
    assert "the URL of Qase" in err
    assert qase.sent == []


def test_the_address_is_not_read_from_a_file_of_the_folder(qase, disk, capsys, monkeypatch, tmp_path):
    monkeypatch.delenv("QASE_API_URL")
    (tmp_path / ".env").write_text(f"QASE_API_URL={qase.url}\n")
    assert "https://api.qase.io/v1" in create(disk, capsys, "--create-run", "DEMO")[1]


def test_without_a_token_nothing_is_sent(qase, disk, capsys, monkeypatch):
    monkeypatch.delenv("QASE_API_TOKEN")
    status, _, err = create(disk, capsys, "--create-run", "DEMO", "--send")
    assert (status, qase.sent) == (2, [])
    assert "no token for Qase" in err


@pytest.mark.parametrize("options", [["--send"], ["--title", "Nightly"]])
def test_options_of_a_run_need_a_run(qase, disk, capsys, options):
    status, _, err = create(disk, capsys, *options)
    assert (status, qase.sent) == (2, [])
    assert f"{options[0]} is about a run in Qase: add --create-run CODE" in err


def test_cases_of_another_project_are_refused(qase, capsys, tmp_path):
    (tmp_path / "SHOP-2026-02-18.json").write_text('{"cases": [{"id": 1, "title": "m"}]}')
    assert main(["qase", "prioritise", "SHOP-2026-02-18.json", "--create-run", "DEMO", "--send"]) == 2
    assert "are of the project SHOP" in capsys.readouterr().err
    assert main(["qase", "prioritise", "SHOP-2026-02-18.json", "--create-run", "../x"]) == 2
    assert "is not a project code" in capsys.readouterr().err
    assert qase.sent == []


def test_a_project_that_is_read_over_the_api_becomes_a_run_of_it(qase, capsys):
    assert main(["qase", "prioritise", "rest:DEMO", "--create-run", "DEMO", "--send"]) == 0
    assert [(path, body["cases"]) for path, _, body in qase.sent] == [("/v1/run/DEMO", [7])]
