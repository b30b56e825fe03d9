"""Applications of a part, generated from seeds when they are needed."""

from __future__ import annotations

import numpy as np

from rl_eval.domains.webtest.simulator import sections
from rl_eval.domains.webtest.simulator.blueprint import Blueprint
from rl_eval.domains.webtest.simulator.defects import possible_defects
from rl_eval.seeding import part_key

OPTIONAL = ((sections.add_comments, 0.7), (sections.add_search, 0.8), (sections.add_contact, 0.7),
            (sections.add_newsletter, 0.6))  # fmt: skip
HELD_OUT = 1_000_000  # applications of the validation part, and of the test part


def draw_application(data_seed: int, part: str, index: int) -> Blueprint:
    """The application of a number in a part, with all defects that it can have."""
    entropy = [data_seed, int.from_bytes(part_key(part).encode(), "big"), index]
    rng = np.random.default_rng(np.random.SeedSequence(entropy))
    site = sections.new_site(rng)
    sections.add_catalogue(site)
    sections.add_cart(site)
    if site.has(0.85):
        sections.add_checkout(site)
    if site.has(0.85):
        sections.add_account(site)
    for add, chance in OPTIONAL:
        if site.has(chance):
            add(site)
    sections.add_help(site)
    sections.add_frame(site)
    site.plan.add_error_pages()
    site.plan.defects = possible_defects(site)
    return site.plan
