"""What `--rl-workers` takes."""

import importlib.util

import pytest

from rl_eval.errors import InputError
from rl_eval.pytest_plugin._workers import workers_settings

HAS_RAY = importlib.util.find_spec("ray") is not None


def test_a_number_is_processes_of_this_machine():
    settings = workers_settings("4")
    assert (settings.name, settings.count) == ("processes", 4)


@pytest.mark.skipif(not HAS_RAY, reason="Ray is not installed")
@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ray", None),
        ("ray://auto", "auto"),
        ("ray://head:10001", "ray://head:10001"),
        ("ray://[::1]:1", "ray://[::1]:1"),
    ],
)
def test_ray_is_started_here_or_named(text, address):
    settings = workers_settings(text)
    assert (settings.name, settings.address) == ("ray", address)


@pytest.mark.parametrize(
    "text", ["0", "-1", "1025", "2.5", "rey", "ray://", "ray://head", "http://head:1", "ray://a b:1"]
)
def test_anything_else_is_one_sentence(text):
    with pytest.raises(InputError, match=r"^--rl-workers=.* is not valid: give a number of processes from 1 to 1,024"):
        workers_settings(text)


@pytest.mark.skipif(HAS_RAY, reason="Ray is installed")
def test_without_ray_the_extra_is_named():
    with pytest.raises(InputError, match=r"needs ray, which is not installed: pip install 'rl_eval\[ray\]'"):
        workers_settings("ray")
