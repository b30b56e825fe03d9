import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import AGENTS
from rl_eval.errors import InputError
from rl_eval.hydra_compose import compose
from rl_eval.tuning import default_space, read_space
from tests.training.learn import ROOT


def one(text):
    (dimension,), fixed = read_space([text])
    assert fixed == []
    return dimension


def test_what_varies_and_what_does_not():
    space, fixed = read_space(["env=cartpole", "lr=1e-3,1e-2", "seed=3"])
    assert [dimension.key for dimension in space] == ["lr"]
    assert fixed == ["env=cartpole", "seed=3"]


@pytest.mark.parametrize(
    ("text", "kind", "contains"),
    [
        ("lr=tag(log,interval(1e-4,1e-2))", "float", [1e-4, 1e-2]),
        ("agent.gae_lambda=interval(0.9,0.99)", "float", [0.9, 0.99]),
        ("agent.n_epochs=int(interval(3,14))", "int", [3, 14]),
        ("agent.n_epochs=range(3,12,4)", "int", [3, 7, 11]),
        ("agent.n_steps=64,128", "choice", ["64", "128"]),
        ("agent.network.widths=[64,64],[256]", "choice", ["[64,64]", "[256]"]),
    ],
)
def test_values_in_the_grammar_of_hydra(text, kind, contains):
    dimension = one(text)
    distribution = dimension.distribution()
    assert dimension.kind == kind
    assert all(distribution._contains(distribution.to_internal_repr(value)) for value in contains)


@given(st.floats(0.001, 0.1))
def test_the_complement_is_a_distance_to_one(value):
    dimension = one("agent.gamma=tag(complement,interval(0.9,0.999))")
    key, _, text = dimension.override(value).partition("=")
    assert key == "agent.gamma"
    assert float(text) == 1 - value
    assert dimension.distribution().low == pytest.approx(0.001)
    assert dimension.distribution().high == pytest.approx(0.1)


@pytest.mark.parametrize(
    "text",
    ["lr=interval(1e-2,1e-4)", "lr=tag(log,interval(0.0,1e-4))", "lr=tag(loud,interval(0.1,0.2))", "lr=glob(*)",
     "agent.gamma=tag(complement,interval(0.9,1.0))", "lr=tag(log,choice(1,2))"],
)  # fmt: skip
def test_what_cannot_be_searched(text):
    with pytest.raises(InputError):
        read_space([text])


def test_a_key_twice():
    with pytest.raises(InputError, match="lr is searched twice"):
        read_space(["lr=1e-3,1e-2", "lr=interval(0.1,0.2)"])


@pytest.mark.parametrize("agent", AGENTS)
def test_every_agent_has_a_space_of_keys_that_it_takes(agent):
    config = compose(ROOT / "conf", ["env=cartpole", f"agent={agent}"])
    space = default_space(agent, config)
    assert "lr" in {dimension.key for dimension in space}
    middle = []
    for dimension in space:
        values = dimension.distribution()
        middle.append(dimension.override(values.choices[0] if dimension.kind == "choice" else values.low))
    compose(ROOT / "conf", ["env=cartpole", f"agent={agent}", *middle])


def test_a_discount_of_zero_is_left_as_it_is():
    config = compose(ROOT / "conf", ["env=threat", "agent=ppo"])
    assert config["agent"]["gamma"] == 0
    assert "agent.gamma" not in {dimension.key for dimension in default_space("ppo", config)}


def test_an_agent_of_somebody_else_has_none():
    with pytest.raises(InputError, match="give some with their values"):
        default_space("mine", {})
