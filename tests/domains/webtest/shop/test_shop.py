"""The embedded shop without a browser: builds, snapshots, copies, branches, and its documentation."""

import httpx
import pytest

from rl_eval.domains.webtest.shop import COPY_HEADER, DEFECT_IDS, defect_of, start
from rl_eval.domains.webtest.shop.__main__ import main
from rl_eval.errors import InputError

WALK = (
    "/",
    "/products",
    "/products/all/4",
    "/products/3",
    "/products/1/reviews",
    "/makers/1",
    "/cart",
    "/help/returns",
)


@pytest.fixture(scope="module")
def shop():
    pytest.importorskip("coverage")
    with start(branches=True) as running:
        yield running


def client(shop, copy=""):
    return httpx.Client(base_url=shop.base_url, headers={COPY_HEADER: copy}, trust_env=False, follow_redirects=True)


def test_the_same_requests_get_the_same_answers_in_each_episode(shop):
    answers = []
    for _ in range(2):
        shop.start_episode([], "same")
        with client(shop, "same") as http:
            pages = [http.get(path) for path in WALK]
            pages.append(http.post("/cart/items", data={"product": 1, "quantity": 2}))
            answers.append([(page.status_code, page.text, page.cookies) for page in pages])
            assert {page.status_code for page in pages} == {200}
            assert "€69.80" in pages[-1].text
    assert str(answers[0]) == str(answers[1])


def test_copies_have_builds_and_data_of_their_own(shop):
    shop.start_episode(["D03"], "a")
    shop.start_episode([], "b")
    with client(shop, "a") as a, client(shop, "b") as b:
        assert a.get("/products/3").status_code == 500
        assert b.get("/products/3").status_code == 200
        a.post("/cart/items", data={"product": 1, "quantity": 1})
        assert "Cart (1)" in a.get("/").text
        assert "Cart (0)" in b.get("/").text


def test_a_snapshot_brings_everything_back(shop):
    shop.start_episode([], "snapshot")
    with client(shop, "snapshot") as http:
        http.post("/cart/items", data={"product": 1, "quantity": 1})
        before = shop.snapshot("snapshot")
        http.post("/products/1/reviews", data={"stars": 5, "author": "A", "text": "marvellous"})
        assert "marvellous" in http.get("/products/1").text
        shop.restore(before, "snapshot")
        assert "marvellous" not in http.get("/products/1").text
        assert "Cart (1)" in http.get("/").text


def test_branches_are_those_of_one_episode_of_one_copy(shop):
    shop.start_episode([], "branches")
    with client(shop, "branches") as http:
        http.get("/")
        first = shop.branches("branches")
        http.get("/checkout/address")
        http.post("/account/login", data={"email": "tester@example.com", "password": "Passw0rd!2"})
        more = shop.branches("branches")
    assert first.taken < more.taken < more.total
    assert more.total > 100
    shop.start_episode([], "branches")
    assert shop.branches("branches").taken == 0


def test_control_needs_the_secret(shop):
    with client(shop) as http:
        assert http.post("/_control/start", json={"defects": []}).status_code == 404
    with pytest.raises(InputError, match="there is no seeded defect 'D99'"):
        shop.start_episode(["D99"])


def test_a_person_is_told_what_is_wrong(capsys):
    assert main(["--defects", "D1"]) == 2
    assert capsys.readouterr().err.startswith("error: there is no seeded defect 'D1'")


def test_ids_of_defects_are_unique():
    assert len(DEFECT_IDS) == len(set(DEFECT_IDS)) >= 25


def test_a_failure_at_another_site_is_no_defect():
    assert defect_of("error_page", "GET /products/{n} 500") == "D03"
    assert defect_of("error_page", "GET /cart 500") is None
    assert defect_of("dead_link", "GET /products/{n} 500") is None
