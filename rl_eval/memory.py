"""The memory of this machine: how much is available, and what to say where it does not suffice."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from rl_eval.errors import InputError

_GIB = 1 << 30


def out_of_memory(error: BaseException) -> str | None:
    """A failed allocation, of Python, NumPy or torch, as the beginning of a sentence; None for any other error."""
    text = " ".join(str(error).split())
    torch_ran_out = isinstance(error, RuntimeError) and (
        type(error).__name__ == "OutOfMemoryError"
        or re.search(r"allocate memory|not enough memory|out of memory", text)
    )
    if not torch_ran_out and not isinstance(error, MemoryError):
        return None
    return f"the memory of this machine is not sufficient ({text[:200] or type(error).__name__})"


def require(parts: Mapping[str, int]) -> None:
    """Refuse what needs more memory than there is.

    Args:
        parts: `key=value` of a config -> bytes that it takes.

    Raises:
        InputError: says how much it would take, how much there is, and which keys to lower.
    """
    needed, there = sum(parts.values()), available()
    if there is None or needed <= there:
        return
    largest = sorted(parts, key=lambda key: parts[key], reverse=True)
    shown = " and ".join(f"{key} ({_gib(parts[key])})" for key in largest if parts[key] >= needed / 4)
    raise InputError(
        f"this would take at least {_gib(needed)} of memory, and {_gib(there)} are available: lower {shown}"
    )


def available(root: Path = Path("/")) -> int | None:
    """Bytes that this process can still get: of the machine, its container, and its own limits; None: not known.

    Args:
        root: of the file system that describes them.
    """
    return min([*_machine(root), *_control_groups(root), *_own_limits(root)], default=None)


def _machine(root: Path) -> Iterator[int]:
    if match := re.search(r"^MemAvailable:\s+(\d+) kB", _text(root / "proc/meminfo"), re.MULTILINE):
        yield int(match[1]) * 1024


def _control_groups(root: Path) -> Iterator[int]:
    """What is left of the limits of the control groups (v2 or v1) that this process is in, and of those above."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            place, limit, usage, inactive = root / "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            place, limit = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
            usage, inactive = "memory.usage_in_bytes", "total_inactive_file"
        else:
            continue
        group = place / path.lstrip("/")
        for folder in (group, *group.parents):
            if not folder.is_relative_to(place):
                break
            most, used = _text(folder / limit).strip(), _text(folder / usage).strip()
            if most.isdecimal() and used.isdecimal():
                # Files that were read once are counted, and given up first.
                files = re.search(rf"^{inactive} (\d+)$", _text(folder / "memory.stat"), re.MULTILINE)
                yield max(int(most) - int(used) + (int(files[1]) if files else 0), 0)


def _own_limits(root: Path) -> Iterator[int]:
    """What `ulimit -v` and `ulimit -d` leave."""
    try:
        import resource
    except ImportError:  # not on this system
        return
    status = _text(root / "proc/self/status")
    for name, field in (("RLIMIT_AS", "VmSize"), ("RLIMIT_DATA", "VmData")):
        soft, _ = resource.getrlimit(getattr(resource, name))
        used = re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)
        if soft != resource.RLIM_INFINITY and used:
            yield max(soft - int(used[1]) * 1024, 0)


def _text(file: Path) -> str:
    with contextlib.suppress(OSError):
        return file.read_text(encoding="ascii", errors="replace")
    return ""


def _gib(size: int) -> str:
    return f"{size / _GIB:,.1f} GiB" if size < 1000 * _GIB else f"{size / _GIB / 1024:,.1f} TiB"
