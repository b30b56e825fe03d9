"""The store of everything that is collected, in SQLite or PostgreSQL, which several servers share."""

from rl_eval.production.store.database import Database, UnavailableError
from rl_eval.production.store.documents import Document
from rl_eval.production.store.rows import Experience, Outcome, Pair
from rl_eval.production.store.store import Store, WrongKeyError, WrongPolicyError
from rl_eval.production.store.trainings import Training, TrainingLostError, TrainingRunningError

__all__ = [
    "Database", "Document", "Experience", "Outcome", "Pair", "Store", "Training", "TrainingLostError",
    "TrainingRunningError", "UnavailableError", "WrongKeyError", "WrongPolicyError",
]  # fmt: skip
