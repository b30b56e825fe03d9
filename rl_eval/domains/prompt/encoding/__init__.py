"""Text encoders: prompts to vectors of 1536 columns, each encoder with an identity."""

from rl_eval.domains.prompt.encoding.encoder import WIDTH, Encoder, FittedEncoder, Identity
from rl_eval.domains.prompt.encoding.endpoint import EndpointEncoder
from rl_eval.domains.prompt.encoding.hashed import HashedNgrams
from rl_eval.domains.prompt.encoding.static import StaticEncoder

__all__ = ["WIDTH", "Encoder", "EndpointEncoder", "FittedEncoder", "HashedNgrams", "Identity", "StaticEncoder"]
