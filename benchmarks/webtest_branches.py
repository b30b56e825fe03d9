"""Branches of an application's own code that exploring it runs, beyond those that its first page runs.

    python -m benchmarks.webtest_branches --url http://127.0.0.1:8001/ --data FOLDER --coverage /opt/app/bin/coverage \\
        --serve '-m datasette data.db --port 8001' --source datasette baseline:random baseline:novelty outputs/RUN

For each policy the application is started again under `coverage run --branch`, in a fresh copy of FOLDER, explored with
`rl-eval webtest explore`, and ended. What the first page runs on its own (after the log-in, where there is one) is
measured once, and subtracted. Prints one line per policy; the reports stay in --out.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from rl_eval.domains.webtest.browser import Chromium, Tester
from rl_eval.domains.webtest.browser.tester import WHOLE_S
from rl_eval.domains.webtest.explore.log_in import run_script

Branch = tuple[str, int, int]
START_S, END_S = 300.0, 120.0


@contextlib.contextmanager
def _served(options: argparse.Namespace, folder: Path) -> Iterator[None]:
    """The application, with coverage written to `folder` when it ends."""
    rc = folder / "coverage.rc"
    rc.write_text(f"[run]\nbranch = true\nsource = {options.source}\ndata_file = {folder}/data.coverage\n")
    command = [*options.prefix, str(options.coverage), "run", f"--rcfile={rc}", *shlex.split(options.serve)]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder / "data", stdout=log, stderr=log, env={**os.environ, "HOME": str(folder)},
            preexec_fn=_hear_interrupts,
        )  # fmt: skip
    try:
        until = time.monotonic() + START_S
        while not _answers(options.url):
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"the application does not answer: {(folder / 'server.log').read_text()[-500:]}")
            time.sleep(0.2)
        yield
    finally:
        process.send_signal(signal.SIGINT)  # not every server runs what coverage does at exit after SIGTERM
        process.wait(END_S)


def _hear_interrupts() -> None:
    """A process that was started in the background ignores Ctrl-C from the start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _answers(url: str) -> bool:
    parts = urlsplit(url)
    with contextlib.suppress(OSError), socket.create_connection((parts.hostname or "", parts.port or 80), 5.0):
        return True
    return False


def branches_of(options: argparse.Namespace, work: Callable[[], None]) -> set[Branch]:
    """The branches that run from the start of the application to its end, with `work` in between."""
    with tempfile.TemporaryDirectory(prefix="branches-") as name:
        folder = Path(name)
        shutil.copytree(options.data, folder / "data")
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o777 if path.is_dir() else 0o666)  # the application may run as somebody else
        with _served(options, folder):
            work()
        file = folder / "coverage.json"
        files = ["--data-file", str(folder / "data.coverage"), "-o", str(file)]
        subprocess.run([str(options.coverage), "json", "-q", "-i", *files], check=True)
        found = json.loads(file.read_text())["files"]
        return {(path, *branch) for path, one in found.items() for branch in one["executed_branches"]}


def _first_page(options: argparse.Namespace) -> None:
    storage = run_script(options.login, options.url) if options.login else None
    chromium = Chromium()
    try:
        chromium.run(Tester(chromium, options.url, storage=storage).start(), WHOLE_S)
    finally:
        chromium.close()


def _explore(options: argparse.Namespace, policy: str, out: Path) -> None:
    command = [sys.executable, "-m", "rl_eval.cli", "webtest", "explore", options.url, "--budget", str(options.budget)]
    command += ["--policy", policy, "--out", str(out), *shlex.split(options.explore)]
    command += ["--login", str(options.login), "--trust"] if options.login else []
    with out.with_suffix(".log").open("wb") as log:
        done = subprocess.run(command, stdout=log, stderr=log)
    if done.returncode not in (0, 1):
        raise SystemExit(f"exploring failed: {out.with_suffix('.log').read_text()[-500:]}")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("policies", nargs="+")
    parser.add_argument("--url", required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder that the application runs in a copy of")
    parser.add_argument("--coverage", type=Path, required=True, help="the coverage command of its environment")
    parser.add_argument("--serve", required=True, help="what coverage runs")
    parser.add_argument("--prefix", type=shlex.split, default=[], help="such as 'setpriv --reuid=nobody'")
    parser.add_argument("--source", required=True, help="the package that is measured")
    parser.add_argument("--budget", type=int, default=500)
    parser.add_argument("--login", type=Path)
    parser.add_argument("--explore", default="", help="more options of rl-eval webtest explore")
    parser.add_argument("--out", type=Path, default=Path("webtest-branches"))
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print."""
    options = _options(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    first = branches_of(options, lambda: _first_page(options))
    print(f"first page: {len(first):,} branches", flush=True)
    for number, policy in enumerate(options.policies):
        out = options.out / f"{number}_{Path(policy).name.replace(':', '_')}"
        ran = branches_of(options, lambda policy=policy, out=out: _explore(options, policy, out))
        report = json.loads((out / "report.json").read_text())
        print(
            f"{policy}: {len(ran - first):,} branches more, {report['states']} states, "
            f"{report['transitions']} transitions, {len(report['failures'])} failures, "
            f"{len(report['not_reproduced'])} not reproduced, {report['seconds']:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
