"""The OpenAPI schema of the policy server, without a run."""

from __future__ import annotations

import json
from typing import Any

from rl_eval.extras import imports_of_extra


def schema(domain_routes: Any = None) -> dict[str, Any]:
    """The schema, with the routes of a domain.

    Raises:
        InputError: the extra is missing.
    """
    with imports_of_extra("serve", "the policy server"):
        from rl_eval.serving.app import make_app

    return make_app(None, domain_routes).openapi()


def text(values: dict[str, Any]) -> str:
    """A schema as it is printed: the same bytes for the same routes."""
    return json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False)
