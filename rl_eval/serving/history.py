"""`History`: the history of the policy of a folder, kept in its store with what was learned from."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from rl_eval.serving.rows import DamagedStoreError
from rl_eval.serving.store import Store

KEY = "history"
MOST_VERSIONS = 100


class History(BaseModel):
    """Updates, loads and versions since the folder began."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    loads: int = Field(0, ge=0)
    versions: list[str] = []  # each once, sorted by when they were last put in place; at most 100
    last_update: FiniteFloat | None = None  # seconds since 1970
    last_update_s: FiniteFloat | None = None
    losses: dict[str, FiniteFloat] = {}

    def serving(self, version: str) -> History:
        """The same with a version that is served from now on."""
        versions = [*(other for other in self.versions if other != version), version]
        return self.model_copy(update={"versions": versions[-MOST_VERSIONS:]})

    def loaded(self, version: str) -> History:
        """The same after a load."""
        return self.serving(version).model_copy(update={"loads": self.loads + 1})

    def updated(self, version: str, at: float, seconds: float, losses: dict[str, float]) -> History:
        """The same after an update that ended `at` and took `seconds`."""
        changes = {"last_update": at, "last_update_s": seconds, "losses": losses}
        return self.serving(version).model_copy(update=changes)


def read_history(store: Store) -> History:
    """What a store says.

    Raises:
        DamagedStoreError: it says something else.
    """
    try:
        return History.model_validate_json(store.read_meta(KEY) or "{}")
    except ValidationError as error:
        raise DamagedStoreError("its history of updates cannot be read") from error


def write_history(store: Store, history: History) -> None:
    """Keep it; inside a `transaction` where something else must be of the same moment."""
    store.write_meta(**{KEY: history.model_dump_json()})
