"""A registry that is lost: whatever starts meanwhile waits for it, says so, and makes no new one."""

import threading

import pytest

from rl_eval.production.config import load_config
from rl_eval.production.loop.process import run_loop
from rl_eval.production.loop.versions import action_names, register_run
from rl_eval.production.parts import open_parts
from rl_eval.production.privacy import read_key
from rl_eval.production.registry import LaterRegistry
from rl_eval.production.server.follower import Follower
from rl_eval.production.server.production_server import ProductionServer
from rl_eval.production.watch import pages
from rl_eval.production.watch.app import make_app
from rl_eval.production.watch.figures import read_figures
from rl_eval.production.watch.metrics import prometheus_text
from tests.production.served import ask, write_config

SECTIONS = {"loop": {"turn": 0.01, "reference_episodes": 0}}


@pytest.fixture(params=["folder", pytest.param("mlflow", marks=pytest.mark.verify)])
def lost(request, runs, tmp_path):
    """A config whose registry was moved elsewhere, and what moves it back."""
    if request.param == "mlflow":
        pytest.importorskip("mlflow", reason="mlflow is not installed")
    config = load_config(write_config(tmp_path, registry={"kind": request.param}, **SECTIONS))
    with open_parts(config) as parts:
        register_run(parts, runs / "one", "ada")
    folder, elsewhere = config.path / "registry", tmp_path / "elsewhere"
    folder.rename(elsewhere)
    yield config, lambda: elsewhere.rename(folder)
    assert folder.exists() != elsewhere.exists()  # none was made in its place


def test_the_status_page_stays_up_and_says_so(lost):
    config, put_back = lost
    with open_parts(config) as parts:
        figures = read_figures(parts, 2e9)
        assert list(figures.faults) == ["registry"]
        assert "put it back" in figures.faults["registry"]
        assert "registry is away" in pages.status_page(figures, (0.1,))
        assert 'part_up{part="registry"} 0.0' in prometheus_text(figures).decode()
        app = make_app(parts, lambda: action_names(parts))
        override = {"decision_id": "d1", "action": 0, "reviewer": "ada"}
        page = ("GET", "/review", {"headers": {"accept": "text/html"}})
        asked = ask(app, ("GET", "/", {}), page, ("POST", "/review", {"json": override}))
        assert [answer.status_code for answer in asked] == [200, 200, 503]
        assert all("put it back" in answer.text for answer in asked)
        put_back()
        assert read_figures(parts, 2e9).faults == {}
        assert ask(app, ("POST", "/review", {"json": override}))[0].status_code == 409  # nobody was asked about it


def test_a_server_that_starts_meanwhile_serves_once_it_is_back(lost, tmp_path):
    config, put_back = lost
    with open_parts(config) as parts:
        assert isinstance(parts.registry, LaterRegistry)
        server = ProductionServer(config, parts.queue, read_key(config.path))
        follower = Follower(server, parts.registry, parts.store, tmp_path / "copies")
        follower.look()
        assert server.current is None
        put_back()
        follower.look()
        assert server.arms.champion.version == "1"
        server.close()


def test_the_control_loop_says_so_once_and_goes_on(lost):
    config, put_back = lost
    said, turns = [], []

    class Stop(threading.Event):
        def wait(self, timeout=None):
            turns.append(timeout)
            if len(turns) == 3:
                put_back()

    run_loop(config, Stop(), collects=False, turns=6, say=said.append)
    lines = [line for line in said if "put it back" in line]
    assert len(lines) == len(set(lines)) > 0
    assert len(turns) == 6
