"""The arguments of `train.py`: flags of Hydra, and overrides as Hydra's grammar reads them.

Uses private interfaces of Hydra, read in hydra-core 1.3.8: `get_args_parser` of `hydra._internal.utils`, and
`Override._value` and `Override._get_value_element_as_str` of `hydra.core.override_parser.types`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from rl_eval.errors import InputError, nearest_name
from rl_eval.formatting import brief
from rl_eval.override_text import override

if TYPE_CHECKING:
    from argparse import Namespace

    from hydra.core.override_parser.types import Override

# Paths of runs, which may be typed without the quotes that Hydra's grammar asks for.
RUN_KEYS = ("init", "resume")
MAX_LENGTH = 5_000  # characters of an override; Hydra's parser takes seconds for a list twice as long
# Other keys of Hydra make it do something else than `plan` has checked.
HYDRA_KEYS = ("hydra.run.dir", "hydra.sweep.dir", "hydra.searchpath")
_INSTEAD = {"hydra.mode": "add -m for a sweep", "hydra/launcher": "say hardware=parallel"}
_PRINTING = ("help", "hydra_help", "cfg", "info", "shell_completion")


@dataclass(frozen=True)
class CommandLine:
    """What was typed.

    Attributes:
        flags: the arguments that begin with a dash, and their values.
        overrides: the others; Hydra can parse each of them.
        multirun: whether it is a sweep.
        prints: the name of the flag with which Hydra prints something and runs nothing; None without one.
        config_dir: the folder of `--config-dir`.
    """

    flags: list[str]
    overrides: list[str]
    multirun: bool = False
    prints: str | None = None
    config_dir: Path | None = None


def read_command_line(argv: Sequence[str], keys: Callable[[], Sequence[str]] = lambda: ()) -> CommandLine:
    """Read the arguments of train.py.

    Hydra's parser takes overrides in one place only, so it would refuse `agent=ppo -m lr=1e-3,3e-4`.

    Args:
        argv: without the program's name.
        keys: the keys of the config, to suggest one where a flag does not exist.

    Raises:
        InputError: a flag that does not exist or names another config, a folder that does not exist, or an override
            that Hydra cannot read.
    """
    parsed = _parse(argv, keys)
    texts, flags, remaining = list(parsed.overrides), [], list(parsed.overrides)
    for token in argv:
        if token in remaining:
            remaining.remove(token)
        else:
            flags.append(token)
    for name in ("config_name", "config_path", "package", "experimental_rerun"):
        if getattr(parsed, name) is not None:
            flag = f"--{name.replace('_', '-')}"
            raise InputError(f"{flag} is not a flag of train.py: add configs of your own with --config-dir=my_conf")
    if parsed.resolve and not (parsed.cfg or parsed.help):
        raise InputError("--resolve prints nothing by itself: add --cfg=job")
    chosen = [name for name in (*_PRINTING, "run", "multirun") if getattr(parsed, name)]
    if len(chosen) > 1:
        names = " and ".join(f"--{name.replace('_', '-')}" for name in chosen)
        raise InputError(f"{names} exclude each other: choose one of them")
    prints = chosen[0] if chosen and chosen[0] in _PRINTING else None
    if prints != "shell_completion":  # which takes words that look like overrides
        texts = [override.input_line or "" for override in read_overrides(texts)]
    if parsed.config_dir is not None and not Path(parsed.config_dir).is_dir():
        raise InputError(
            f"--config-dir={parsed.config_dir} is not a folder: name one with groups such as env/ and reward/"
        )
    folder = None if parsed.config_dir is None else Path(parsed.config_dir).resolve()
    return CommandLine(flags, texts, parsed.multirun, prints, folder)


def _parse(argv: Sequence[str], keys: Callable[[], Sequence[str]]) -> Namespace:
    from hydra._internal.utils import get_args_parser

    def refuse(message: str) -> NoReturn:
        unknown = re.match("unrecognized arguments: (-[^ ]*)", message)
        flag = next((token for token in argv if unknown and token.startswith(unknown[1])), "")
        name, equals, value = flag.lstrip("-").partition("=")
        if not flag.startswith("--") or not name:
            problem = f"{unknown[1]} is not a flag" if unknown else brief(message, 200)
            raise InputError(f"{problem}: see `python train.py --hydra-help`")
        following = argv[argv.index(flag) + 1 :]
        if not equals:
            value = following[0] if following and not re.search("^-|=", following[0]) else "VALUE"
        key = name.replace("-", "_")
        setting = f"{nearest_name(key, keys()) or key}={value}"
        raise InputError(
            f"--{brief(name, 60)} is not a flag: settings have no dashes in front, such as {shlex.quote(setting)}"
        )

    parser = get_args_parser()
    parser.error = refuse  # type: ignore[method-assign]
    return parser.parse_intermixed_args(list(argv))


def read_overrides(texts: Sequence[str]) -> list[Override]:
    """Overrides as Hydra parses them.

    There are two exceptions: the path of an existing run needs no quotes, and `None` is null, since W&B's agent writes
    it so.

    Raises:
        InputError: Hydra cannot parse one, or train.py does not take it.
    """
    overrides = [_with_null(_read(_quoted(text))) for text in texts]
    for given in overrides:
        key = given.key_or_group
        if re.match(r"hydra\b", key) and key not in HYDRA_KEYS:
            advice = _INSTEAD.get(key.partition(".")[0] if "/" in key else key, f"it takes {', '.join(HYDRA_KEYS)}")
            raise InputError(f"{brief(given.input_line, 200)} is not possible in train.py: {advice}")
    return overrides


def plain_value(given: Override) -> str | None:
    """The string value of an override, with its interpolations; None if it is not a string."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    value = given.value()
    if not isinstance(value, str):
        return None
    try:
        value = OmegaConf.to_container(OmegaConf.create([value]), resolve=True)[0]  # type: ignore[index]
    except OmegaConfBaseException:  # it refers to other keys
        return None
    return value if isinstance(value, str) else None


def _quoted(text: str) -> str:
    """The path of an existing run in quotes."""
    key, _, value = text.partition("=")
    if key not in RUN_KEYS or not value or len(value) > MAX_LENGTH:
        return text
    try:
        return override(key, value) if Path(value).exists() else text
    except (OSError, ValueError):  # a name that no file system takes
        return text


def _read(text: str) -> Override:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    key, equals, value = text.partition("=")
    shown = brief(text, 200)
    if not key.partition("@")[0].strip("+~ ") or not (equals or key.startswith("~")):
        raise InputError(f"{shown!r} is not an override: give key=value, such as seed=1")
    if len(text) > MAX_LENGTH:
        raise InputError(f"{brief(text, 60)} is too long: an override has at most {MAX_LENGTH:,} characters")
    try:
        return OverridesParser.create().parse_override(text)
    except (HydraException, RecursionError, ValueError) as error:
        reason = brief(str(error).partition("\n")[0] or type(error).__name__, 200)
        advice = "check its key, quotes and brackets"
        if value[:1] not in ("'", '"', "[", "{") and _can_be_read(quoted := override(key, value)):
            advice = f"put the value in quotes, such as {brief(shlex.quote(quoted), 200)}"
        raise InputError(f"{shown!r} cannot be read ({reason}): {advice}") from error


def _can_be_read(text: str) -> bool:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        OverridesParser.create().parse_override(text)
    except (HydraException, RecursionError, ValueError):
        return False
    return True


def _with_null(given: Override) -> Override:
    """The override with null for None, which Hydra's grammar reads as a string."""
    from hydra.core.override_parser.types import ChoiceSweep, Override

    value: Any = given._value
    elements = value.list if isinstance(value, ChoiceSweep) else [value]
    if "None" not in [element for element in elements if isinstance(element, str)]:
        return given
    values = [None if isinstance(element, str) and element == "None" else element for element in elements]
    text = ",".join(map(Override._get_value_element_as_str, values))  # choice(...) takes no null
    return _read(f"{given.get_key_element()}={text}")
