"""Hypothesis strategies for projects of any shape."""

from hypothesis import strategies as st

from rl_eval.domains.qase.formats.enumerations import KNOWN_VALUES
from rl_eval.domains.qase.model.project import (
    Case,
    CaseStep,
    CaseSuite,
    CustomField,
    Parameter,
    ParameterGroup,
    build_project,
)

# Line ends are LF in the model; UTF-8 has no surrogates.
characters = st.characters(exclude_categories=["Cs"], exclude_characters="\r")
texts = st.text(characters, max_size=12) | st.sampled_from(
    ["=1+1", "-x", "1. a\n2. b", '"', ",", "\t1. ", "\n", "\x00"]
)
titles = st.text(characters, min_size=1, max_size=12).filter(lambda title: title.strip())


def steps():
    leaf = st.builds(CaseStep, action=texts, expected_result=texts, data=texts)
    return st.recursive(
        st.lists(leaf, max_size=3).map(tuple),
        lambda inner: st.lists(
            st.builds(CaseStep, action=texts, expected_result=texts, data=texts, steps=inner), max_size=2
        ).map(tuple),
        max_leaves=6,
    )


parameter = st.builds(Parameter, title=texts, values=st.lists(texts, max_size=3).map(tuple))
group = st.builds(ParameterGroup, items=st.lists(parameter, min_size=2, max_size=3).map(tuple))


@st.composite
def cases(draw, key, suite_id=None):
    fields = draw(st.dictionaries(st.integers(0, 20), texts.filter(bool), max_size=3))
    return Case(
        id=key,
        suite_id=suite_id,
        title=draw(titles),
        description=draw(texts),
        preconditions=draw(texts),
        postconditions=draw(texts),
        **{name: draw(st.sampled_from(KNOWN_VALUES[name])) for name in KNOWN_VALUES},
        is_flaky=draw(st.booleans()),
        is_muted=draw(st.booleans()),
        milestone=draw(st.none() | texts.filter(bool)),
        steps_type=draw(st.sampled_from(["classic", "gherkin"])),
        steps=draw(steps()),
        parameters=tuple(draw(st.lists(parameter | group, max_size=2))),
        tags=tuple(draw(st.lists(texts, max_size=3))),
        custom_fields=tuple(CustomField(id=k, value=v) for k, v in sorted(fields.items())),
    )


@st.composite
def projects(draw):
    """Any forest of suites, ten deep where chance has it, with cases anywhere."""
    n = draw(st.integers(0, 10))
    suites = [
        CaseSuite(
            id=i + 1, title=draw(titles), description=draw(texts), preconditions=draw(texts),
            parent_id=draw(st.none() | st.integers(1, i)) if i else None,
        )
        for i in range(n)
    ]  # fmt: skip
    homes = draw(st.lists(st.none() | st.integers(1, n) if n else st.none(), max_size=4))
    return build_project(suites, [draw(cases(i + 1, home)) for i, home in enumerate(homes)], "drawn")
