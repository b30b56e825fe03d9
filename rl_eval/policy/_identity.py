"""Policy identity: a hash of the bytes that act, the same for the verdict cache and the ledger."""

from __future__ import annotations

import hashlib
from pathlib import Path

from rl_eval.errors import InputError
from rl_eval.formatting import short_path
from rl_eval.policy._source import SOURCES, names_policy
from rl_eval.untrusted_files import only_regular

# The package itself holds these: their name and parameters say how they act.
BUILT_IN = ("random", "constant", "untrained", "baseline")
TRIVIAL = ("random", "constant", "untrained")


def identity(spec: str) -> str | None:
    """SHA-256 of what decides how a policy acts, equal for equal bytes with any place and name.

    - A run: `policy.safetensors` and `policy.json` of its judged snapshot, and its `preprocessing.json` if it has one.
    - Any other policy: what its source answers, see `Source.identity`.

    None for what cannot be read. `is_cacheable` says whether it covers all that acts.
    """
    prefix, _, rest = spec.partition(":")
    try:
        if not names_policy(spec):
            return digest("run", *_acting_files(spec))
        return SOURCES.get(prefix).identity(rest)
    except (InputError, OSError):
        return None


def is_cacheable(spec: str) -> bool:
    """Whether a policy of the same identity surely acts in the same way: a run does, code and servers may not."""
    prefix, _, rest = spec.partition(":")
    return not names_policy(spec) or SOURCES.get(prefix).is_cacheable(rest)


def is_trivial(spec: str) -> bool:
    """Whether nobody trained or chose the policy by data: random, constant and untrained ones."""
    return names_policy(spec) and SOURCES.get(spec.partition(":")[0]).prefix in TRIVIAL


def is_seeded(spec: str) -> bool:
    """Whether all that a policy draws at random surely follows from the seed with which it is loaded."""
    return not names_policy(spec) or SOURCES.get(spec.partition(":")[0]).is_seeded


def acts_alone(spec: str) -> bool:
    """Whether the actions of a policy, when it is greedy, follow only from the observations of their own episode."""
    return not names_policy(spec) or SOURCES.get(spec.partition(":")[0]).acts_alone


def _acting_files(run: str) -> list[Path]:
    from rl_eval.run import read_run

    snapshot, preprocessing = read_run(run).judged_snapshot(), Path(run) / "preprocessing.json"
    files = [snapshot / "policy.safetensors", snapshot / "policy.json"]
    return [*files, preprocessing] if preprocessing.exists() else files


def canonical(spec: str) -> str:
    """The same policy with its files written in the one way that `short_path` writes them."""
    if not names_policy(spec):
        return str(short_path(spec))
    prefix, colon, rest = spec.partition(":")
    return f"{prefix}{colon}{SOURCES.get(prefix).canonical(rest)}"


def digest(*parts: str | Path) -> str:
    """SHA-256 over texts and the contents of files.

    Raises:
        OSError: a file cannot be read.
    """
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            with open(part, "rb", opener=only_regular) as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
        else:
            total.update(hashlib.sha256(part.encode(errors="surrogateescape")).digest())
    return total.hexdigest()
