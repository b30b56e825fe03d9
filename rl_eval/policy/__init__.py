"""Policies that can be judged, from many sources: runs, files of other libraries, Python, HTTP, baselines.

A policy is named by one string: a run directory, or `<prefix>:<rest>` of a registered source.
"""

from rl_eval.policy._adversary import Gradients, gradient_changes, random_changes
from rl_eval.policy._agents import AgentsSource
from rl_eval.policy._any_actions import has_points
from rl_eval.policy._baseline import BaselineSource
from rl_eval.policy._ensemble import EnsembleSource
from rl_eval.policy._episodes import EpisodesSource
from rl_eval.policy._http import HttpPolicy, HttpSource
from rl_eval.policy._identity import (
    BUILT_IN,
    acts_alone,
    canonical,
    digest,
    identity,
    is_cacheable,
    is_seeded,
    is_trivial,
)
from rl_eval.policy._onnx import OnnxPolicy, OnnxSource
from rl_eval.policy._onnx_metadata import describe_preprocessing, preprocessing_file
from rl_eval.policy._onnx_spaces import onnx_spaces
from rl_eval.policy._perturbed import Perturbation, PerturbedPolicy
from rl_eval.policy._policy import Policy, Spaces, action_space_from_json, action_space_json, choose_actions, scores
from rl_eval.policy._python import PythonPolicy, PythonSource
from rl_eval.policy._sb3 import StableBaselines3Policy, StableBaselines3Source
from rl_eval.policy._sklearn import SklearnSource
from rl_eval.policy._source import SOURCES, Source, load, names_policy, not_a_policy, notes, preprocessing, register
from rl_eval.policy._torchscript import TorchScriptSource
from rl_eval.policy._trivial import Constant, ConstantSource, Random, RandomSource, Untrained, UntrainedSource

register(
    RandomSource(),
    ConstantSource(),
    UntrainedSource(),
    BaselineSource(),
    OnnxSource(),
    HttpSource("http"),
    HttpSource("https"),
    PythonSource(),
    StableBaselines3Source(),
    TorchScriptSource(),
    SklearnSource(),
    EnsembleSource(),
    AgentsSource(),
    EpisodesSource(),
)
SOURCES.mark_built_in(*SOURCES)

__all__ = [
    "BUILT_IN",
    "SOURCES",
    "Constant",
    "Gradients",
    "HttpPolicy",
    "OnnxPolicy",
    "Perturbation",
    "PerturbedPolicy",
    "Policy",
    "PythonPolicy",
    "Random",
    "Source",
    "Spaces",
    "StableBaselines3Policy",
    "Untrained",
    "action_space_from_json",
    "action_space_json",
    "acts_alone",
    "canonical",
    "choose_actions",
    "describe_preprocessing",
    "digest",
    "gradient_changes",
    "has_points",
    "identity",
    "is_cacheable",
    "is_seeded",
    "is_trivial",
    "load",
    "names_policy",
    "not_a_policy",
    "notes",
    "onnx_spaces",
    "preprocessing",
    "preprocessing_file",
    "random_changes",
    "register",
    "scores",
]
