"""The tables of the store, for SQLite and PostgreSQL alike."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

SCHEMA = "1"
ID = String(200)
NUMBER = BigInteger().with_variant(Integer(), "sqlite")  # SQLite counts up only in INTEGER
metadata = MetaData()

meta = Table("meta", metadata, Column("key", String(100), primary_key=True), Column("value", Text, nullable=False))
decisions = Table(
    "decisions",
    metadata,
    Column("decision_id", ID, primary_key=True),
    Column("at", Float(53), nullable=False),
    Column("received", Float(53), nullable=False),
    Column("unit", ID),
    Column("version", ID, nullable=False),
    Column("observation", LargeBinary, nullable=False),
    Column("mask", LargeBinary),
    Column("action", LargeBinary, nullable=False),
    Column("propensity", Float(53)),
    Column("confidence", Float(53)),
    Column("value", Float(53)),
    Column("shadow", Boolean, nullable=False),
    Index("decisions_in_order", "at", "decision_id"),
    Index("decisions_of_unit", "unit"),
    Index("decisions_received", "received"),
)
rewards = Table(
    "rewards",
    metadata,
    Column("decision_id", ID, primary_key=True),
    Column("reward", Float(53), nullable=False),
    Column("at", Float(53), nullable=False),
    Column("received", Float(53), nullable=False),
    Column("terminated", Boolean, nullable=False),
    Column("truncated", Boolean, nullable=False),
    Column("next_observation", LargeBinary),
    Column("next_mask", LargeBinary),
    Column("disputed", Boolean, nullable=False),  # whether another one came for the same decision
    Index("rewards_received", "received"),
)
# A row for each decision whose reward came. `refused` is the reason; NULL: accepted. `training`: which one has it.
experience = Table(
    "experience",
    metadata,
    Column("seq", NUMBER, primary_key=True, autoincrement=True),
    Column("decision_id", ID, nullable=False, unique=True),
    Column("received", Float(53), nullable=False),
    Column("refused", String(40)),
    Column("content", LargeBinary),  # of observation and action, to find labels that conflict
    Column("training", NUMBER),
    Index("experience_received", "received"),
    Index("experience_by_content", "content"),
    Index("experience_by_training", "training", "seq"),
    sqlite_autoincrement=True,  # a number is never used again, also where the last row was removed
)
counters = Table(
    "counters",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("count", NUMBER, nullable=False),
)
trainings = Table(
    "trainings",
    metadata,
    Column("id", NUMBER, primary_key=True, autoincrement=True),
    Column("kind", String(40), nullable=False),
    Column("owner", String(64), nullable=False),  # changes when somebody else takes it over
    Column("state", String(20), nullable=False),  # running, done, failed
    Column("started", Float(53), nullable=False),
    Column("renewed", Float(53), nullable=False),
    Column("finished", Float(53)),
    Column("first_seq", NUMBER, nullable=False),
    Column("last_seq", NUMBER, nullable=False),
    Column("experiences", NUMBER, nullable=False),
    Column("result", Text),
    sqlite_autoincrement=True,
)
# One row for each document that several processes change, such as the roll-out: compare and swap by `number`.
documents = Table(
    "documents",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("number", NUMBER, nullable=False),
    Column("body", Text, nullable=False),
)
reviews = Table(
    "reviews",
    metadata,
    Column("decision_id", ID, primary_key=True),
    Column("at", Float(53), nullable=False),
    Column("state", String(20), nullable=False),
    Column("body", Text, nullable=False),
    Column("resolved", Float(53)),
    Column("by", ID),
    Index("reviews_by_state", "state", "at"),
)
# What was erased: hashes of pseudonyms and decision ids, so that what arrives later is refused.
erased = Table("erased", metadata, Column("id", ID, primary_key=True), Column("at", Float(53), nullable=False))
# The queue of PostgreSQL; the one of SQLite has a file of its own.
queue = Table(
    "queue",
    metadata,
    Column("seq", NUMBER, primary_key=True, autoincrement=True),
    Column("at", Float(53), nullable=False),
    Column("body", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)
