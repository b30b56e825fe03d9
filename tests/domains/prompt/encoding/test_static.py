"""Static embeddings: equal in every call, blocks for parts, an identity, and nothing that is downloaded."""

import numpy as np
import pytest

from rl_eval.domains.prompt import Config
from rl_eval.domains.prompt.encoding import WIDTH, FittedEncoder, Identity, StaticEncoder
from rl_eval.domains.prompt.encoding import static as module
from rl_eval.domains.prompt.environment import dataset
from rl_eval.errors import InputError

PROMPT = "Say whether the review is positive.\n\nInput: good\nAnswer: positive"


class Counting:
    """A stand-in for the model: the length of a text, and 1."""

    def embed(self, texts):
        return np.array([[len(text), 1.0] + [0.0] * (module.COLUMNS - 2) for text in texts], np.float32)


@pytest.fixture
def counting(monkeypatch):
    identity = Identity(name=module.NAME, version="1", width=WIDTH, digest="0" * 64)
    monkeypatch.setattr(module, "_load", lambda: (Counting(), identity))
    return identity


def test_a_block_is_of_a_group_of_parts_and_0_where_there_is_none(counting):
    rows = StaticEncoder().encode([PROMPT, ""]).reshape(2, 6, module.COLUMNS)
    assert (np.abs(rows[0]).sum(axis=1) > 0).tolist() == [True, True, False, True, False, False]
    assert not rows[1].any()
    np.testing.assert_allclose(np.linalg.norm(rows[0]), 1.0, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(rows[0], axis=1)[[0, 1, 3]], 1 / np.sqrt(3), rtol=1e-6)


def test_a_run_of_another_encoder_is_refused(counting):
    config = Config(encoder="static")
    assert dataset.load_encoder(config).identity == counting
    other = FittedEncoder(identity=counting.model_copy(update={"digest": "1" * 64}))
    with pytest.raises(InputError, match="train again"):
        dataset.load_encoder(config.model_copy(update={"preprocessing": other}))
    hashed = dataset.load_encoder(Config()).to_json()
    with pytest.raises(InputError, match="hashed-ngrams"):
        dataset.load_encoder(config.model_copy(update={"preprocessing": hashed}))


def test_a_missing_extra_is_one_sentence(monkeypatch):
    module._load.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "wordllama", None)
    with pytest.raises(InputError, match=r"rl_eval\[llm\]"):
        StaticEncoder()


def test_vectors_of_the_package_repeat_and_similar_words_are_near():
    pytest.importorskip("wordllama", reason="needs the extra llm: make llm")
    module._load.cache_clear()
    encoder = StaticEncoder()
    texts = ["Rate the film.", "Judge the movie.", "Sort the parcels by weight."]
    together = encoder.encode(texts)
    np.testing.assert_array_equal(together, np.concatenate([encoder.encode([text]) for text in texts]))
    film, movie, parcels = together[:, : module.COLUMNS]
    assert film @ movie > film @ parcels
    assert encoder.identity.width == together.shape[1] == WIDTH
