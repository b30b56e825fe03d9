"""Mutations of any text: idempotent, the same in any order, bounded, and nothing that must stay is lost."""

import itertools
import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from rl_eval.domains.prompt.tasks.task import Item, Task
from rl_eval.domains.prompt.text.mutations import MAX_ADDED, MUTATIONS, legal, mutate, reachable
from rl_eval.domains.prompt.text.parts import parse, render

TASK = Task(
    "demo", "sentiment", ("positive", "negative"), "Say whether the review is positive or negative.",
    tuple(Item(f"text number {i} of the shop", label) for i, label in enumerate(["positive", "negative"] * 4)),
    (Item("fine", "positive"),),
)  # fmt: skip
PIECES = st.sampled_from(
    """You are a critic.|Classify the review.|Our shop sells tea.|It is old.|Do not explain.|Answer with one word.|
If you are unsure, say so.|1. Read it.|2. Decide.|- be brief|Think step by step.|Input: good tea|Answer: positive|
"bad tea" -> negative|Context:|## Background|Rules: be short|Examples:|Steps:|Task:|{x}|{{x}}|<x>|{|}|[|]|```|~~~|
{"a": [1,|2]}|Thank you!|What is it?|Text:|# Notes|**Rules:**|。你好。|Ünï. Ça va?|\n|\n\n| |\t|\r\n|(Yes.) No|
A. B. C.|e.g. this|```json|"Yes." He said|Goal: rate it|3) go|• x|Note: old tea|"""
    .replace("|\n", "|").split("|")
)  # fmt: skip
PROMPTS = st.one_of(
    st.text(max_size=300),
    st.lists(st.one_of(PIECES, st.text(max_size=6)), max_size=14).flatmap(
        lambda pieces: st.sampled_from(["\n", " ", "\n\n", ""]).map(lambda separator: separator.join(pieces))
    ),
)
TASKS = st.sampled_from([None, TASK])
PROTECTED = re.compile(r"\{\{[^{}\n]{1,80}\}\}|\{[^{}\n]{1,80}\}|<[a-z]{1,80}>")


@settings(max_examples=60)
@given(PROMPTS, TASKS)
@example("Our shop: [ a.\n\nMust be ] short. Classify it.", TASK)
def test_a_mutation_applied_twice_changes_nothing_more(text, task):
    for mutation in MUTATIONS:
        once = mutate(text, mutation, task)
        assert mutate(once, mutation, task) == once
        assert (once != text) == legal(text, task)[MUTATIONS.index(mutation)]


@settings(max_examples=60)
@given(PROMPTS, TASKS, st.permutations(MUTATIONS), st.data())
def test_the_order_of_mutations_does_not_matter(text, task, order, data):
    prompts = reachable(text, task)
    chosen = order[: data.draw(st.integers(0, len(order)))]
    mutated = text
    for mutation in chosen:
        mutated = mutate(mutated, mutation, task)
    assert mutated == prompts[sum(1 << MUTATIONS.index(mutation) for mutation in chosen)]


@settings(max_examples=60)
@given(PROMPTS, TASKS)
def test_the_task_and_every_placeholder_survive_and_growth_is_bounded(text, task):
    parts = parse(text)
    for prompt in reachable(text, task):
        assert parse(prompt).task == parts.task
        for placeholder in PROTECTED.findall(text):
            assert prompt.count(placeholder) >= 1
        assert len(prompt) <= len(text) + 60 * text.count("\n") + MAX_ADDED * len(MUTATIONS)


@settings(max_examples=60)
@given(st.text(max_size=80).filter(lambda text: "```" not in text), st.sampled_from(["```", "~~~~"]), TASKS)
def test_a_code_fence_survives_byte_for_byte(code, fence, task):
    block = f"{fence}json\n{code}\n{fence}"
    text = f"Our shop is old.\n{block}\nClassify the review."
    for prompt in reachable(text, task):
        assert block in prompt


def test_a_json_schema_survives_byte_for_byte():
    schema = '{\n  "type": "object",\n\n  "properties": {"label": {"enum": ["a. B", "b"]}}\n}'
    for prompt in reachable(f"Hello. Our shop is old. Classify the review.\nFormat: {schema}\nThank you!", TASK):
        assert schema in prompt


def test_each_mutation_changes_its_own_part():
    text = "You are a critic. Our shop is old. Classify the review."
    before = parse(text)
    for mutation, part in zip(MUTATIONS, ("fallback", "context", "examples", "constraints", "steps"), strict=True):
        after = parse(mutate(text, mutation, TASK))
        changed = {name for name in vars(before) if getattr(before, name) != getattr(after, name)}
        assert part in changed
        assert changed <= {part, "details"}
    assert len(set(reachable(text, TASK))) == 32


def test_expansion_draws_from_the_train_items_alone_and_balances_labels():
    expanded = parse(mutate("Classify the review.\n\nInput: it was nice\nAnswer: positive", "expansion", TASK)).examples
    answers = [example.rsplit(" ", 1)[-1] for example in expanded]
    assert sorted(answers) == ["negative", "negative", "positive", "positive"]
    assert all(any(item.text in shown for item in TASK.train) for shown in expanded[1:])


@settings(max_examples=60)
@given(PROMPTS)
def test_the_canonical_form_is_its_own_canonical_form_where_a_mutation_is_legal(text):
    if any(legal(text, None)):
        assert render(parse(render(parse(text)))) == render(parse(text))


def test_blank_prompts_stay():
    for text in ("", " \n", "\u3000"):
        assert legal(text, TASK) == (False,) * 5
        assert set(reachable(text, TASK)) == {text}


def test_all_orders_of_a_padded_prompt():
    text = "Hello! We are a shop with 40 people.\nFormat: one word\n\nDecide whether {review} is good.\n- be kind"
    expected = reachable(text, TASK)[31]
    for order in itertools.permutations(MUTATIONS):
        mutated = text
        for mutation in order:
            mutated = mutate(mutated, mutation, TASK)
        assert mutated == expected
