"""Text encoders: prompts to vectors of 1536 columns, each encoder with an identity."""

from rl_eval.domains.prompt.encoding.encoder import WIDTH, Encoder, Identity
from rl_eval.domains.prompt.encoding.hashed import FittedEncoder, HashedNgrams

__all__ = ["WIDTH", "Encoder", "FittedEncoder", "HashedNgrams", "Identity"]
