"""The `tracker:` section of a config, one model a tracker; their keys are those of `conf/tracker/*.yaml`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

# W&B refuses longer tags, after the run has begun.
Tag = Annotated[str, Field(min_length=1, max_length=64)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NoTracker(_Section):
    """The run directory alone."""

    name: Literal["none"] = "none"


class TensorBoardTracker(_Section):
    """Event files in `<run>/tensorboard`."""

    name: Literal["tensorboard"] = "tensorboard"


class WandbTracker(_Section):
    """Weights & Biases."""

    name: Literal["wandb"] = "wandb"
    project: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    entity: Annotated[str, Field(min_length=1)] | None = None
    tags: tuple[Tag, ...] = ()
    mode: Literal["auto", "online", "offline", "disabled"] = "auto"
    finish_timeout: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] = 30.0


TrackerConfig = Annotated[NoTracker | WandbTracker | TensorBoardTracker, Field(discriminator="name")]
