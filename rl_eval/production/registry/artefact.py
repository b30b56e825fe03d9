"""Files of a version: copied, digested, signed, and refused where one byte is another."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import hmac
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from rl_eval.errors import InputError
from rl_eval.production.registry.protocol import Lineage, RegistryError, Version
from rl_eval.untrusted_files import only_regular, read_bounded

MAX_FILES, MAX_BYTES = 10_000, 16 << 30
MAX_RECORD = 1 << 20  # bytes of the JSON of a version
_SKIP = {"resume", "run.lock"}  # of a run directory: not part of a policy
_CHUNK = 1 << 20
_KEY_BYTES = (32, 4096)


def read_owner_key(file: Path) -> bytes:
    """The owner's key, 32 bytes to 4 KiB in a file that only its owner can read.

    Or that belongs to another user, who lets this process read it by its group: so a pod gets a mounted secret.

    Raises:
        InputError: it cannot be read, others can read it, or it is too short.
    """
    try:
        key = read_bounded(file, _KEY_BYTES[1])
        status = file.stat()
    except OverflowError as error:
        raise InputError(f"{file} is too large for a key: give a file of {_KEY_BYTES[0]} random bytes") from error
    except OSError as error:
        raise InputError(
            f"{file} cannot be read ({error.strerror or error}): make a key with "
            f"`head -c 32 /dev/urandom > {file}; chmod 600 {file}`"
        ) from error
    by_group = status.st_uid != os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IXGRP)
    if status.st_mode & (stat.S_IRWXO if by_group else stat.S_IRWXG | stat.S_IRWXO):
        raise InputError(f"{file} can be read by others, so it shows no ownership: chmod 600 {file}, or make a new key")
    if len(key) < _KEY_BYTES[0]:
        raise InputError(f"{file} has {len(key)} bytes: a key has at least {_KEY_BYTES[0]} random ones")
    return key


def copy_in(source: Path, target: Path) -> dict[str, str]:
    """Copy a file or a folder into a new folder, and sync it: relative path -> SHA-256.

    Raises:
        InputError: a link, nothing to copy, too much, or it cannot be read.
        OSError: the target cannot be written.
    """
    files: dict[str, str] = {}
    total = 0
    target.mkdir()
    for path, name in _files(source):
        if len(files) >= MAX_FILES:
            raise InputError(f"{source} has more than {MAX_FILES:,} files: register only the policy")
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            files[name], size = _copy(path, copy)
        except OSError as error:
            if error.filename in (None, str(copy)):
                raise
            raise InputError(f"{path} cannot be read ({error.strerror}): make it a readable plain file") from error
        total += size
        if total > MAX_BYTES:
            raise InputError(f"{source} is larger than {MAX_BYTES >> 30} GiB: register only the policy")
    if not files:
        raise InputError(f"{source} has no files: name a file or a folder with a policy")
    return files


def copy_checked(folder: Path, version: Version, target: Path) -> None:
    """Copy the files of a version to a new folder, which is there only where every byte is right.

    Raises:
        RegistryError: a file was changed, is missing, or was added.
        InputError: the target exists or cannot be written.
    """
    label = f"version {version.number} in {folder.parent}"
    again = "nothing was loaded: put the registered file back, or serve another version"
    _require_same_files(folder, version, label, again)
    try:
        if target.exists():
            raise InputError(f"{target} exists: name a new folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise InputError(f"{target} cannot be created ({error.strerror}): name another folder") from error
    try:
        for name, digest in version.files.items():
            copy = aside / name
            try:
                copy.parent.mkdir(parents=True, exist_ok=True)
                copied, _ = _copy(folder / name, copy)
            except OSError as error:
                raise RegistryError(f"{name} of {label} cannot be copied ({error.strerror}): {again}") from error
            if copied != digest:
                raise RegistryError(f"{name} of {label} was changed (its SHA-256 differs): {again}")
        os.rename(aside, target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _require_same_files(folder: Path, version: Version, label: str, again: str) -> None:
    try:
        present = {name for _, name in _files(folder, skip=frozenset())}
    except (InputError, OSError) as error:
        raise RegistryError(f"{label} cannot be read ({error}): {again}") from error
    missing, added = sorted(set(version.files) - present), sorted(present - set(version.files))
    if missing or added:
        name = (missing or added)[0]
        raise RegistryError(f"{name} of {label} {'is missing' if missing else 'was added'}: {again}")


def _files(source: Path, skip: frozenset[str] | set[str] = _SKIP) -> Iterator[tuple[Path, str]]:
    """Path and relative name of every file, in order.

    Raises:
        InputError: a link, or neither a file nor a folder.
    """
    if source.is_symlink():
        raise InputError(f"{source} is a link: name what it leads to")
    if source.is_file():
        yield source, source.name
        return
    if not source.is_dir():
        raise InputError(f"{source} does not exist: name a file or a folder with a policy")
    for parent, folders, names in os.walk(source, onerror=_raise):
        folders[:] = sorted(name for name in folders if Path(parent) != source or name not in skip)
        for name in sorted([*names, *(n for n in folders if (Path(parent) / n).is_symlink())]):
            path = Path(parent) / name
            if path.is_symlink():
                raise InputError(f"{path} is a link, which may lead elsewhere: put the file itself there")
            if Path(parent) != source or name not in skip:
                yield path, path.relative_to(source).as_posix()


def _raise(error: OSError) -> None:
    raise error


def _copy(source: Path, target: Path) -> tuple[str, int]:
    """Copy and sync a file: its SHA-256 and its bytes, of what was written."""
    digest, size = hashlib.sha256(), 0
    with open(source, "rb", opener=only_regular) as reader, open(target, "xb") as writer:
        while chunk := reader.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    return digest.hexdigest(), size


def new_version(number: int, lineage: Lineage, files: Mapping[str, str], key: bytes | None, now: float) -> Version:
    """The record of a version.

    Args:
        now: seconds since 1970, when it is registered.

    Raises:
        InputError: the lineage is not JSON, or too long.
    """
    at = datetime.datetime.fromtimestamp(now, datetime.UTC).isoformat(timespec="seconds")
    version = Version(number, at, lineage, files, "", None)
    record_of(version)
    digest = digest_of(version)
    return dataclasses.replace(version, digest=digest, signature=sign(digest, key))


def digest_of(version: Version) -> str:
    """SHA-256 over the number, the time, the names and digests of the files, and the lineage."""
    values = dataclasses.asdict(version)
    del values["digest"], values["signature"]
    return hashlib.sha256(_json(values)).hexdigest()


def sign(digest: str, key: bytes | None) -> str | None:
    """HMAC-SHA256 of a digest; None without a key."""
    return None if key is None else hmac.new(key, digest.encode(), hashlib.sha256).hexdigest()


def record_of(version: Version) -> str:
    """The JSON of a version, without its number.

    Raises:
        InputError: it is too long, or the lineage is not JSON.
    """
    values = dataclasses.asdict(version)
    values.pop("number")
    try:
        text = _json(values).decode()
    except (TypeError, ValueError) as error:
        raise InputError(f"the lineage of a version is not JSON ({error}): give texts, numbers and lists") from error
    if len(text) > MAX_RECORD:
        raise InputError(f"the record of a version has {len(text):,} bytes: at most {MAX_RECORD:,} are kept")
    return text


def read_record(text: str, number: int, label: str, key: bytes | None) -> Version:
    """The version in a JSON of `record_of`, its digest and signature checked.

    Raises:
        RegistryError: it is damaged, was changed, or is not signed by the owner's key.
    """
    try:
        values = json.loads(text)
        version = Version(number, lineage=Lineage(**values.pop("lineage")), **values)
        valid = all(map(_is_file_entry, version.files.items())) and _types_fit(version)
        right = valid and digest_of(version) == version.digest
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RegistryError(f"version {number} in {label} is damaged: put it back, or serve another version") from error
    if not right:
        raise RegistryError(
            f"version {number} in {label} was changed (its digest differs): put it back, or serve another"
        )
    if key is not None:
        signed = sign(version.digest, key)
        if version.signature is None or not hmac.compare_digest(version.signature, signed or ""):
            raise RegistryError(
                f"version {number} in {label} is not signed by the owner's key: register it with that key, or name the "
                "key that signed it"
            )
    return version


def _is_file_entry(entry: tuple[Any, Any]) -> bool:
    name, digest = entry
    parts = PurePosixPath(name)
    inside = bool(name) and not parts.is_absolute() and ".." not in parts.parts and "\0" not in name
    return inside and isinstance(digest, str) and len(digest) == 64


def _types_fit(version: Version) -> bool:
    lineage = version.lineage
    texts = (version.at, version.digest, lineage.data, lineage.code)
    return (
        all(isinstance(text, str) for text in texts)
        and isinstance(version.signature, str | None)
        and isinstance(lineage.policy, str | None)
        and (lineage.parent is None or type(lineage.parent) is int)
        and isinstance(lineage.verdict, dict)
        and isinstance(lineage.cost, dict)
    )


def _json(values: Any) -> bytes:
    return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
