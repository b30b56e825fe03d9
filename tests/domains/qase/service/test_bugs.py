"""The embedded service: correct without bugs; each bug is detected by the cases of its entry."""

import re

import httpx
import numpy as np
import pytest

from rl_eval.domains.qase import service
from rl_eval.domains.qase.formats.json_export import write_json_export
from rl_eval.domains.qase.formats.values import parse_json
from rl_eval.domains.qase.live import FAILED, NOT_RUNNABLE, PASSED, Runner, run_cycle
from rl_eval.domains.qase.model.notes import Notes
from rl_eval.domains.qase.service import cases as case_file
from rl_eval.domains.qase.service.bugs import check_bug_ids
from rl_eval.domains.qase.service.cases import PATH, project
from rl_eval.errors import InputError

CASES = project().cases
INDEX = {case.id: i for i, case in enumerate(CASES)}
CASES_OF = {bug.id: list(bug.cases) for bug in service.BUGS}


@pytest.fixture(scope="module")
def shop():
    with service.start() as running:
        yield running


@pytest.fixture(scope="module")
def runner(shop):
    with Runner(shop.base_url, truth_token=shop.token) as running:
        yield running


@pytest.fixture(scope="module")
def client(shop):
    with httpx.Client(base_url=shop.base_url, trust_env=False) as asking:
        yield asking


def cycle(runner, shop, bugs, order=None):
    return run_cycle(runner, shop, CASES, range(len(CASES)) if order is None else order, None, bugs)


def test_every_bug_names_a_few_cases_that_detect_it():
    assert all(1 <= len(ids) <= 12 and set(ids) <= INDEX.keys() for ids in CASES_OF.values())


def test_ids_of_bugs_are_their_bits_and_components_are_suites():
    assert [int(key.removeprefix("B")) - 1 for key in service.BUG_IDS] == list(range(len(service.BUGS)))
    assert {bug.component for bug in service.BUGS} <= {suite.title for suite in project().suites}


def test_the_cases_are_a_qase_export_without_anything_unknown():
    notes = Notes()
    document = parse_json(PATH.read_bytes(), "cases.json")
    result = case_file.read_json_export(document, "cases.json", notes)
    assert notes.counts == {}
    assert write_json_export(result) == document
    assert {case.layer for case in CASES} >= {"api", "e2e"}
    assert sum(case.type == "security" for case in CASES) >= 15


def test_without_bugs_every_case_passes_or_says_why_it_cannot_be_run(runner, shop):
    result = cycle(runner, shop, ())
    assert set(result.status.tolist()) == {PASSED, NOT_RUNNABLE}
    assert sum(result.status == NOT_RUNNABLE) == 4
    assert all((result.status != NOT_RUNNABLE) | np.array([bool(reason) for reason in result.reasons]))
    assert (result.bugs == 0).all()


@pytest.mark.parametrize("bug", service.BUG_IDS)
def test_each_bug_alone_fails_its_cases_and_is_named_by_them(runner, shop, bug):
    order = [INDEX[key] for key in CASES_OF[bug]]
    result = cycle(runner, shop, [bug], order)
    assert (result.status[order] == FAILED).all()
    assert (result.bugs[order] == 1 << service.BUG_IDS.index(bug)).all()


@pytest.mark.verify
@pytest.mark.parametrize("bug", service.BUG_IDS)
def test_each_bug_alone_fails_no_other_cases(runner, shop, bug):
    result = cycle(runner, shop, [bug])
    assert [CASES[i].id for i in np.flatnonzero(result.status == FAILED)] == CASES_OF[bug]


def test_all_bugs_at_once_are_found_and_two_services_agree_to_the_byte(runner, shop):
    first = cycle(runner, shop, service.BUG_IDS)
    order = np.random.default_rng(1).permutation(len(CASES))
    with service.start(service.BUG_IDS) as other, Runner(other.base_url, truth_token=other.token) as asking:
        second = cycle(asking, other, None, order)
    for name in ("status", "verdict", "duration_ms", "bugs", "ran"):
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes(), name
    assert first.reasons == second.reasons
    result = np.bitwise_or.reduce(first.bugs)
    assert bin(result).count("1") >= 18  # some cases fail by one bug before they come to another


def test_every_answer_declares_its_duration_and_names_bugs_only_for_the_token(client, shop):
    shop.switch(["B11"])
    for path in ("/search?q=kettle", "/nowhere", "/products/x"):
        answer = client.get(path)
        assert re.fullmatch(r"app;dur=\d+", answer.headers["server-timing"])
        assert "x-seeded-bugs" not in answer.headers
        assert "x-seeded-bugs" not in client.get(path, headers={"X-Truth-Token": "guessed"}).headers
    headers = {"X-Truth-Token": shop.token}
    assert client.get("/search?q=kettle", headers=headers).headers["x-seeded-bugs"] == "B11"
    assert client.get("/search?q=Kettle", headers=headers).headers["x-seeded-bugs"] == ""
    assert client.get("/search?q=x").headers["server-timing"] == "app;dur=120"


def test_a_bug_is_named_where_it_shows_not_where_it_did_its_harm(client, shop):
    shop.switch(["B19"])
    token = client.post("/login", json={"email": "ann@shop.example", "password": "ann-secret"}).json()["token"]
    headers = {"X-Truth-Token": shop.token, "Authorization": f"Bearer {token}"}
    client.post("/cart/items", json={"product_id": 2, "quantity": 3}, headers=headers)
    assert client.post("/orders", headers=headers).headers["x-seeded-bugs"] == ""
    assert client.get("/products/2", headers=headers).headers["x-seeded-bugs"] == "B19"


def test_control_needs_the_token(client, shop):
    shop.switch(["B12"])
    for headers in ({}, {"X-Control-Token": "guessed"}, {"X-Truth-Token": shop.token}):
        assert client.put("/_control/build", json={"bugs": []}, headers=headers).status_code == 404
        assert client.post("/_control/reset", headers=headers).status_code == 404
    assert client.get("/search?max_price=120").json()["total"] == 0  # the bug is still there
    headers = {"X-Control-Token": shop.token}
    for body in (b"", b"[]", b'{"bugs": "B01"}', b'{"bugs": ["B99"]}', b"{" * 9, b" " * 70_000):
        assert client.put("/_control/build", content=body, headers=headers).status_code == 422
    with pytest.raises(InputError, match=r"did you mean 'B1[12]'"):
        shop.switch(["B112"])


def test_a_reset_forgets_everything(client, shop):
    shop.switch(())
    new = {"email": "carol@shop.example", "password": "carol-secret"}
    assert [client.post("/users", json=new).status_code for _ in range(2)] == [201, 409]
    shop.reset()
    assert client.post("/users", json=new).json()["id"] == 4


def test_a_bug_that_is_not_there_is_reported_before_anything_starts():
    with pytest.raises(InputError, match="there is no seeded bug 'X'"):
        service.start(["X"])
    assert check_bug_ids([]) == frozenset()
