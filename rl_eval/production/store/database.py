"""`Database`: one SQLite file or PostgreSQL database, with the few things that differ between them."""

from __future__ import annotations

import contextlib
import sqlite3
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rl_eval.errors import InputError
from rl_eval.extras import imports_of_extra, require_extra
from rl_eval.production.disk import with_full_disk

with imports_of_extra("production", "production"):
    from sqlalchemy import Connection, MetaData, create_engine, event, inspect, text
    from sqlalchemy.engine import URL, make_url
    from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

BUSY_S = 30.0
CONNECT_S = 5
WRITERS = 0x726C6576  # the number of the advisory lock that writers of PostgreSQL take


class UnavailableError(InputError):
    """The database cannot be used at the moment: nothing of the transaction was kept.

    Args:
        reason: a few words of the sentence.
    """

    def __init__(self, sentence: str, reason: str = ""):
        super().__init__(sentence)
        self.reason = reason


class Database:
    """A database and its connections, for any thread.

    Args:
        address: `sqlite:///FILE` or `postgresql://HOST/NAME`.
        folder: where a relative file of SQLite is.
        create: whether a file that is missing is created, with its folder.

    Raises:
        InputError: the address is not one of them, or the driver is missing.
    """

    def __init__(self, address: str, folder: Path = Path(), create: bool = True):
        try:
            url = make_url(address)
        except ArgumentError as error:
            raise InputError(f"{address!r} is not a database: give sqlite:///FILE or postgresql://HOST/NAME") from error
        self.is_sqlite = url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            if not url.database or url.database == ":memory:":
                raise InputError(f"{address!r} does not name a file: give sqlite:///FILE")
            self.file: Path | None = (folder / url.database).absolute()
            self.label = str(self.file)
            if create:
                _make_folder(self.file.parent)
            self.engine = create_engine(
                f"sqlite:///{self.file}" if create else _existing(self.file),
                connect_args={"timeout": BUSY_S},
                isolation_level="AUTOCOMMIT",
                pool_size=4,
            )
            event.listen(self.engine, "connect", _set_up_sqlite)
        elif url.get_backend_name() == "postgresql":
            require_extra("postgres", "a PostgreSQL store", "psycopg")
            self.file, self.label = None, url.render_as_string(hide_password=True)
            self.engine = create_engine(
                url.set(drivername="postgresql+psycopg"),
                connect_args={"connect_timeout": CONNECT_S},
                pool_pre_ping=True,
                pool_size=4,
            )
        else:
            raise InputError(f"{address!r} is of an unknown kind: give sqlite:///FILE or postgresql://HOST/NAME")
        self.engine.hide_parameters = True  # errors name no values, which are people's
        self.first: Callable[[], None] | None = None  # what any transaction needs done first

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that writes: all or nothing, and one at a time.

        Raises:
            UnavailableError: the database is away, full, or locked for too long.
        """
        self._do_first()
        with self.translated(), self.engine.connect() as connection:
            if self.is_sqlite:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                try:
                    yield connection
                except BaseException:
                    with contextlib.suppress(SQLAlchemyError):
                        connection.exec_driver_sql("ROLLBACK")
                    raise
                connection.exec_driver_sql("COMMIT")
            else:
                with connection.begin():
                    # So numbers become visible in their order, and no writer misses the other half of a pair.
                    connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": WRITERS})
                    yield connection

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for one statement that reads.

        Raises:
            UnavailableError: the database is away.
        """
        self._do_first()
        with self.translated(), self.engine.connect() as connection:
            yield connection

    def _do_first(self) -> None:
        first, self.first = self.first, None
        if first is not None:
            try:
                first()
            except BaseException:
                self.first = first
                raise

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """Around statements: errors of the database as sentences.

        Raises:
            UnavailableError: see `writing`.
        """
        try:
            yield
        except SQLAlchemyError as error:
            reason = str(error.orig) if isinstance(error, DBAPIError) else type(error).__name__
            reason = " ".join(reason.split()).partition("DETAIL")[0][:200]  # PostgreSQL's details repeat values
            if self.file is not None:
                reason = with_full_disk(reason, self.file)
            sentence = f"{self.label} cannot be used ({reason}): it is tried again"
            raise UnavailableError(sentence, reason) from error

    def now(self) -> float:
        """Seconds since 1970 by the clock of the database: one clock for all processes that use it.

        Raises:
            UnavailableError: the database is away.
        """
        clock = (
            "(julianday('now') - 2440587.5) * 86400.0" if self.is_sqlite else "extract(epoch FROM clock_timestamp())"
        )
        with self.reading() as connection:
            return float(connection.execute(text(f"SELECT {clock}")).scalar_one())

    def create(self, tables: MetaData) -> None:
        """Create the tables that are missing."""
        with self.writing() as connection:
            if self.is_sqlite or not set(tables.tables) <= set(inspect(connection).get_table_names()):
                tables.create_all(connection)

    def forget(self, tables: MetaData) -> None:
        """Take what was removed out of every file: the log of SQLite, dead rows and the log of PostgreSQL.

        PostgreSQL's files are written again, and the tables are locked meanwhile; its log needs a role that may write
        checkpoints, and stays as it is without one.
        """
        with self.translated(), self.engine.connect() as plain:
            connection = plain.execution_options(isolation_level="AUTOCOMMIT")
            if self.is_sqlite:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").close()
                return
            for table in tables.sorted_tables:
                connection.exec_driver_sql(f'VACUUM (FULL, ANALYZE) "{table.name}"')
            for statement in ("SELECT pg_switch_wal()", "CHECKPOINT"):
                with contextlib.suppress(DBAPIError):  # of a role without the right
                    connection.exec_driver_sql(statement)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be created ({error.strerror}): name another") from error


def _existing(file: Path) -> URL:
    """A file that SQLite may write, and not create."""
    query = {"mode": "rw", "uri": "true"}
    return URL.create("sqlite", database=f"file:{urllib.parse.quote(str(file))}", query=query)


def _set_up_sqlite(connection: Any, _: Any) -> None:
    assert isinstance(connection, sqlite3.Connection)
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "secure_delete=ON",  # what is removed is overwritten
        "trusted_schema=OFF",
        "wal_autocheckpoint=1000",
    ):
        connection.execute(f"PRAGMA {pragma}").close()
