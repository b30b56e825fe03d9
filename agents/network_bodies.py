"""Bodies of networks that `agents.register_body` added: made with seeded first weights, and checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from agents import make_body


def registered_body(
    name: str, kwargs: Mapping[str, Any], inputs: int, rng: np.random.Generator
) -> tuple[nn.Module, int]:
    """A body from `agents.register_body`, and how many outputs it has.

    torch's generator is seeded from `rng` while the body is made, and then goes on as before.

    Raises:
        ValueError: it cannot be made, or does not map `[B, inputs]` to `[B, F]`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(rng.integers(2**31)))  # only that of the CPU
        try:
            module = make_body(name, inputs, kwargs)
            with torch.no_grad():
                outputs = module.eval()(torch.zeros(2, inputs))
        except Exception as error:  # foreign code raises anything
            reason = " ".join(str(error).split())
            raise ValueError(f"the network body {name!r} cannot be used ({type(error).__name__}: {reason})") from error
    shape = tuple(getattr(outputs, "shape", ()))
    if len(shape) != 2 or shape[0] != 2 or not shape[1]:
        raise ValueError(
            f"the network body {name!r} cannot be used: it must map [B, {inputs}] to [B, F], and for B = 2 it gave the "
            f"shape {list(shape)}"
        )
    if any(tensor.dtype != torch.float32 for tensor in (outputs, *module.parameters())):
        raise ValueError(f"the network body {name!r} cannot be used: its outputs and parameters must be float32")
    return module, shape[1]
