"""`start_demo`: trains the first champion, plays the demo, and writes its page."""

from __future__ import annotations

import datetime
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from rl_eval import config as run_configs
from rl_eval import run
from rl_eval.errors import InputError
from rl_eval.extras import imports_of_extra
from rl_eval.production.clock_check import forget_time
from rl_eval.production.config import load_config
from rl_eval.production.demo.demo import run_demo
from rl_eval.production.demo.simulated_clock import SimulatedClock
from rl_eval.production.demo.story import write_story
from rl_eval.production.parts import open_parts
from rl_eval.tracking import open_tracker
from rl_eval.training import train
from rl_eval.untrusted_files import load_yaml, read_bounded

Compose = Callable[[list[str]], dict[str, Any]]
MAX_BYTES = 1 << 20
KEYS = ("champion", "periods", "production", "seed")


def start_demo(
    file: Path, folder: Path | None, say: Callable[[str], Any], compose: Compose, seed: int | None = None
) -> Path:
    """Play the demo; returns the page.

    Args:
        file: with `champion`, overrides of train.py; `periods`, environments; and `production`, the config.
        folder: does not exist; None: one named after the time.
        say: prints a line.
        compose: overrides to the config of a run.
        seed: None: that of the file.

    Raises:
        InputError: the file is not valid, the folder exists, or something of the demo failed.
    """
    started = time.monotonic()
    with imports_of_extra("serve", "the demo"):
        from threadpoolctl import threadpool_limits
    threadpool_limits(1)  # on small networks, more threads are slower than one
    values = _read(file)
    seed = values["seed"] if seed is None else seed
    if folder is None:
        now = datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
        folder = Path("production-demo") / now
    if folder.exists():
        raise InputError(f"{folder} exists: name a new folder, or leave --folder out")
    for path in file.parent.glob(f"{file.stem}-*.yaml"):  # suites that the config names
        (folder / path.name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / path.name)
    champion = _train(compose([*values["champion"], f"seed={seed}"]), folder / "champion")
    say(f"the first champion is trained in {time.monotonic() - started:.0f} s")
    clock = SimulatedClock()
    story = run_demo(champion, values["periods"], values["production"], folder, seed, clock, say)
    story.seconds = time.monotonic() - started
    with open_parts(load_config(folder / "production.yaml"), clock.now, clock.steady) as parts:
        forget_time(parts.store)  # the status page has the clock of this machine, and not that of the demo
        return write_story(folder / "demo.html", story, parts)


def _read(file: Path) -> Mapping[str, Any]:
    try:
        _, values = load_yaml(read_bounded(file, MAX_BYTES).decode())
    except (OSError, UnicodeDecodeError, OverflowError, yaml.YAMLError) as error:
        raise InputError(f"{file} cannot be read ({error}): name the demo's config in a checkout") from error
    if not isinstance(values, dict) or set(values) != set(KEYS) or len(values["periods"]) != 2:
        raise InputError(f"{file} is not a config of the demo: it has {', '.join(KEYS)}, with two periods")
    return values


def _train(values: dict[str, Any], directory: Path) -> run.Run:
    directory.mkdir(parents=True)
    config = run_configs.load(values)
    tracker = open_tracker(config.tracker, run_dir=directory, config=config.to_dict(), group=None)
    trained = train(config, directory, tracker=tracker)
    tracker.close(trained.info["status"])
    if not trained.finished:
        raise InputError(f"the first champion was not trained: {trained.info.get('reason')}")
    return trained
