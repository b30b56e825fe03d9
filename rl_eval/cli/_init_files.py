"""The texts of the files that `rl-eval init` writes, except for the suite."""

from __future__ import annotations

from collections.abc import Sequence

from rl_eval import __version__

GITLAB = ".gitlab-ci.yml"
GITIGNORE = "outputs/\n__pycache__/\n"
PLUGIN = '''\
"""Registers the environment of the suites in this folder. Written by `rl-eval init`."""

import gymnasium as gym

gym.register("{id}", entry_point="{env}")
'''
_GITHUB_FILE = """\
# Judges the policy on every push. Written by `rl-eval init`.
name: gate
on: [push, pull_request]
permissions: {{contents: read}}
jobs:
  gate:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with: {{python-version: "3.12"}}
      - uses: actions/cache/restore@v4   # which policies were judged before, and their verdicts
        with:
          path: |
            outputs/ledger.jsonl
            outputs/.gate-cache
          key: rl-eval-${{{{ github.run_id }}}}-${{{{ github.run_attempt }}}}
          restore-keys: rl-eval-
      # The wheel, from the place where you keep it; and what your environment needs.
      - run: pip install {package}
      - run: |
          {command}
      - run: rl-eval report gate.json
        if: always()
      - uses: actions/cache/save@v4
        if: always()
        with:
          path: |
            outputs/ledger.jsonl
            outputs/.gate-cache
          key: rl-eval-${{{{ github.run_id }}}}-${{{{ github.run_attempt }}}}
      - uses: actions/upload-artifact@v4
        if: always()
        with:
          name: verdict
          path: gate.*
"""
_GITLAB_FILE = """\
# Judges the policy on every push. Written by `rl-eval init`.
gate:
  image: python:3.12
  cache:   # which policies were judged before, and their verdicts
    key: rl-eval
    when: always
    paths: [outputs/ledger.jsonl, outputs/.gate-cache/]
  script:
    # The wheel, from the place where you keep it; and what your environment needs.
    - pip install {package}
    - |
      {command}
  after_script:
    - if [ -f gate.json ]; then rl-eval report gate.json; fi
  artifacts:
    when: always
    paths: [gate.json, gate.html]
    reports:
      junit: gate.xml
"""


def ci_file(kind: str, command: str, extras: Sequence[str], packages: Sequence[str], *, requirements: bool) -> str:
    """The CI file.

    Args:
        kind: `github` or `gitlab`.
        command: judges the policy.
        extras: of this package, that the policy and the environment need.
        packages: others that they need.
        requirements: whether there is a requirements.txt to install.
    """
    template = _GITHUB_FILE if kind == "github" else _GITLAB_FILE
    wheel = f"./rl_eval-{__version__}-py3-none-any.whl"
    package = f"'{wheel}[{','.join(extras)}]'" if extras else wheel
    package += "".join(f" {name}" for name in packages)
    package += " -r requirements.txt" if requirements else ""
    return template.format(package=package, command=f"{command} --junitxml=gate.xml --rl-verdict gate.json")
