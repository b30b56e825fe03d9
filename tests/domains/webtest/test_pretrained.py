"""The policy that comes with the package: numpy gives the values that its network in torch gives."""

from pathlib import Path

import numpy as np
import pytest

from rl_eval.domains import make, validate
from rl_eval.domains.webtest import pretrained
from rl_eval.run import read_checkpoint

FOLDER = Path(pretrained.__file__).parent


@pytest.fixture(scope="module")
def observations():
    """Observations of 8 builds, and which candidates are legal, after some steps of the policy."""
    vector = make(validate({"name": "webtest", "candidates": pretrained.CANDIDATES}), n_envs=8, part="validation")
    obs, info = vector.reset(seed=3)
    for _ in range(10):
        actions = pretrained.Pretrained().act(obs, True, info["action_mask"])
        obs, *_, info = vector.step(actions)
    return obs, info["action_mask"]


def test_values_are_those_of_the_network(observations):
    torch = pytest.importorskip("torch")
    from agents.config import QNetworkConfig
    from agents.q_network import QNetwork

    arrays, meta = read_checkpoint(FOLDER, "policy")
    obs, _ = observations
    network = QNetwork(obs.shape[1], 48, QNetworkConfig(**meta["network"]), meta["dueling"], np.random.default_rng(0))
    weights = {name.removeprefix("network."): torch.from_numpy(array.copy()) for name, array in arrays.items()}
    network.load_state_dict(weights)
    np.testing.assert_allclose(pretrained.candidate_values(obs), network.q_values(obs), rtol=1e-4, atol=1e-4)


def test_it_chooses_legal_candidates_and_each_by_itself(observations):
    obs, mask = observations
    policy = pretrained.Pretrained()
    actions = policy.act(obs, True, mask)
    assert mask[np.arange(len(obs)), actions].all()
    alone = [policy.act(obs[row : row + 1], True, mask[row : row + 1])[0] for row in range(len(obs))]
    assert actions.tolist() == alone


def test_the_file_is_small_enough_for_the_package():
    assert sum(file.stat().st_size for file in FOLDER.glob("policy.*")) < 1_000_000
