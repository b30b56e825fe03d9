"""The OpenAPI schema of the policy server, without a run."""

from __future__ import annotations

import json
from typing import Any

from rl_eval import domains
from rl_eval.extras import imports_of_extra


def schema(domain_routes: Any = None) -> dict[str, Any]:
    """The schema, with the routes of a domain."""
    with imports_of_extra("serve", "the policy server"):
        from rl_eval.serving.app import make_app

    return make_app(None, domain_routes).openapi()


def domain_routes(name: str) -> Any:
    """The routes of a domain with its default settings.

    Raises:
        InputError: there is no such domain.
    """
    domain = domains.domain(name)
    return domain.routes(domains.validate({"name": name}), {})


def text(values: dict[str, Any]) -> str:
    """A schema as it is printed: the same bytes for the same routes."""
    return json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False)
