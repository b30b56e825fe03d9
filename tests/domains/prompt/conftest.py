"""A domain of twelve small tasks whose prompts have synthetic scores."""

import pytest

from rl_eval.domains.prompt.environment import dataset
from rl_eval.domains.prompt.environment.source import Source
from tests.domains.prompt.synthetic_tasks import TASKS, SyntheticScores

CACHES = (
    dataset._source,
    dataset._states,
    dataset._fitted_encoder,
    dataset._reward_model,
    dataset._load_part,
    dataset._load_starts,
)


@pytest.fixture(scope="session", autouse=True)
def synthetic_source():
    """The synthetic tasks in the place of the embedded ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "load_source", lambda config: Source(TASKS, SyntheticScores(), "feedback", "judge"))
        for cache in CACHES:
            cache.cache_clear()
        yield
    for cache in CACHES:
        cache.cache_clear()
