"""Every command of the documentation is one that exists, with keys and options that exist."""

import re
import shlex
from pathlib import Path

import pytest
import typer
from hydra.core.override_parser.overrides_parser import OverridesParser

from rl_eval import config as configs
from rl_eval.cli import app
from rl_eval.hydra_compose import compose_jobs

ROOT = Path(__file__).resolve().parents[1]
PAGES = ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md"))]
# At a prompt, where a line that ends with a backslash goes on; or inline.
COMMAND = re.compile(r"(?:^(?:\w*\$ )?|`)(?:[A-Z_]+=\S+ )*((?:python train\.py|rl-eval) (?:[^\n`\\]|\\\n)+)", re.M)
# Runs and files of a person's own.
OWN = ("resume=", "--config-dir", "plugins=", "-sc", "tracker.name=journal", "tuned=cartpole_ppo_searched")
UNFINISHED = ("…", "agent.gama", "ENV", "OPTION", "<name>")  # commands that show a form or a mistake


def commands(program):
    """(page, command) of a program, each once."""
    found = {}
    for page in PAGES:
        for command in COMMAND.findall((ROOT / page).read_text(encoding="utf-8")):
            words = shlex.split(command.replace("\\\n", " "), comments=True)
            if command.startswith(program) and not any(mark in command for mark in UNFINISHED):
                found.setdefault((page, shlex.join(words)), None)
    return list(found)


def single(override):
    """The first job of a sweep."""
    parsed = OverridesParser.create().parse_override(override)
    if not parsed.is_sweep_override():
        return override
    return f"{parsed.get_key_element()}={next(iter(parsed.sweep_string_iterator()))}"


@pytest.mark.parametrize("page", PAGES)
def test_the_keys_of_training_commands_exist(page):
    jobs = []
    for command in (command for other, command in commands("python train.py") if other == page):
        words = shlex.split(command)[2:]
        overrides = [word for word in words if "=" in word and not word.startswith(("-", "hydra.", "init="))]
        if not any(word.startswith(OWN) for word in words):
            jobs.append([single(override) for override in overrides])
    for job in compose_jobs(ROOT / "conf", jobs) if jobs else []:
        configs.load(job)


@pytest.mark.parametrize(("page", "command"), commands("rl-eval"))
def test_the_options_of_a_command_exist(page, command):
    group = typer.main.get_command(app)
    context = group.context_class(group)
    words = shlex.split(command)[1:]
    while hasattr(context.command, "get_command") and words and not words[0].startswith("-"):
        name, *words = words
        child = context.command.get_command(context, name)
        assert child is not None, f"{page}: there is no command {name}"
        context = child.context_class(child, parent=context)
    context.command.make_parser(context).parse_args(words)
