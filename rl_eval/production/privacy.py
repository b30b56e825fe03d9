"""What of a person may be seen and kept: features are changed, and units get pseudonyms, before anything else.

The policy decides on the changed observation, so that what is learned from is what was decided on.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rl_eval import run
from rl_eval.errors import InputError, nearest
from rl_eval.production.collection_config import FieldRule, PrivacyConfig

KEY_VARIABLE = "RL_EVAL_PRIVACY_KEY"
KEY_FILE = "privacy.key"
MIN_KEY = 32  # characters
PSEUDONYM = 32  # hexadecimal digits
ID_BYTES, PROOF = 12, 12  # random bytes and hexadecimal digits of a decision id


def find_key(folder: Path) -> bytes | None:
    """The key of pseudonyms and decision ids: from the environment or from its file; None: there is none.

    Raises:
        InputError: it is too short, or the file cannot be read.
    """
    text = os.environ.get(KEY_VARIABLE)
    path = folder / KEY_FILE
    if text is None:
        try:
            text = path.read_text().strip()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path} cannot be read ({error}): make it readable, or set {KEY_VARIABLE}") from error
    if len(text) < MIN_KEY:
        source = KEY_VARIABLE if KEY_VARIABLE in os.environ else path
        raise InputError(f"{source} has {len(text)} characters: choose a secret of {MIN_KEY} or more")
    return hashlib.sha256(text.encode()).digest()


def read_key(folder: Path) -> bytes:
    """The key, which is made where there is none.

    Raises:
        InputError: it is too short, or the file cannot be used.
    """
    if (key := find_key(folder)) is not None:
        return key
    path = folder / KEY_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _make_key(path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be used ({error.strerror}): make room on its disk, see that it is writable, or set "
            f"{KEY_VARIABLE}"
        ) from error
    made = find_key(folder)
    assert made is not None
    return made


def fingerprint(key: bytes) -> str:
    """A keyed hash of a constant: it tells keys apart, and says nothing of them."""
    return hmac.new(key, b"fingerprint", hashlib.sha256).hexdigest()


def _make_key(path: Path) -> None:
    """Write a new key, whole or not at all; another process may be first."""
    descriptor, name = tempfile.mkstemp(prefix=".key.", dir=path.parent)  # which only its owner may read
    try:
        with open(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
            file.flush()
            os.fsync(descriptor)
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
    finally:
        os.unlink(name)
    run.fsync(path.parent)


class Privacy:
    """The declared policy, with its key.

    Args:
        features: names of the features in their order; empty: they are named by their numbers.
        size: how many numbers an observation has.

    Raises:
        InputError: a rule is for a feature that does not exist.
    """

    def __init__(self, config: PrivacyConfig, key: bytes, features: Sequence[str], size: int):
        names = list(features) or [str(number) for number in range(size)]
        if len(names) != size:
            raise InputError(f"quality.features names {len(names)} features, and an observation has {size}: name each")
        position = {name: index for index, name in enumerate(names)}
        for name in config.features:
            if name not in position:
                advice = f"{nearest(name, names)}use these names" if features else f"give numbers from 0 to {size - 1}"
                raise InputError(f"privacy.features: there is no feature {name!r}: {advice}")
        self._config, self._key = config, key
        self._rules = [(position[name], rule) for name, rule in config.features.items()]

    def pseudonym(self, unit: str) -> str | None:
        """What is kept of a unit."""
        return pseudonym(unit, self._key) if self._config.unit == "hash" else None

    def observations(self, rows: np.ndarray) -> np.ndarray:
        """Observations `[N, …]` float32 as they may be seen and kept."""
        if not self._rules:
            return rows
        changed = rows.reshape(len(rows), -1).copy()
        for index, rule in self._rules:
            changed[:, index] = self._column(changed[:, index], index, rule)
        return changed.reshape(rows.shape)

    def _column(self, values: np.ndarray, index: int, rule: FieldRule) -> np.ndarray:
        if rule.action == "drop":
            return np.zeros_like(values)
        if rule.action == "coarsen":
            assert rule.step is not None
            return (np.round(values.astype(np.float64) / rule.step) * rule.step).astype(np.float32)
        own = hashlib.blake2b(key=self._key, person=b"feature", salt=index.to_bytes(8, "big"), digest_size=8)
        buckets = []
        for value in values.tolist():
            digest = own.copy()
            digest.update(np.float32(value).tobytes())
            buckets.append(int.from_bytes(digest.digest(), "big") % rule.buckets)
        return np.asarray(buckets, np.float32)


def pseudonym(unit: str, key: bytes) -> str:
    """A keyed hash of a unit: the same for all servers with this key, and nothing without it."""
    return hmac.new(key, b"unit:" + unit.encode(), hashlib.sha256).hexdigest()[:PSEUDONYM]


def new_decision_ids(count: int, key: bytes) -> list[str]:
    """Ids that nobody without the key can make, so that rewards of decisions that nobody made are refused at once."""
    randoms = secrets.token_hex(ID_BYTES * count)
    width = 2 * ID_BYTES
    return [f"{(own := randoms[width * i : width * (i + 1)])}-{_proof(own, key)}" for i in range(count)]


def is_decision_id(text: str, key: bytes) -> bool:
    """Whether a server with this key made an id."""
    own, _, proof = text.partition("-")
    return hmac.compare_digest(proof.encode(), _proof(own, key).encode())


def _proof(own: str, key: bytes) -> str:
    return hashlib.blake2b(own.encode(), key=key, person=b"decision", digest_size=PROOF // 2).hexdigest()
