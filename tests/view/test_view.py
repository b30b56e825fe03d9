"""The pages of `rl-eval view` over HTTP: what they show, and what they refuse."""

import asyncio
import html
import json
import re
import shlex
import signal
import subprocess
import sys
import time
from urllib.parse import quote

import httpx
import pytest

pytest.importorskip("fastapi")

from agents import AGENTS
from rl_eval.cli import main
from rl_eval.errors import InputError
from rl_eval.serving.security import Access, GuardedApp
from rl_eval.view import serve
from rl_eval.view.app import make_app
from rl_eval.view.runs import Runs, run_id
from tests.gates import fake_agent
from tests.run_index.many_runs import write_many
from tests.test_replay import pole as pole
from tests.view.outputs import FILM, HOSTILE, SCRIPT, write_outputs

TOKEN = "a-token-of-enough-characters"


class Client:
    """Asks an app without a socket."""

    def __init__(self, app):
        self._app = app

    def ask(self, method, path, **options):
        async def asked():
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8765") as client:
                return await client.request(method, path, **options)

        return asyncio.run(asked())

    def get(self, path, **options):
        return self.ask("GET", path, **options)


def client_of(runs, token=None, loopback=True):
    return Client(GuardedApp(make_app(runs), Access(token, loopback, (), people=True), lambda *_: None, {}))


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    return write_outputs(tmp_path_factory.mktemp("view") / "outputs")


@pytest.fixture(scope="module")
def client(outputs):
    return client_of(Runs(outputs))


def words(answer):
    """The text of a page."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", answer.text)).split())


def names(answer):
    """The runs in the table, in their order."""
    return [
        html.unescape(name) for name in re.findall(r'class="name"><a href="/run/[0-9a-f]{16}">([^<]*)</a>', answer.text)
    ]


def address(path):
    return f"/run/{run_id(path)}"


def test_the_table_shows_a_page_of_runs_the_newest_first(client):
    answer = client.get("/")
    assert "1 to 100 of 124 runs" in words(answer)
    assert len(names(answer)) == 100
    assert names(answer)[1:4] == ["training", "119_seed=9", "118_seed=8"]
    second = client.get("/?page=2")
    assert len(names(second)) == 24
    assert not set(names(answer)) & set(names(second))
    assert names(client.get("/?page=99")) == names(second)


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("q=seed%3D3", 12), ("q=good", 1), ("agent=dqn", 60), ("verdict=PASS&suite=pole", 40), ("status=running", 1),
        ("verdict=nonsense", 124), ("sort=nonsense&page=-1", 124), ("q=" + "x" * 5000, 0), ("env=nowhere", 0),
    ],
)  # fmt: skip
def test_search_and_filters(query, count, client):
    text = words(client.get(f"/?{query}"))
    assert (f"of {count} runs" in text) if count else ("No run fits" in text)


def test_headers_sort_and_turn_the_order_round(client):
    answer = client.get("/?sort=score&agent=dqn")
    assert 'aria-sort="descending"' in answer.text
    assert "/?agent=dqn&amp;sort=score&amp;reverse=1" in answer.text
    assert names(client.get("/?sort=score&agent=dqn&reverse=1"))[0] in names(answer)[-12:]


def test_the_page_of_a_run_has_verdict_curves_and_commands(client, outputs):
    text = words(client.get(address("2026-04-01/bad")))
    for part in ("FAIL", "solved mean_return", "≥ 475", "worst 2", "Return while training", "rl-eval doctor "):
        assert part in text
    assert f"/suite?name={quote('pole')}" in client.get(address("2026-04-01/bad")).text
    assert "What cannot be shown" not in text


def test_a_failed_criterion_leads_to_its_episodes(client, outputs):
    page = client.get(f"{address('2026-04-01/bad')}/criterion/0/0")
    text = words(page)
    assert "Seed 17: 8" in text
    assert "Seed 2147483647: 9.5" in text
    assert f"rl-eval replay {shlex.quote(str(outputs / '2026-04-01' / 'bad'))} --seed 17" in text
    (film,) = re.findall(r'<img src="([^"]+)"', page.text)
    answer = client.get(film)
    assert (answer.content, answer.headers["content-type"]) == (FILM, "image/webp")
    assert "names no episode" in words(client.get(f"{address('2026-04-01/good')}/criterion/0/0"))


def test_the_command_of_an_episode_works_when_pasted(pole, monkeypatch, capsys):
    from rl_eval.gates import evaluate_run, load_suite
    from rl_eval.run import read_run, write_json

    monkeypatch.setitem(AGENTS, "fake", fake_agent.ENTRY)
    run, suite = pole
    verdict = evaluate_run(load_suite(suite), read_run(run))
    write_json(run / "verdict.json", {"suites": [verdict.to_json()]})
    page = client_of(Runs(run.parent)).get(f"{address('run')}/criterion/0/0")
    command = html.unescape(re.search(r'<pre class="command" tabindex="0">(.*?)</pre>', page.text)[1])
    program, *arguments = shlex.split(command)
    assert program == "rl-eval"
    assert arguments[-2:] == ["--suite", str(suite)]
    assert main(arguments) == 0
    seed, value = verdict.criteria[0].worst[0]
    assert f"seed {seed}, test part: {value:g} steps" in capsys.readouterr().out


def test_curves_grow_while_a_run_trains(tmp_path):
    outputs = write_outputs(tmp_path / "outputs")
    client = client_of(Runs(outputs))
    assert "data-live" in client.get(address("training")).text
    assert "data-live" not in client.get(address("2026-04-01/good")).text
    before = words(client.get(f"{address('training')}/curves"))
    with open(outputs / "training" / "metrics.csv", "a") as file:
        file.write("3000,333.5\n")
    assert "at the end 200" in before
    assert "at the end 333.5" in words(client.get(f"{address('training')}/curves"))


def test_runs_are_compared(client):
    paths = ["2026-04-01/good", "2026-04-01/bad", "training"]
    answer = client.get("/compare?" + "&".join(f"run={run_id(path)}" for path in paths))
    text = words(answer)
    assert "3 runs compared" in text
    assert "rl-eval compare " in text
    assert "pole: solved" in text
    assert 'class="line s3"' in answer.text


@pytest.mark.parametrize("query", ["", "run=0123456789abcdef", "run=../../etc/passwd"])
def test_a_comparison_of_nothing_is_a_sentence(query, client):
    answer = client.get(f"/compare?{query}")
    assert answer.status_code in (404, 422)
    assert "Traceback" not in answer.text


def test_a_suite_has_its_history(client):
    text = words(client.get("/suites"))
    assert re.search(r"pole 122 .*40 PASS", text)
    answer = client.get("/suite?name=pole")
    assert "the newest 100 are shown" in words(answer)
    assert answer.text.count('<g class="draw ') >= 50
    assert re.search(r"<title>[^<]+, 2026-0[34][^<]*: 4\d\d, interval from 4\d\d to", answer.text)
    assert client.get("/suite?name=other").status_code == 422


def test_the_ledger_counts_policies_by_test_set(client):
    text = words(client.get("/ledger"))
    assert "f00d pole 2 2 10.0 % 9.8 %" in text
    assert "1 lines cannot be read" in text


ADDRESSES = ["/", "/suites", "/ledger", f"/suite?name={quote(SCRIPT)}", address(HOSTILE), f"{address(HOSTILE)}/curves",
             f"{address(HOSTILE)}/criterion/0/0", f"/?q={quote(SCRIPT)}"]  # fmt: skip


@pytest.mark.parametrize("path", ADDRESSES)
def test_hostile_names_are_text(path, client):
    answer = client.get(path)
    assert answer.status_code == 200
    assert [tag for tag in re.findall(r"<script[^>]*>", answer.text) if tag != '<script src="/view.js" defer>'] == []
    assert not re.findall(r"<[^>]+\son\w+=(?![^<]*&gt;)[^>]*>", re.sub(r'"[^"]*"', '""', answer.text))
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202e]", answer.text)
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert "'unsafe" not in answer.headers["content-security-policy"]
    assert not re.search(r"<[^>]+\sstyle=", answer.text)


def test_a_report_is_shown_in_a_sandbox(client):
    answer = client.get(f"{address('2026-04-01/bad')}/report")
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox; default-src 'none'")
    assert "script" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    ["/run/../../etc/passwd", "/run/%2e%2e%2fetc", "/run/0123456789abcdef", f"{address('training')}/report",
     f"{address('training')}/film/test/1", f"{address('2026-04-01/bad')}/film/..%2f../1", "/run.json", "/index.sqlite",
     f"{address('2026-04-01/bad')}/criterion/0/99", f"{address('2026-04-01/bad')}/criterion/-1/0"],
)  # fmt: skip
def test_nothing_else_is_served(path, client):
    answer = client.get(path)
    assert answer.status_code in (404, 422)
    assert "root:" not in answer.text


def test_links_in_a_run_are_not_followed(tmp_path):
    outputs = write_outputs(tmp_path / "outputs")
    (tmp_path / "secret").write_text("secret")
    (outputs / "training" / "report.html").symlink_to(tmp_path / "secret")
    (outputs / "training" / "replays").symlink_to(tmp_path)
    (tmp_path / "test_1.webp").write_text("secret")
    client = client_of(Runs(outputs))
    for path in ("report", "film/test/1"):
        answer = client.get(f"{address('training')}/{path}")
        assert answer.status_code == 404
        assert "secret" not in answer.text.replace("The file is a link", "")


def test_only_this_machine_is_answered_without_a_token(outputs):
    client = client_of(Runs(outputs))
    assert client.get("/", headers={"host": "attacker.example"}).status_code == 421
    assert client.get("/", headers={"origin": "http://attacker.example"}).status_code == 403
    assert client.ask("POST", "/").status_code == 405


def test_other_machines_need_the_token(outputs):
    client = client_of(Runs(outputs), TOKEN, loopback=False)
    answer = client.get("/")
    assert (answer.status_code, answer.headers["www-authenticate"][:5]) == (401, "Basic")
    assert client.get("/", auth=("anyone", TOKEN)).status_code == 200
    assert client.get("/", auth=("anyone", TOKEN + "x")).status_code == 401
    assert client.get("/view.js").status_code == 401


def test_the_server_refuses_other_addresses_without_a_token(outputs):
    with pytest.raises(InputError, match="lets other machines ask"):
        serve(outputs, host="0.0.0.0", port=0, token=None)
    with pytest.raises(InputError, match="choose one of at least 16"):
        serve(outputs, host="0.0.0.0", port=0, token="short")


def test_the_command_serves_until_a_signal(outputs):
    command = [sys.executable, "-m", "rl_eval.cli", "view", str(outputs), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        origin, _, rest = server.stdout.readline().partition("  ")
        assert rest == f"shows 124 runs in {outputs}; Ctrl-C ends it\n"
        assert httpx.get(origin, timeout=60).status_code == 200
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=60) == 0
    finally:
        server.kill()
        server.stdout.close()


def test_the_command_names_a_folder_that_is_not_there(tmp_path, capsys):
    assert main(["view", str(tmp_path / "none")]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_damaged_run_is_a_sentence(tmp_path):
    outputs = write_outputs(tmp_path / "outputs")
    (outputs / "training" / "run.json").write_text(json.dumps({"schema": 1, "status": "odd"}))
    client = client_of(Runs(outputs))
    assert "has status 'odd'" in words(client.get("/?q=unreadable"))
    answer = client.get(address("training"))
    assert answer.status_code == 422
    assert "has status 'odd'" in html.unescape(answer.text)


@pytest.mark.verify
def test_five_thousand_runs_are_shown_in_under_a_second_of_processor_time(tmp_path):
    write_many(tmp_path, 5000)
    Runs(tmp_path)
    begun = time.process_time()
    runs = Runs(tmp_path)  # the files are looked at again
    answer = client_of(runs).get("/?q=ppo+seed%3D4&sort=score&verdict=PASS")
    assert time.process_time() - begun < 1
    assert "of 166 runs" in words(answer) or "of 167 runs" in words(answer)
