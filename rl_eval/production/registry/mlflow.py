"""`MlflowRegistry`: versions and aliases in the model registry of MLflow 3, in SQLite, without a server.

    mlflow.db                       MLflow's tables: `mlflow ui --backend-store-uri sqlite:///…/mlflow.db` shows them
    artefacts/NAME/000001/          version.json and files/, as of `FolderRegistry`
    registry.lock                   held by the writing process, and while the tables are made

MLflow makes its tables without a lock when a registry is opened, which fails where two processes do it at once.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rl_eval.extras import imports_of_extra
from rl_eval.production.registry import artefact
from rl_eval.production.registry.folder import check_move, locked
from rl_eval.production.registry.protocol import ALIASES, Lineage, MissingRegistryError, RegistryError, Version
from rl_eval.run import fsync, write_text
from rl_eval.untrusted_files import read_bounded

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # it would report to its makers what is called
os.environ.setdefault("MLFLOW_SQLALCHEMYSTORE_POOLCLASS", "NullPool")  # a file that was replaced is seen
with imports_of_extra("mlflow", "a registry of kind mlflow"):
    import alembic  # noqa: F401  # MLflow makes its tables with it
    from mlflow.entities.model_registry import ModelVersionTag
    from mlflow.exceptions import MlflowException
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
    from sqlalchemy.exc import SQLAlchemyError

logging.getLogger("mlflow").setLevel(logging.CRITICAL)  # what fails is raised
logging.getLogger("alembic").setLevel(logging.WARNING)


class MlflowRegistry:
    """A registry of MLflow, which several processes share.

    Args:
        folder: created where it does not exist, unless `create` is off.
        name: of the registered model.
        key: the owner's; with one, versions are signed, and those without its signature are refused.

    Raises:
        RegistryError: it cannot be created or opened, or is missing.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        key: bytes | None = None,
        create: bool = True,
        clock: Callable[[], float] = time.time,
    ):
        self.folder, self.name, self.key, self._clock = folder.absolute(), name, key, clock
        self.database = self.folder / "mlflow.db"
        self.label = f"the MLflow registry {self.database}"
        self._artefacts = self.folder / "artefacts" / name
        if create:
            try:
                self._artefacts.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise self._away(error) from error
        ready = self._readable()
        if not (ready or create):
            raise self._missing()
        with contextlib.nullcontext() if ready else locked(self.folder / "registry.lock", self.label), self._errors():
            self._store = SqlAlchemyStore(f"sqlite:///{self.database}")
            if not ready:
                self._create_model()

    def register(self, source: Path, lineage: Lineage) -> Version:
        """See `Registry`."""
        with self._writing():
            aside = Path(tempfile.mkdtemp(prefix=".new.", dir=self._artefacts))
            try:
                files = artefact.copy_in(source, aside / "files")
                artefact.new_version(1, lineage, files, self.key, self._clock())  # before MLflow has a version of it
                with self._errors():
                    made = self._store.create_model_version(self.name, str(self._artefacts), tags=_tags(lineage))
                version = artefact.new_version(int(made.version), lineage, files, self.key, self._clock())
                write_text(aside / "version.json", artefact.record_of(version))
                fsync(aside)
                os.rename(aside, self._path(version.number))
                fsync(self._artefacts)
                with self._errors():
                    tag = ModelVersionTag("rl_eval.digest", version.digest)
                    self._store.set_model_version_tag(self.name, made.version, tag)
            finally:
                shutil.rmtree(aside, ignore_errors=True)
        return self.version(version.number)

    def version(self, number: int) -> Version:
        """See `Registry`; the digest is compared with that in MLflow's tables as well."""
        with self._errors():
            try:
                tags = self._store.get_model_version(self.name, str(number)).tags
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                raise RegistryError(f"{self.label} has no version {number}: name one that is registered") from error
        try:
            text = read_bounded(self._path(number) / "version.json", artefact.MAX_RECORD).decode()
        except (OSError, OverflowError, UnicodeDecodeError) as error:
            raise RegistryError(f"version {number} in {self.label} cannot be read ({error}): put it back") from error
        version = artefact.read_record(text, number, self.label, self.key)
        if tags.get("rl_eval.digest") != version.digest:
            raise RegistryError(
                f"version {number} in {self.label} has another digest in the database: put back what was registered"
            )
        return version

    def versions(self) -> Sequence[int]:
        """See `Registry`."""
        self._require_present()
        names = os.listdir(self._artefacts) if self._artefacts.is_dir() else []
        return sorted(int(name) for name in names if name.isascii() and name.isdigit())

    def load(self, number: int, target: Path) -> Version:
        """See `Registry`."""
        version = self.version(number)
        artefact.copy_checked(self._path(number) / "files", version, target)
        return version

    def aliases(self) -> Mapping[str, int]:
        """See `Registry`."""
        with self._errors():
            aliases = self._store.get_registered_model(self.name).aliases
            return {name: int(number) for name, number in aliases.items() if name in ALIASES}

    def move(self, changes: Mapping[str, int | None], expected: Mapping[str, int | None] | None = None) -> None:
        """See `Registry`; aliases move one after another, each in a transaction of its own."""
        with self._writing():
            check_move(self, self.aliases(), changes, expected)
            with self._errors():
                for name, number in changes.items():
                    if number is None:
                        self._store.delete_registered_model_alias(self.name, name)
                    else:
                        self._store.set_registered_model_alias(self.name, name, str(number))

    def close(self) -> None:
        """Nothing is held open."""

    def _path(self, number: int) -> Path:
        return self._artefacts / f"{number:06d}"

    def _create_model(self) -> None:
        try:
            self._store.create_registered_model(self.name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _readable(self) -> bool:
        """Whether the database has the registered model already; MLflow would try a damaged one for minutes.

        Raises:
            RegistryError: it is there and cannot be read.
        """
        if not self.database.exists():
            return False
        try:
            with contextlib.closing(sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True, timeout=30)) as file:
                tables = {name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
                if not {"registered_models", "alembic_version"} <= tables:
                    return False
                query = "SELECT 1 FROM registered_models WHERE name = ?"
                return file.execute(query, (self.name,)).fetchone() is not None
        except sqlite3.Error as error:
            raise self._away(error) from error

    def _require_present(self) -> None:
        if not self.database.is_file():
            raise self._missing()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        self._require_present()
        with locked(self.folder / "registry.lock", self.label):
            yield

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (MlflowException, SQLAlchemyError, sqlite3.Error) as error:
            if hasattr(self, "_store"):
                self._require_present()
            raise self._away(error) from error

    def _missing(self) -> RegistryError:
        return MissingRegistryError(
            f"{self.label} is missing: put it back or name another, servers keep the versions that they have"
        )

    def _away(self, error: Exception) -> RegistryError:
        reason = " ".join(str(error).split()).partition(" [SQL:")[0][:200]
        return RegistryError(
            f"{self.label} cannot be used ({reason}): it is as it was, and servers keep the versions that they have"
        )


def _tags(lineage: Lineage) -> list[Any]:
    """The lineage as MLflow's page shows it; the registry reads it from version.json."""
    texts = {"data": lineage.data, "parent": lineage.parent, "code": lineage.code, "policy": lineage.policy}
    decision = lineage.verdict.get("decision")
    texts["verdict"] = decision if isinstance(decision, str) else None
    return [ModelVersionTag(f"rl_eval.{key}", str(text)[:4000]) for key, text in texts.items() if text is not None]
