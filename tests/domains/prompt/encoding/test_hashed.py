"""The default encoder: the same vectors in every process, length 1, an identity that names its weights."""

import base64
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_eval.domains.prompt.encoding import WIDTH, HashedNgrams
from rl_eval.errors import InputError

TEXTS = ("Decide the mood: good or bad.", "Name the river.", "Answer with one word.", "ответь одним словом")
ENCODER = HashedNgrams.fit(TEXTS)


@given(st.text(max_size=400))
def test_any_text_has_a_finite_vector_of_length_1_or_0(text):
    (vector,) = ENCODER.encode([text])
    assert vector.shape == (WIDTH,)
    assert vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5) or not text.strip()


def test_case_and_white_space_do_not_count_and_words_do():
    one, other, different = ENCODER.encode(["Name  the\nriver.", "name the river.", "name the city."])
    np.testing.assert_array_equal(one, other)
    assert 0.1 < one @ different < 0.9


def test_a_vector_does_not_depend_on_the_other_texts():
    together = ENCODER.encode(TEXTS)
    np.testing.assert_array_equal(together, [ENCODER.encode([text])[0] for text in TEXTS])


def test_idf_is_that_of_salton_and_buckley():
    """A column of every text has weight ln(1) + 1; one of a single text of three has ln(4 / 2) + 1."""
    encoder = HashedNgrams.fit(["alpha", "alpha alpha", "alpha"])  # two distinct texts
    weights = np.frombuffer(base64.b64decode(encoder.to_json().idf), "<f4")
    assert weights.min() == 1.0
    assert weights.max() == pytest.approx(np.log(3) + 1)


def test_the_vectors_are_the_same_in_another_process():
    code = (
        "from rl_eval.domains.prompt.encoding import HashedNgrams\n"
        f"encoder = HashedNgrams.fit({TEXTS!r})\n"
        f"print(encoder.identity.digest, encoder.encode([{TEXTS[0]!r}]).tobytes().hex()[:4000])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert printed == [ENCODER.identity.digest, ENCODER.encode([TEXTS[0]]).tobytes().hex()[:4000]]


def test_the_identity_follows_the_weights_and_not_the_order_of_texts():
    assert HashedNgrams.fit(TEXTS[::-1]).identity == ENCODER.identity
    assert HashedNgrams.fit(TEXTS[:2]).identity != ENCODER.identity


def test_json_gives_the_same_encoder():
    again = HashedNgrams.from_json(ENCODER.to_json())
    assert again.identity == ENCODER.identity
    np.testing.assert_array_equal(again.encode(TEXTS), ENCODER.encode(TEXTS))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"name": "text-embedding-3-small"}, "text-embedding-3-small"),
        ({"version": "2"}, "hashed-ngrams 2"),
        ({"digest": "0" * 64}, "digest"),
    ],
)
def test_another_encoder_of_the_same_width_is_refused(changes, named):
    fitted = ENCODER.to_json()
    other = fitted.model_copy(update={"identity": fitted.identity.model_copy(update=changes)})
    with pytest.raises(InputError, match=named):
        HashedNgrams.from_json(other)


@pytest.mark.parametrize("idf", ["", "####", "AAAA", "AADAfw==" * 1536])
def test_damaged_weights_are_refused(idf):
    with pytest.raises(InputError, match="damaged"):
        HashedNgrams.from_json(ENCODER.to_json().model_copy(update={"idf": idf}))
