"""The policy server: decisions over HTTP, what followed them in a store, and learning from it.

`serve` starts it; `rl-eval serve` is its command. Importing this is light: only `serve` loads FastAPI and uvicorn.
"""

from rl_eval.serving.serve import serve

__all__ = ["serve"]
