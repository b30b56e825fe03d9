"""The pages of docs/reference/ that are made from conf/, and Markdown tables."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rl_eval.rewards import RewardTerm, ShareTerm

ROOT = Path(__file__).resolve().parents[1]
CONF = ROOT / "conf"


GROUPS = {
    "hardware": "Where the work happens. Every option has `hardware.device` (`cpu`, `cuda`, `cuda:1`, `auto`) and "
    "`hardware.threads`, the torch threads of a process.",
    "tracker": "Where the numbers of a run are shown, in addition to its directory.",
    "experiment": "Whole settings by name.",
    "tuned": "Settings that suit an agent in an environment; chosen by themselves. `tuned=none` turns them off.",
}


@dataclass(frozen=True)
class Key:
    """A line of a YAML file: a key with its default and its comment."""

    name: str
    default: str
    comment: str


def config_file(path: Path) -> tuple[str, list[Key]]:
    """The text at the top of a file of conf/, and its keys in order, nested ones with dots."""
    intro: list[str] = []
    keys: list[Key] = []
    parents: list[tuple[int, str]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            intro += [] if keys or "@package" in line else [line.lstrip("# ")]
            continue
        if line.strip().startswith("- "):
            if keys and parents[-1][1] != "defaults":
                row = re.sub(r"\s+#.*", "", line.strip()[2:])
                keys[-1] = Key(keys[-1].name, f"{keys[-1].default} {row}".strip(), keys[-1].comment)
            continue
        match = re.fullmatch(r"(\s*)(\w+):\s*(.*?)\s*(?:(?<=\s)#\s*(.*))?", line)
        if match is None:
            continue
        indent, name, value, comment = len(match[1]), match[2], match[3], match[4] or ""
        parents = [*(parent for parent in parents if parent[0] < indent), (indent, name)]
        if parents[0][1] in ("defaults", "hydra") or (name == "name" and value and not comment):
            continue
        keys.append(Key(".".join(parent for _, parent in parents), value, comment))
    return " ".join(intro), keys


def cell(text: str) -> str:
    """A text as a cell of a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def code(text: object) -> str:
    """A text in a code span; nothing for nothing."""
    return f"`{text}`" if text not in ("", None) else ""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(cell(value) for value in line) + " |\n" for line in lines)


def key_table(keys: Iterable[Key], prefix: str = "") -> str:
    """A table of keys, without sections that have no comment."""
    rows = [(code(prefix + key.name), code(key.default), key.comment) for key in keys if key.default or key.comment]
    return table(("key", "default", "what it is"), rows)


def summary(thing: object) -> str:
    """The first paragraph of a docstring, on one line."""
    return inspect.getdoc(thing).split("\n\n")[0].replace("\n", " ")  # type: ignore[union-attr]


def config_page() -> str:
    """Every key of conf/ except those of environments and rewards."""
    parts = [
        "# Config keys\n\nOverride any of them: `python train.py agent.gamma=0.95`. The "
        "[environments](environments.md) and [rewards](rewards.md) have pages of their own. "
        "`python train.py --cfg job` prints the config of a run.\n",
        "## Top level\n\n" + key_table(config_file(CONF / "config.yaml")[1]),
        "## `agent=`\n\n" + agent_table(),
    ]
    for group, what in GROUPS.items():
        rows = [(code(f"{group}={path.stem}"), first_sentence(config_file(path)[0])) for path in options(group)]
        parts.append(f"## `{group}=`\n\n{what}\n\n" + table(("option", "what it is"), rows))
        for path in options(group):
            keys = config_file(path)[1]
            own = [Key(group + "." + k.name if "." not in k.name else k.name, k.default, k.comment) for k in keys]
            own = [key for key in own if key.comment and not key.name.startswith("agent.") and key.default]
            if group in ("hardware", "tracker") and own:
                parts.append(f"Keys of `{group}={path.stem}`:\n\n" + key_table(own))
    return "\n".join(parts)


def first_sentence(text: str) -> str:
    """The text up to the first full stop."""
    return re.split(r"(?<=\.) (?=[A-Z])", text, maxsplit=1)[0]


def options(group: str) -> list[Path]:
    """The files of a group, without `none`."""
    return [path for path in sorted((CONF / group).glob("*.yaml")) if path.stem != "none"]


def agent_table() -> str:
    """A row per key, a column per agent."""
    agents = {path.stem: {key.name: key for key in config_file(path)[1]} for path in options("agent")}
    names = list(dict.fromkeys(name for keys in reversed(agents.values()) for name in keys))
    names.sort(key=lambda name: name.startswith("network"))
    rows = []
    for name in names:
        entries = [keys[name] for keys in agents.values() if name in keys]
        comment = next((entry.comment for entry in entries if entry.comment), "")
        if comment or any(entry.default for entry in entries):
            values = [code(keys[name].default) if name in keys else "–" for keys in agents.values()]
            rows.append((code(f"agent.{name}"), *values, comment))
    return table(("key", *agents, "what it is"), rows)


def environments_page() -> str:
    """Every key of conf/env/."""
    parts = ["# Environments\n\nThe keys of `env=<name>`; a suite writes them in `env: {name: …}`.\n"]
    for path in options("env"):
        intro, keys = config_file(path)
        parts.append(f"## `env={path.stem}`\n\n{intro}\n\n" + key_table(keys, "env."))
    return "\n".join(parts)


def rewards_page() -> str:
    """The options of reward=, and every reward term with its parameters."""
    presets = []
    for path in options("reward"):
        terms = re.findall(r"_target_: rl_eval\.(?:domains\.)?([\w.]+)", path.read_text(encoding="utf-8"))
        classes = ", ".join(code(term.rpartition(".")[2]) for term in dict.fromkeys(terms))
        presets.append((code(f"reward={path.stem}"), config_file(path)[0], classes))
    rows = []
    for module in ("rl_eval.rewards", *(f"rl_eval.domains.{path.parent.name}.rewards" for path in reward_files())):
        for term in vars(importlib.import_module(module)).values():
            if inspect.isclass(term) and issubclass(term, RewardTerm) and _is_public(term, module):
                rows.append((code(f"{module}.{term.__name__}"), _parameters(term), summary(term)))
    return (
        "# Rewards\n\n## Options of `reward=`\n\n"
        + table(("option", "what it is", "terms"), presets)
        + "\n## Terms\n\nWrite the name as `_target_`. Parameters without a default must be set.\n\n"
        + table(("term", "parameters", "what it is"), rows)
    )


def reward_files() -> list[Path]:
    """The modules of domains that hold reward terms."""
    return sorted((ROOT / "rl_eval" / "domains").glob("*/rewards.py"))


def _is_public(term: type, module: str) -> bool:
    return term.__module__ == module and not term.__name__.startswith("_") and term not in (RewardTerm, ShareTerm)


def _parameters(term: type) -> str:
    if "__init__" not in vars(term) and all("__init__" not in vars(base) for base in term.__mro__[1:-1]):
        return ""
    shown = []
    for name, parameter in inspect.signature(term).parameters.items():
        default = "" if parameter.default is parameter.empty else f"={parameter.default}"
        shown.append(code(f"{name}{default}"))
    return ", ".join(shown)
