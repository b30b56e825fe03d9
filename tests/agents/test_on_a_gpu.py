"""Training on a GPU: the losses of the CPU, the same bytes each time, and no gradient step that waits."""

import pytest
import torch

from benchmarks import gpu

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")


@pytest.mark.parametrize("name", gpu.CONFIGS)
def test_the_first_losses_are_those_of_the_cpu(name):
    gpu.first_losses_are_those_of_the_cpu(name, "cuda")


@pytest.mark.parametrize("name", gpu.CONFIGS)
def test_two_runs_give_the_same_bytes(name):
    gpu.two_runs_give_the_same_bytes(name, "cuda")


@pytest.mark.parametrize("name", gpu.CONFIGS)
def test_a_resumed_agent_goes_on_to_the_same_bytes(name):
    gpu.a_resumed_agent_goes_on_to_the_same_bytes(name, "cuda")


@pytest.mark.parametrize("name", ["ppo", "a2c"])
def test_no_gradient_step_waits_for_the_gpu(name):
    gpu.no_gradient_step_waits(name, "cuda")


def test_a_run_on_a_gpu_ends_and_its_policy_acts_on_the_cpu():
    gpu.train_py_ends_and_its_policy_acts_on_the_cpu("cuda")


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_two_gpus_give_the_parameters_of_one():
    gpu.ranks_give_the_parameters_of_one("cuda")
