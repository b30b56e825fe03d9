"""Fixtures for the tests of the loop."""

import pytest

from rl_eval.production.config import load_config
from rl_eval.production.parts import open_parts
from tests.production.loop.traffic import SECTIONS
from tests.production.served import write_config


@pytest.fixture
def parts(tmp_path):
    with open_parts(load_config(write_config(tmp_path, **SECTIONS))) as opened:
        yield opened
