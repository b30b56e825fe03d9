"""`rl-eval init`: a suite, a CI file and a `.gitignore` for a person's own environment and policy."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from rl_eval.cli._app import app
from rl_eval.cli._init_environment import is_class, register, registered_id, requirements
from rl_eval.cli._init_files import GITIGNORE, GITLAB, PLUGIN, ci_file
from rl_eval.errors import InputError
from rl_eval.override_text import shell_word


class CI(Enum):
    """Who runs the gate."""

    github = "github"
    gitlab = "gitlab"
    none = "none"


@app.command("init")
def init(
    env: Annotated[
        str,
        typer.Option(
            "--env", metavar="ID|MODULE:CLASS", help="A Gymnasium id, module:Env-v0, a class, or pettingzoo:…"
        ),
    ],
    policy: Annotated[
        str,
        typer.Option("--policy", metavar="POLICY", help="What --rl-run gets: sb3:ppo:model.zip, onnx:policy.onnx, …"),
    ],
    ci: Annotated[CI, typer.Option("--ci", help="Which CI file to write.")] = CI.github,
) -> None:
    """Write a suite, a CI file and a .gitignore in this folder, for your environment and your policy.

    \b
      rl-eval init --env Acrobot-v1 --policy sb3:ppo:model.zip
      rl-eval init --env my_env:MyEnv --policy python:my_policy:act --ci gitlab

    It plays 20 episodes of the policy and of `random`, which are not those of the suite, and puts a first bar
    between them. Naming an environment and a policy here lets their code run. A file that exists is left as it is;
    if its content is another, nothing is written.

    Exit status: 0 done, 2 bad input.
    """
    from rl_eval import terminal
    from rl_eval.envs.parallel_env import PREFIX
    from rl_eval.gates.first_suite import first_suite, look, suite_name
    from rl_eval.policy import SOURCES, canonical, names_policy, not_a_policy

    if not names_policy(policy):
        raise not_a_policy(policy)
    sys.path[:0] = [str(Path.cwd())]  # as `python -m pytest` does
    policy = canonical(policy)
    name = suite_name(env)
    files: dict[Path, str] = {}
    env_id, plugin = env, None
    if is_class(env) and (own_id := registered_id(env)):
        env_id = f"{env.rpartition(':')[0]}:{own_id}"
        terminal.print_line(f"judges {env_id}, which is how {env} is registered")
    elif is_class(env):
        env_id, plugin = f"{env.rpartition(':')[2]}-v0", f"{name}_environment"
        files[Path("suites") / f"{plugin}.py"] = PLUGIN.format(env=env, id=env_id)
        register(env, env_id)
    terminal.print_line(f"plays 20 episodes of {policy} and of random")
    seen = look(env_id, policy, name)
    files[Path("suites") / f"{name}.yaml"] = first_suite(seen, env_id, policy, plugin)
    prefix, _, rest = policy.partition(":")
    trust = bool(SOURCES.get(prefix).needs_trust(rest)) or ":" in env.removeprefix(PREFIX)
    command = f"python -m pytest suites/ --rl-run {shell_word(policy)}{' --rl-trust' if trust else ''}"
    if ci is not CI.none:
        place = Path(".github/workflows/gate.yml") if ci is CI.github else Path(GITLAB)
        files[place] = ci_file(
            ci.value, command, *requirements(env_id, policy), requirements=Path("requirements.txt").exists()
        )
    _refuse_others(files)
    files[Path(".gitignore")] = GITIGNORE
    for file, text in files.items():
        terminal.print_line(_write(file, text))
    if not seen.is_better:
        terminal.print_line(f"note: {policy} is no better than random in these episodes, so the suite will fail")
    terminal.print_line(f"next: {command}")


def _refuse_others(files: Mapping[Path, str]) -> None:
    """Refuse files that exist and have another content.

    Raises:
        InputError: there is one.
    """
    for file, text in files.items():
        if file.exists() and (not file.is_file() or file.read_text(encoding="utf-8", errors="replace") != text):
            without_ci = "" if file.parent == Path("suites") else ", or add --ci none"
            raise InputError(
                f"{file} exists already with another content, and is not overwritten: move it away first{without_ci}"
            )


def _write(file: Path, text: str) -> str:
    """Write a file that does not exist; what was done, as a line."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(file, "x", encoding="utf-8") as new:
            new.write(text)
    except FileExistsError:
        missing = [line for line in text.splitlines() if line not in file.read_text(encoding="utf-8", errors="replace")]
        advice = f"; add to it: {', '.join(missing)}" if file.name == ".gitignore" and missing else ""
        return f"kept   {file}, which exists{advice}"
    except OSError as error:
        raise InputError(
            f"{file} cannot be written ({error.strerror or error}): run this in a folder of yours"
        ) from error
    return f"wrote  {file}"
