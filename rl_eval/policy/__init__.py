"""What can be judged: anything that acts.

A policy is named by one string: a run directory, a control (`random`, `constant:<a>`, `untrained`), a
`baseline:<name>` of the environment, `onnx:<file>`, `http://127.0.0.1:<port>/<path>`,
`python:<module>:<callable>`, or `sb3:<algo>:<zip>[+<vecnormalize.pkl>]`.
"""

from rl_eval.policy._acting import Policy, Spaces, choose_actions, scores
from rl_eval.policy._controls import Constant, Random, Untrained
from rl_eval.policy._function import Function
from rl_eval.policy._http import Http
from rl_eval.policy._identity import BUILT_IN, identity
from rl_eval.policy._load import KINDS, load, names_policy
from rl_eval.policy._onnx import Onnx
from rl_eval.policy._sb3 import StableBaselines3

__all__ = [
    "BUILT_IN",
    "KINDS",
    "Constant",
    "Function",
    "Http",
    "Onnx",
    "Policy",
    "Random",
    "Spaces",
    "StableBaselines3",
    "Untrained",
    "choose_actions",
    "identity",
    "load",
    "names_policy",
    "scores",
]
