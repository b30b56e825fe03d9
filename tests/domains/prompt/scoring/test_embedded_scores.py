"""The shipped table: every prompt that can be reached, by two language models, with what made it."""

from math import log

from rl_eval.domains.prompt.scoring.collect import jobs_of, missing
from rl_eval.domains.prompt.scoring.scores import LEAST_PROBABILITY, embedded_scores
from rl_eval.domains.prompt.tasks.embedded import embedded_tasks


def test_it_has_every_prompt_of_the_embedded_tasks_and_no_other_by_two_models():
    table, jobs = embedded_scores(), jobs_of(embedded_tasks())
    assert len(table.models) == 2
    assert [missing(jobs, table, model) for model in table.models] == [[], []]
    assert len(table.scores) == 2 * len(jobs)


def test_it_says_what_made_it():
    table = embedded_scores()
    for name in table.models.values():
        assert f"rl-eval prompt score --model {name}" in table.command


def test_its_figures_are_possible():
    for score in embedded_scores().scores.values():
        for nats in (score.log_likelihood, score.calibrated):
            assert log(LEAST_PROBABILITY) - 1e-4 <= nats <= 0
        for share in (score.accuracy, score.calibrated_accuracy):
            assert abs(share * 12 - round(share * 12)) < 1e-3
