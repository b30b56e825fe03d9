"""`rl-eval prompt improve`: steps by the reward model or a policy, shown safely; the result is written once."""

import numpy as np
import pytest

from rl_eval.cli import main
from rl_eval.domains import DOMAINS
from rl_eval.domains.prompt.commands import improve
from rl_eval.domains.prompt.commands.improve import describe, greedy, improve_prompt
from rl_eval.domains.prompt.text.mutations import MUTATIONS, mutate
from rl_eval.formatting import escape_controls
from tests.domains.prompt.scoring.fake_endpoint import endpoint, message
from tests.domains.prompt.synthetic_tasks import TASKS

pytestmark = pytest.mark.skipif("prompt" not in DOMAINS, reason="env=prompt is not installed as an entry point")

TASK = TASKS["test"][0]
PROMPT = "Our office is old.\nDecide what it is."


def likes(*words):
    """A prediction that counts which of some words a prompt has."""
    return lambda text: float(sum(word in text for word in words))


def test_the_search_takes_what_is_predicted_to_help_and_nothing_else():
    steps = improve_prompt(
        PROMPT, TASK, greedy(TASK, likes("Answer with exactly", "1. ")), likes("Answer with exactly")
    )
    assert {step.mutation for step in steps} == {"constraint", "decomposition"}
    assert steps[0].before == PROMPT
    assert steps[1].before == steps[0].after
    assert [step.predicted_gain for step in steps if step.mutation == "constraint"] == [1.0]
    assert improve_prompt(PROMPT, TASK, greedy(TASK, likes("Our office")), likes()) == []


def test_a_chooser_that_never_stops_ends():
    steps = improve_prompt(PROMPT, TASK, lambda text, applied: int(np.argmin(applied)), likes())
    assert [step.mutation for step in steps] == list(MUTATIONS)
    assert len(improve_prompt(PROMPT, TASK, lambda text, applied: 0, likes())) == 1


def test_what_a_prompt_holds_does_not_act_on_the_terminal():
    hostile = f"{PROMPT} \x1b[31m\u202e"
    shown = "\n".join(
        describe(hostile, improve_prompt(hostile, TASK, lambda text, applied: int(np.argmin(applied)), likes()))
    )
    assert "31m" in shown
    assert escape_controls(shown, keep="\n") == shown


@pytest.fixture
def prompt_file(tmp_path, monkeypatch):
    monkeypatch.setattr(improve, "reward_model", lambda config, task: likes("Answer with exactly"))
    (tmp_path / "prompt.txt").write_text(PROMPT)
    return tmp_path / "prompt.txt"


def test_a_prompt_is_improved_written_and_verified(prompt_file, tmp_path, capsys):
    new = tmp_path / "new.txt"
    command = ["prompt", "improve", str(prompt_file), "--task", "emotions", "--out", str(new)]
    with endpoint(lambda request, number: message("positive")) as (url, _):
        assert main([*command, "--base-url", url, "--model", "m", "--score", "accuracy"]) == 0
    printed = capsys.readouterr().out
    assert "predicted gain" in printed
    assert any(verdict in printed for verdict in ("PASS", "FAIL", "INCONCLUSIVE"))
    assert new.read_text().strip() != PROMPT
    before = new.read_text()
    assert main(command) == 2
    assert new.read_text() == before


def test_a_prompt_that_nothing_improves_is_written_as_it_is(prompt_file, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(improve, "reward_model", lambda config, task: likes())
    new = tmp_path / "new.txt"
    assert main(["prompt", "improve", str(prompt_file), "--task", "emotions", "--out", str(new)]) == 0
    assert new.read_text() == f"{PROMPT}\n"
    printed = capsys.readouterr().out
    assert "new.txt" in printed
    assert "unchanged" in printed


def test_without_a_judge_it_says_that_the_gain_is_a_prediction(prompt_file, capsys):
    assert main(["prompt", "improve", str(prompt_file), "--task", "emotions"]) == 0
    assert "prediction" in capsys.readouterr().out


def test_a_run_of_something_else_is_one_sentence(prompt_file, tmp_path, capsys):
    assert main(["prompt", "improve", str(prompt_file), "--task", "emotions", "--run", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error
    assert "Traceback" not in error


def test_nothing_of_the_test_items_is_in_an_improved_prompt():
    text = PROMPT
    for mutation in MUTATIONS:
        text = mutate(text, mutation, TASK)
    assert not any(item.text in text for item in TASK.test)
