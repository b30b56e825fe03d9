"""`rl-eval schema`: the JSON Schema of suites."""

from __future__ import annotations

import json

import typer

from rl_eval.cli._app import app


@app.command()
def schema() -> None:
    """Print the JSON Schema of suites, for editors.

    \b
      rl-eval schema > suite.schema.json
    and, for editors with the YAML language server, as the first line of a suite:
      # yaml-language-server: $schema=../suite.schema.json
    """
    from rl_eval.gates import SuiteSpec

    values = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **SuiteSpec.model_json_schema(),
        "title": "rl_eval acceptance suite",
    }
    typer.echo(json.dumps(values, indent=2, ensure_ascii=False))
