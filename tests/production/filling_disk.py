"""`python -m tests.production.filling_disk RUN`, on a small disk in ./disk: it fills while a server and a loop run."""

import contextlib
import sys
import time
from pathlib import Path

import httpx
import yaml

from rl_eval.errors import InputError
from rl_eval.production.config import load_config
from rl_eval.production.heartbeats import Heartbeat
from rl_eval.production.loop.versions import register_run
from rl_eval.production.parts import open_parts
from rl_eval.production.watch.figures import read_figures
from rl_eval.production.watch.metrics import prometheus_text
from rl_eval.production.watch.pages import status_page
from tests.production.processes import COLLECT, SERVE, Process, free_port
from tests.production.served import OBS

WAIT_S = 60.0
ZEROS = Path("disk/zeros")


def until(holds, what):
    end = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.2)


def fill():
    """Take all room that is left on the disk, to the last byte."""
    with open(ZEROS, "ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(b"0" * size)
            except OSError:
                pass


def main(champion):
    path = Path.cwd() / "production.yaml"
    serve = {"port": free_port(), "follow": 0.2}
    path.write_text(yaml.safe_dump({"name": "test", "folder": "disk/production", "serve": serve}))
    config = load_config(path)
    with open_parts(config) as parts, open("log.txt", "w") as log:
        register_run(parts, champion, "ada")
        with Process(SERVE, path, log) as server, Process(COLLECT, path, log):
            client = httpx.Client(base_url=server.url, timeout=20.0)

            def decide():
                answer = client.post("/select_action", json={"observation": OBS, "unit": "u"})
                assert answer.status_code == 200, answer.text
                return answer.json()["decision_id"]

            loop = Heartbeat(parts.store, "loop")  # as if one ran

            def page():
                with contextlib.suppress(InputError):
                    loop.beat()
                return status_page(read_figures(parts, time.time()), (0.1,))

            def loop_metrics():
                return prometheus_text(read_figures(parts, time.time())).decode()

            kept = [one for _ in range(50) if (one := decide()) is not None]
            assert len(kept) == 50
            assert client.get("/health").json()["recording"] is True
            until(lambda: "Version 1 serves" in page(), "server or collector give no sign of life")
            fill()
            until(lambda: decide() is None, "a full disk does not show in the answers")
            refused = client.post("/store_experience", json={"decision_id": kept[0], "reward": 1.0, "done": True})
            assert refused.status_code == 503, refused.text
            health = client.get("/health")
            assert (health.status_code, health.json()["recording"]) == (200, False)
            assert "rl_eval_production_recording 0.0" in client.get("/metrics").text
            html = page()
            for text in ("Disk full", "queue is full", "store is full", "audit is full"):
                assert text in html, text
            assert 'rl_eval_loop_part_up{part="queue"} 0.0' in loop_metrics()
            time.sleep(2.0)  # with retries
            ZEROS.unlink()
            until(lambda: decide() is not None, "it does not record again")
            assert client.get("/health").json()["recording"] is True
            until(lambda: "Version 1 serves" in page(), "the page stays red")
            assert 'rl_eval_loop_part_up{part="queue"} 1.0' in loop_metrics()
            for one in kept:
                answer = client.post("/store_experience", json={"decision_id": one, "reward": 1.0, "done": True})
                assert answer.status_code == 200, answer.text
            until(lambda: parts.store.counts().get("accepted") == len(kept), "what was acknowledged is not stored")
    print(text := Path("log.txt").read_text())
    assert text.count("decisions are served and not recorded") == 1
    assert text.count("decisions are recorded again") == 1


if __name__ == "__main__":
    main(Path(sys.argv[1]))
