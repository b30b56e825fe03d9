"""The store of everything that is collected, in SQLite or PostgreSQL, which several servers share."""

from rl_eval.production.store.database import Database, UnavailableError
from rl_eval.production.store.documents import Document
from rl_eval.production.store.store import Store

__all__ = ["Database", "Document", "Store", "UnavailableError"]
