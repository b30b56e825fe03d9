"""Plain features: what a prompt says about its own context."""

import pytest

from rl_eval.domains.prompt.environment.plain_features import PROMPT_FEATURES, prompt_features

ROWS = "- lamps: north\n- tents: south"


@pytest.mark.parametrize(
    ("text", "needed", "outdated"),
    [
        (f"Background:\n{ROWS}\n\nWhich hall? Use the list.", 1, 0),
        (f"Background:\n{ROWS}\n\nWhich hall? Answer with the help of the table.", 1, 0),
        (f"Background:\nThe old list is wrong:\n{ROWS}\n\nWhich hall?", 0, 1),
        (f"Background:\nThis table is no longer valid.\n{ROWS}\n\nWhich hall? Use the list.", 0, 1),
        ("Background:\nWe open at nine.\n\nWhich hall?", 0, 0),
        ("Which hall? Use the list.", 1, 0),  # "Use the list." is context itself
        ("Which hall?", 0, 0),
        ("Which hall is wrong?", 0, 0),  # in the task, not in the context
    ],
)
def test_a_context_is_needed_where_the_prompt_refers_to_it_and_outdated_where_it_says_so(text, needed, outdated):
    features = dict(zip(PROMPT_FEATURES, prompt_features(text, None), strict=True))
    assert (features["needs_context"], features["outdated_context"]) == (needed, outdated)
