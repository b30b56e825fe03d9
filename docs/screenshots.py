"""Write docs/images/, pictures of the product: `python docs/screenshots.py [FOLDER]`.

It copies the checkout to FOLDER, or to a new temporary folder, trains a few runs there and plays the production demo
(five minutes or more). Then it takes pictures of their pages in Chromium. What FOLDER has from an earlier call is used
again.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from rich.console import Console
from rich.text import Text

from rl_eval.domains.webtest.browser.chromium import launch_options

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
# Each picture with the width and height of its window in pixels; height 0: the whole page.
SIZES = {"report.png": (1200, 880), "view.png": (1440, 680), "production.png": (1200, 900), "terminal.png": (1200, 0)}
MAX_BYTES = 200_000
COLUMNS = 118
# The first run is the one of the report and of the terminal; the others fill the table.
COMMANDS = (
    ("train.py", "agent=ppo", "env=threat"),
    ("train.py", "-m", "agent=ppo,a2c,dqn", "env=cartpole", "total_steps=30000"),
    ("train.py", "-m", "agent=a2c", "env=threat", "total_steps=60000", "seed=1"),
    ("-m", "rl_eval.cli", "production", "demo"),
)
TERMINAL = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; background: {background}; color: {foreground} }}
pre {{ margin: 16px 24px; font: 16px/1.4 monospace }}
{stylesheet}</style><pre>{code}</pre>"""


def play(folder: Path) -> None:
    """Run the commands that did not run yet; the output of each goes to a file of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("train.py", "rl_eval", "agents", "conf", "deploy", "suites"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        if not (folder / name).exists():
            copy(ROOT / name, folder / name)
    environment = os.environ | {"FORCE_COLOR": "1", "COLUMNS": str(COLUMNS), "PYTHONPATH": str(folder)}
    for number, arguments in enumerate(COMMANDS):
        output = folder / f"output-{number}.txt"
        if not output.exists():
            print("runs", *arguments, flush=True)
            command = [sys.executable, *arguments]
            done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, check=True, text=True)
            output.write_text(done.stdout, encoding="utf-8")


@contextlib.contextmanager
def view(folder: Path) -> Iterator[str]:
    """The address of `rl-eval view` on the runs."""
    command = [sys.executable, "-m", "rl_eval.cli", "view", "--port", "0"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = None
        while found is None:
            line = process.stdout.readline()
            if not line:
                sys.exit("rl-eval view ended before it gave its address")
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
        yield found[0]
    finally:
        process.terminate()
        process.wait(timeout=60)


def terminal_page(output: str) -> str:
    """What a command wrote to a terminal as HTML, in the light colours of rich."""
    console = Console(file=StringIO(), record=True, width=COLUMNS, force_terminal=True)
    console.print(Text.from_ansi("$ python train.py agent=ppo env=threat\n" + output.rstrip()))
    return console.export_html(code_format=TERMINAL)


def take(page: Page, name: str) -> None:
    """A picture of a page that is open: its upper part, or all of it if `SIZES` has no height."""
    width, height = SIZES[name]
    page.set_viewport_size({"width": width, "height": height or 100})
    page.screenshot(path=IMAGES / name, full_page=not height)
    page.close()
    size = (IMAGES / name).stat().st_size
    print(f"docs/images/{name}: {size:,} bytes")
    if size > MAX_BYTES:
        sys.exit(f"docs/images/{name} has {size:,} bytes, {MAX_BYTES:,} are allowed: make it smaller in SIZES")


def main(folder: Path) -> None:
    """Run the commands, then take all pictures."""
    play(folder)
    IMAGES.mkdir(exist_ok=True)
    report = next((folder / "outputs").glob("*/*_threat_ppo_s42/report.html"))
    demo = next(folder.glob("production-demo/*/demo.html"))
    with sync_playwright() as playwright, view(folder) as address:
        browser = playwright.chromium.launch(**launch_options())
        pages = {name: browser.new_page(color_scheme="light") for name in SIZES}
        pages["report.png"].goto(report.as_uri())
        pages["view.png"].goto(address)
        pages["production.png"].goto(demo.as_uri())
        pages["terminal.png"].set_content(terminal_page((folder / "output-0.txt").read_text(encoding="utf-8")))
        for name, page in pages.items():
            take(page, name)
        browser.close()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]).resolve())
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
