"""`/mutate` and `/score` of the policy server."""

import asyncio
import json

import httpx
import pytest

from rl_eval.domains.prompt import DOMAIN, Config
from rl_eval.domains.prompt.environment.dataset import load_part, load_states
from rl_eval.domains.prompt.text.mutations import MAX_PROMPT_BYTES, MUTATIONS, mutate
from rl_eval.serving.app import make_app
from tests.domains.prompt.synthetic_tasks import TASKS

PROMPT = "Decide what the mood is: yes, no. We are a small shop."


class Client:
    """Posts JSON to the routes of a config."""

    def __init__(self, config):
        self._app = make_app(None, DOMAIN.routes(config, {}))

    def post(self, route, body):
        async def posted():
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self._app), base_url="http://test") as client:
                return await client.post(route, content=json.dumps(body), headers={"content-type": "application/json"})

        return asyncio.run(posted())


@pytest.fixture(scope="module")
def client():
    return Client(Config())


def test_actions_change_prompts_as_in_the_environment(client):
    """All prompts reachable from a start by legal actions, with the masks of the environment."""
    states, part = load_states(Config(), "train"), load_part(Config(), "train")
    texts, task = states.texts[0], states.tasks[states.task[0]]
    for state in range(0, 8, 3):
        if not states.can_reach[0, state]:
            continue
        for action in range(len(MUTATIONS)):
            answer = client.post("/mutate", {"prompt": texts[state], "action": action, "task": task.name}).json()
            assert answer["prompt"] == texts[state | 1 << action]
            assert answer["changed"] == states.legal[0, state, action]
            assert answer["mask"] == [*states.legal[0, state | 1 << action], True]
            assert answer["applied"] == [action] * answer["changed"]
            if not states.can_reach[0, state | 1 << action]:
                continue
            body = {"prompt": answer["prompt"], "task": task.name}
            expected = part.scores["predicted"][0, state | 1 << action]
            assert client.post("/score", body).json()["reward"] == pytest.approx(expected, abs=1e-5)


def test_stopping_changes_nothing_and_no_task_is_needed(client):
    answer = client.post("/mutate", {"prompt": PROMPT, "action": len(MUTATIONS)}).json()
    assert (answer["prompt"], answer["changed"]) == (PROMPT, False)
    answer = client.post("/mutate", {"prompt": PROMPT, "action": 0}).json()
    assert answer["prompt"] == mutate(PROMPT, MUTATIONS[0], None) != PROMPT
    assert client.post("/mutate", {"prompt": PROMPT, "action": MUTATIONS[0]}).json() == answer
    refused = client.post("/mutate", {"prompt": PROMPT, "action": "no"})
    assert refused.status_code == 422
    assert "expansion" in refused.json()["detail"]
    assert isinstance(client.post("/score", {"prompt": PROMPT}).json()["reward"], float)


def test_whatever_mutations_make_can_be_sent_to_every_route(client):
    """The largest start prompt, mutated as often as it can be."""
    task = load_states(Config(), "train").tasks[0].name
    body = {"prompt": "Classify the text. " + "word " * ((MAX_PROMPT_BYTES - 19) // 5), "task": task, "applied": []}
    for action in range(len(MUTATIONS)):
        answer = client.post("/mutate", {**body, "action": action}).json()
        body |= {"prompt": answer["prompt"], "applied": answer["applied"]}
        assert client.post("/score", body).status_code == 200
    assert len(body["prompt"]) > MAX_PROMPT_BYTES
    assert client.post("/mutate", {**body, "action": len(MUTATIONS)}).json()["mask"] == [False] * 5 + [True]
    refused = client.post("/score", {**body, "applied": []})
    assert refused.status_code == 422
    assert "applied" in refused.json()["detail"]


def test_without_masks_and_stop():
    client = Client(Config(masks=False, stop=False))
    assert client.post("/mutate", {"prompt": PROMPT, "action": 0}).json()["mask"] is None
    assert client.post("/mutate", {"prompt": PROMPT, "action": len(MUTATIONS)}).status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"prompt": ""},
        {"prompt": " \n"},
        {"prompt": "x" * 20_000},
        {"prompt": "ä" * 10_000},
        {"prompt": "\ud800"},
        {"prompt": 1},
        {"prompt": PROMPT, "task": TASKS["train"][0].name + "x"},
        {"prompt": PROMPT, "task": ""},
        {"prompt": PROMPT, "applied": [5]},
        {"prompt": PROMPT, "applied": "0"},
        {"prompt": PROMPT, "more": 1},
    ],
)
def test_bad_input_is_one_sentence(client, body):
    for route, more in (("/mutate", {"action": 0}), ("/score", {})):
        answer = client.post(route, {**body, **more})
        assert answer.status_code == 422
        assert isinstance(answer.json()["detail"], str)
    for action in (-1, 6, 0.5, True, "0", None):
        assert client.post("/mutate", {"prompt": PROMPT, "action": action}).status_code == 422
