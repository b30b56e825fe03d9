"""An endpoint as a judge: its measures, cache, budget, retries and repeatability; what it lacks is one sentence."""

import json
from math import log

import numpy as np
import pytest

from rl_eval.domains.prompt.scoring.answer_cache import AnswerCache
from rl_eval.domains.prompt.scoring.budget import Budget
from rl_eval.domains.prompt.scoring.endpoint import MAX_TRIES, EndpointJudge
from rl_eval.domains.prompt.tasks.task import Item, Task
from rl_eval.errors import InputError
from tests.domains.prompt.scoring.fake_endpoint import endpoint, message

ITEMS = (Item("lovely", "positive"), Item("awful", "negative"))
TASK = Task("demo", "sentiment", ("positive", "negative"), "Say whether it is positive or negative.", ITEMS, ITEMS)


def by_words(request, number):
    text = request["messages"][-1]["content"]
    return message("Positive!" if "lovely" in text else "**negative**")


def judge(url, measure="accuracy", budget=None, **options):
    return EndpointJudge(url, "m", measure, budget, sleep=options.pop("sleep", lambda seconds: None), **options)


def test_accuracy_reads_the_label_that_an_answer_begins_with():
    with endpoint(by_words) as (url, requests):
        values = judge(url, key="secret").values("Rate it.", TASK, ITEMS)
    assert values.tolist() == [1.0, 1.0]
    assert {request["path"] for request in requests} == {"/v1/chat/completions"}
    assert {request["key"] for request in requests} == {"Bearer secret"}
    assert all(request["temperature"] == 0 for request in requests)


def test_log_probabilities_are_of_the_tokens_that_begin_a_label_and_are_calibrated():
    def answer(request, number):
        text = request["messages"][-1]["content"]
        neutral = "Input: lovely" not in text and "Input: awful" not in text
        p = 0.8 if neutral else 0.5
        return message("pos", {" Pos": log(p / 2), "positive": log(p / 2), "neg": log(1 - p), "the": log(0.001)})

    with endpoint(answer) as (url, _):
        values = judge(url, "logprob").values("Rate it.", TASK, ITEMS)
    np.testing.assert_allclose(values, [log(0.2), log(0.8)], atol=1e-6)


def test_an_endpoint_without_log_probabilities_proposes_accuracy():
    with endpoint(by_words) as (url, _), pytest.raises(InputError, match="score=accuracy"):
        judge(url, "logprob").values("Rate it.", TASK, ITEMS)


@pytest.mark.parametrize("logprobs", [{}, {"positive": float("nan")}, {"positive": 2.0}, {"positive": -(10**400)}])
def test_log_probabilities_that_are_none_propose_accuracy(logprobs):
    with (
        endpoint(lambda request, number: message("positive", logprobs)) as (url, _),
        pytest.raises(InputError, match="score=accuracy"),
    ):
        judge(url, "logprob").values("Rate it.", TASK, ITEMS)


def test_labels_with_a_common_first_token_are_refused_before_anything_is_asked():
    task = Task("demo", "other", ("class 1", "class 2"), "Choose.", ITEMS, (Item("a", "class 1"), Item("b", "class 2")))
    with endpoint(by_words) as (url, requests):
        with pytest.raises(InputError, match=r"class 1.*score=accuracy"):
            judge(url, "logprob").values("Rate it.", task, task.test)
        assert requests == []


@pytest.mark.parametrize(("measure", "logprobs"), [("accuracy", None), ("logprob", {"<think>": 0.0})])
def test_answers_that_name_no_label_are_counted_once_each_and_reported(measure, logprobs):
    with endpoint(lambda request, number: message("<think>" if logprobs else None, logprobs)) as (url, _):
        asked = judge(url, measure)
        for _ in range(2):
            asked.values("Rate it.", TASK, ITEMS)
    assert asked.nameless == asked.calls_of(len(ITEMS))
    assert any("named no label" in fact for fact in asked.facts())


def test_where_all_answers_name_labels_nothing_is_said_of_it():
    with endpoint(by_words) as (url, _):
        asked = judge(url)
        asked.values("Rate it.", TASK, ITEMS)
    assert asked.nameless == 0
    assert not any("named no label" in fact for fact in asked.facts())


def test_labels_that_begin_with_marks_are_told_apart():
    items = tuple(Item(f"item {label}", label) for label in ("-1", "0", "1"))
    task = Task("demo", "other", ("-1", "0", "1"), "Choose.", items, items)
    with endpoint(lambda request, number: message("-1")) as (url, _):
        assert judge(url).values("Rate it.", task, items).tolist() == [1.0, 0.0, 0.0]


def test_a_budget_of_money_needs_answers_that_say_what_they_took():
    with endpoint(lambda request, number: message("positive", usage=(0, 0))) as (url, requests):
        with pytest.raises(InputError, match="calls"):
            judge(url, budget=Budget(money=1.0, price_in=1.0)).values("Rate it.", TASK, ITEMS)
        assert len(requests) == 1


def test_grades_are_shares_of_ten_and_anything_else_is_one_sentence():
    with endpoint(lambda request, number: message("8 of 10")) as (url, _):
        assert judge(url, "grade").values("Rate it.", TASK, ITEMS).tolist() == [0.8, 0.8]
    for text in ("great", "11", "9" * 5_000):
        with endpoint(lambda request, number, text=text: message(text)) as (url, _), pytest.raises(InputError):
            judge(url, "grade").values("Rate it.", TASK, ITEMS)


def test_equal_requests_are_sent_once_and_the_first_twice():
    with endpoint(by_words) as (url, requests):
        asked = judge(url)
        for _ in range(3):
            asked.values("Rate it.", TASK, ITEMS)
        assert len(requests) == asked.calls == 4
        assert asked.flicker == 0


def test_answers_are_kept_in_a_file_without_key_or_request(tmp_path):
    path = tmp_path / "answers.jsonl"
    with endpoint(by_words) as (url, requests):
        judge(url, key="secret", cache=AnswerCache(path)).values("Rate it.", TASK, ITEMS)
        sent = len(requests)
        path.write_bytes(path.read_bytes()[:-20])  # killed while it wrote the last one
        again = judge(url, key="secret", cache=AnswerCache(path))
        assert again.values("Rate it.", TASK, ITEMS).tolist() == [1.0, 1.0]
        assert len(requests) == sent + again.calls == sent + 2
        third = judge(url, key="secret", cache=AnswerCache(path))
        third.values("Rate it.", TASK, ITEMS)
        assert third.calls == 0
    assert b"secret" not in path.read_bytes()
    assert b"lovely" not in path.read_bytes()


def test_a_kept_answer_that_is_none_is_one_sentence(tmp_path):
    path = tmp_path / "answers.jsonl"
    with endpoint(by_words) as (url, _):
        judge(url, cache=AnswerCache(path)).values("Rate it.", TASK, ITEMS)
        for answer in ("[]", '{"choices": 3}', '"x"'):
            lines = [json.loads(line) for line in path.read_text().splitlines() if line]
            path.write_text("".join(f'{{"request": "{line["request"]}", "answer": {answer}}}\n' for line in lines))
            with pytest.raises(InputError):
                judge(url, cache=AnswerCache(path)).values("Rate it.", TASK, ITEMS)
    with pytest.raises(InputError):
        AnswerCache(tmp_path)
    with pytest.raises(InputError, match="missing"):  # before the first answer is paid for
        AnswerCache(tmp_path / "missing" / "answers.jsonl")


@pytest.mark.parametrize("content", [b"# My notes\n", b"\x00\xff", b'{"model": "m"}\n', b"[]\n", b"5\n"])
def test_a_file_of_something_else_is_refused_and_stays_as_it_is(tmp_path, content):
    path = tmp_path / "README.md"
    path.write_bytes(content)
    with pytest.raises(InputError, match="README"):
        AnswerCache(path)
    assert path.read_bytes() == content


def test_flicker_is_the_share_of_answers_that_were_not_repeated():
    with endpoint(lambda request, number: message("positive" if number % 2 else "negative")) as (url, _):
        asked = judge(url)
        assert np.isnan(asked.flicker)
        asked.values("Rate it.", TASK, ITEMS)
        assert asked.flicker == 1.0


def test_a_busy_endpoint_is_asked_again_after_the_wait_that_it_names():
    waits = []
    with endpoint(lambda request, number: (429, b"", {"Retry-After": "7"}) if number < 3 else message("x")) as (url, _):
        judge(url, sleep=waits.append).values("Rate it.", TASK, ITEMS[:1])
    assert waits == [7, 7]


def test_a_broken_endpoint_is_given_up_after_some_tries():
    waits = []
    with endpoint(lambda request, number: (503, b"", {})) as (url, requests), pytest.raises(InputError, match="503"):
        judge(url, sleep=waits.append).values("Rate it.", TASK, ITEMS)
    assert len(requests) == MAX_TRIES
    assert waits == sorted(waits)
    assert len(waits) == MAX_TRIES - 1


@pytest.mark.parametrize(
    "answer",
    [(401, b"", {}), (404, b"", {}), (200, b"<html>", {}), (200, b"[]", {}), (200, b'{"choices": []}', {}),
     (200, b'{"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": "many"}}', {}),
     (200, b'{"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": 1' + b"0" * 400 + b"}}", {})],
)  # fmt: skip
def test_answers_that_no_second_try_improves_are_one_sentence(answer):
    with endpoint(lambda request, number: answer) as (url, requests):
        with pytest.raises(InputError):
            judge(url).values("Rate it.", TASK, ITEMS)
        assert len(requests) == 1


def test_the_budget_bounds_calls_and_money():
    with endpoint(by_words) as (url, requests):
        with pytest.raises(InputError, match="3 calls"):
            judge(url, budget=Budget(calls=3)).values("Rate it.", TASK, ITEMS)
        assert len(requests) == 3
        # ten tokens in and one out for each call
        asked = judge(url, budget=Budget(money=2e-5, price_in=1.0, price_out=5.0))
        with pytest.raises(InputError, match="money"):
            asked.values("Rate it.", TASK, ITEMS)
        assert asked.money == pytest.approx(3e-5)


def test_a_missing_key_and_a_missing_network_are_one_sentence(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(InputError, match="OPENAI_API_KEY"):
        EndpointJudge("https://api.example.com/v1", "m")
    with pytest.raises(InputError, match="URL"):
        EndpointJudge("ftp://example.com", "m")
    with endpoint(by_words) as (url, _):
        pass
    with pytest.raises(InputError, match="tries"):
        judge(url).values("Rate it.", TASK, ITEMS)
