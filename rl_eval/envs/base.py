"""What the config of every environment has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class EnvConfig(BaseModel):
    """Which environment; a domain's `Config` adds its own keys, and refuses any other."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
