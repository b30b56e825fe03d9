"""The pictures of the documentation: all are made by `docs/screenshots.py`, shown by a page, and small."""

import ast
import re

import pytest

from tests.test_links import PAGES, ROOT

IMAGES = ROOT / "docs" / "images"
MAX_BYTES = 200_000


def shown(page):
    """The image files that a page shows."""
    links = re.findall(r"!\[[^\]]+\]\(([^)\s]+)\)|<img [^>]*src=\"([^\"]+)\"", page.read_text(encoding="utf-8"))
    paths = ["".join(found) for found in links]
    return {(page.parent / path).resolve() for path in paths if ":" not in path}


def made_by_the_script():
    """The names in `SIZES`, read without the imports of the script, which needs a browser."""
    tree = ast.parse((ROOT / "docs" / "screenshots.py").read_text(encoding="utf-8"))
    values = {node.targets[0].id: node.value for node in tree.body if isinstance(node, ast.Assign)}
    return set(ast.literal_eval(values["SIZES"]))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_images_of_a_page_exist_and_are_small(page):
    assert {path.name: path.stat().st_size for path in shown(page) if path.stat().st_size > MAX_BYTES} == {}


def test_the_script_makes_every_image_and_a_page_shows_it():
    names = {path.name for path in IMAGES.iterdir()}
    assert names == made_by_the_script()
    assert {path.name for page in PAGES for path in shown(page) if path.parent == IMAGES} == names


def test_images_of_a_page_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text('![a](b/c.png) [d](e.png) <img alt="f" src="g.svg"> ![h](https://example.org/i.png)\n')
    assert shown(page) == {(tmp_path / "b" / "c.png").resolve(), (tmp_path / "g.svg").resolve()}
