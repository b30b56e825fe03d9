"""Embeddings from an endpoint: asked for once, of the right width, under an identity of their own."""

import hashlib
import json

import numpy as np
import pytest

from rl_eval.domains.prompt import DOMAIN, Config
from rl_eval.domains.prompt.encoding import WIDTH, EndpointEncoder
from rl_eval.errors import InputError
from tests.domains.prompt.scoring.fake_endpoint import endpoint


def vector_of(text, width=WIDTH):
    """A vector that depends on the text alone."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
    return np.random.default_rng(seed).integers(-9, 10, width)


def embed(request, number, width=WIDTH):
    """The rows in reverse, as an endpoint may give them."""
    rows = [{"index": i, "embedding": vector_of(t, width).tolist()} for i, t in enumerate(request["input"])]
    return 200, json.dumps({"data": rows[::-1]}).encode(), {}


def encoder(url, **options):
    return EndpointEncoder(url, "small", sleep=lambda seconds: None, **options)


def test_vectors_are_those_of_the_endpoint_at_length_1_and_each_text_is_asked_for_once():
    texts = [f"text {i % 70}" for i in range(140)]
    with endpoint(embed) as (url, requests):
        rows = encoder(url).encode(texts)
    assert [len(request["input"]) for request in requests] == [64, 6]
    assert {request["path"] for request in requests} == {"/v1/embeddings"}
    assert {request["model"] for request in requests} == {"small"}
    expected = vector_of("text 69") / np.linalg.norm(vector_of("text 69"))
    np.testing.assert_allclose(rows[139], expected, atol=1e-6)
    assert rows.dtype == np.float32


def test_the_identity_is_that_of_url_and_model():
    one = EndpointEncoder("http://127.0.0.1:9/v1", "small").identity
    assert one == EndpointEncoder("http://127.0.0.1:9/v1", "small").identity
    others = [EndpointEncoder("http://127.0.0.1:9/v1", "large"), EndpointEncoder("http://127.0.0.1:8/v1", "small")]
    assert len({one.digest, *(other.identity.digest for other in others)}) == 3
    assert one.width == WIDTH


def test_a_busy_endpoint_is_asked_again():
    with endpoint(lambda request, n: (503, b"", {}) if n < 3 else embed(request, n)) as (url, requests):
        encoder(url).encode(["a"])
    assert len(requests) == 3


def zeros(request, number):
    return 200, json.dumps({"data": [{"index": 0, "embedding": [0.0] * WIDTH}]}).encode(), {}


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        (lambda request, n: embed(request, n, 768), "768"),
        (lambda request, n: (401, b"", {}), "check the key"),
        (lambda request, n: (404, b"", {}), "the model"),
        (lambda request, n: (503, b"", {}), "tries"),
        (lambda request, n: (200, b"<html>", {}), "OpenAI-compatible"),
        (lambda request, n: (200, b'{"data": []}', {}), "OpenAI-compatible"),
        (lambda request, n: (200, b'{"data": [{"index": 0, "embedding": [NaN]}]}', {}), "columns"),
        (zeros, "not finite or 0"),
    ],
)
def test_what_is_no_embedding_is_one_sentence(answer, named):
    with endpoint(answer) as (url, _), pytest.raises(InputError, match=named) as caught:
        encoder(url).encode(["a"])
    assert "\n" not in str(caught.value)


def test_another_machine_needs_a_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(InputError, match="OPENAI_API_KEY"):
        encoder("https://api.example.com/v1")
    with pytest.raises(InputError, match="encoder_url"):
        encoder("api.example.com")


def test_a_run_with_an_endpoint_observes_its_vectors_and_refuses_those_of_another_encoder():
    with endpoint(embed) as (url, _):
        config = Config(encoder="endpoint", encoder_url=url, encoder_model="small")
        recorded = json.loads(json.dumps(DOMAIN.preprocessing(config)))
        observation, _ = DOMAIN.text_observer(config, recorded).observe("Name the river.")
        expected = vector_of("Name the river.")
        np.testing.assert_allclose(observation[:WIDTH], expected / np.linalg.norm(expected), atol=1e-6)
        assert DOMAIN.with_preprocessing(config, recorded) == config
        with pytest.raises(InputError, match="endpoint small"):
            DOMAIN.with_preprocessing(Config(), recorded)
        with pytest.raises(InputError, match="train again"):
            DOMAIN.with_preprocessing(config, json.loads(json.dumps(DOMAIN.preprocessing(Config()))))
    assert "encoder_url" in DOMAIN.needs_trust(config)
    assert "encoder_url" in DOMAIN.not_repeatable(config)
    assert DOMAIN.needs_trust(Config()) is None
