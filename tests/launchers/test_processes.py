"""Calls in processes of this machine: results, errors, workers that are lost, and stopping."""

import concurrent.futures
import os
import time

import pytest

from rl_eval.errors import InputError
from rl_eval.launchers import LAUNCHERS, Task, WorkerLostError, as_they_end, launcher_plugin

CALLS = "tests.launchers.calls"


@pytest.fixture
def two():
    plugin = launcher_plugin("processes")
    launcher = plugin.start(plugin.settings(count=2))
    yield launcher
    launcher.close()


def call(name, **arguments):
    return Task(f"{CALLS}:{name}", arguments, name=name)


def test_calls_are_made_elsewhere_and_each_answer_is_that_of_its_call(two):
    answers = dict(as_they_end(two, [call("process", number=number) for number in range(20)]))
    assert {index: answer[0] for index, answer in answers.items()} == {number: number for number in range(20)}
    processes = {answer[1] for answer in answers.values()}
    assert os.getpid() not in processes
    assert len(processes) <= 2 == two.slots


def test_a_call_is_made_in_its_folder_and_a_folder_that_is_not_there_is_named(two, tmp_path):
    task = Task(f"{CALLS}:folder", {}, folder=str(tmp_path))
    assert two.submit(task).result(60) == str(tmp_path)
    with pytest.raises(InputError, match=r"has no folder .*nowhere"):
        two.submit(Task(f"{CALLS}:folder", {}, folder=str(tmp_path / "nowhere"))).result(60)


@pytest.mark.parametrize("kind", ["value", "exit", "unsendable"])
def test_what_a_call_raises_is_one_sentence_and_the_worker_goes_on(two, kind):
    with pytest.raises(InputError, match=r"fail failed with .*no such thing \(.*calls\.py:\d+\)"):
        two.submit(call("fail", kind=kind)).result(60)
    assert two.submit(call("process", number=1)).result(60)[0] == 1


def test_a_call_whose_worker_is_killed_is_made_again(two, tmp_path):
    tasks = [call("die_once", mark=str(tmp_path / "mark")), *(call("process", number=n) for n in range(5))]
    answers = dict(as_they_end(two, tasks))
    assert answers[0] == "made again"
    assert [answers[n + 1][0] for n in range(5)] == [*range(5)]


def test_a_call_that_kills_its_worker_each_time_is_given_up(two):
    ((_, error),) = as_they_end(two, [call("die")])
    assert isinstance(error, WorkerLostError)
    assert "die: its process was killed by signal 9" in str(error)


def test_closing_interrupts_the_calls_and_cancels_those_that_wait(two, tmp_path):
    marks = [tmp_path / str(number) for number in range(2)]
    futures = [two.submit(call("wait", mark=str(mark))) for mark in marks]
    late = two.submit(call("process", number=1))
    while not all(mark.exists() for mark in marks):
        time.sleep(0.01)
    two.close()
    assert [mark.read_text() for mark in marks] == ["interrupted"] * 2
    assert all(isinstance(future.exception(10), InputError) for future in futures)
    with pytest.raises(concurrent.futures.CancelledError):
        late.result(10)


def test_an_unknown_launcher_is_refused_with_those_that_there_are():
    with pytest.raises(InputError, match=r"launcher='proceses' is not a launcher: did you mean 'processes'\?.*none"):
        launcher_plugin("proceses")
    assert LAUNCHERS.added == []
