"""The embedded application under test: a small shop with seeded defects, and a function to start it.

- `start()` runs it as a process on loopback; `Shop.start_episode` chooses the build and restores the data of a copy.
- `DEFECTS` and `DEFECT_IDS` are the seeded defects; `defect_of` says which one a failure shows.

Importing this is light: only the process loads FastAPI and uvicorn. See `docs/webtest-shop.md`.
"""

from rl_eval.domains.webtest.shop.defects import DEFECT_IDS, DEFECTS, Defect, defect_of
from rl_eval.domains.webtest.shop.process import COPY_HEADER, Branches, Shop, start

__all__ = ["COPY_HEADER", "DEFECTS", "DEFECT_IDS", "Branches", "Defect", "Shop", "defect_of", "start"]
