"""Gradient steps compared with those of other libraries."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike

from agents.optimizer import Adam, RMSpropTF


def parameters():
    pair = [torch.nn.Parameter(torch.ones(5)) for _ in range(2)]
    for parameter in pair:
        parameter.grad = torch.zeros(5)
    return pair


def our_optimizer(name, parameter):
    if name == "rmsprop":
        return RMSpropTF(parameter, 0.01, 0.99, 1e-5)
    return Adam(parameter, 0.01, 1e-5, weight_decay=0.1 if name == "adamw" else 0.0)


def reference_optimizer(name, parameter):
    if name == "adam":
        return torch.optim.Adam([parameter], lr=0.01, eps=1e-5)
    if name == "adamw":
        return torch.optim.AdamW([parameter], lr=0.01, eps=1e-5, weight_decay=0.1)
    return RMSpropTFLike([parameter], lr=0.01, alpha=0.99, eps=1e-5)


@pytest.mark.parametrize("name", ["adam", "adamw", "rmsprop"])
@settings(max_examples=20)
@given(seed=st.integers(0, 2**31 - 1), scale=st.sampled_from([1e-6, 1e-2, 1.0, 1e3]))
def test_steps_equal_another_librarys(name, seed, scale):
    torch.manual_seed(seed)
    a, b = parameters()
    optimizer, expected = our_optimizer(name, a), reference_optimizer(name, b)
    for lr in (0.01, 0.01, 0.003, 0.02, 0.0):
        a.grad.copy_(torch.randn(5) * scale)
        b.grad.copy_(a.grad)
        optimizer.lr = expected.param_groups[0]["lr"] = lr
        optimizer.step()
        expected.step()
    torch.testing.assert_close(a, b)


@pytest.mark.parametrize("name", ["adam", "adamw", "rmsprop"])
def test_state_goes_on_to_the_bit(name):
    a, b = parameters()
    first, second = our_optimizer(name, a), our_optimizer(name, b)
    gradients = torch.from_numpy(np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32))
    for gradient in gradients[:3]:
        a.grad.copy_(gradient)
        first.step()
    b.detach().copy_(a)
    second.load_state(first.state())
    for gradient in gradients[3:]:
        a.grad.copy_(gradient)
        b.grad.copy_(gradient)
        first.step()
        second.step()
    assert torch.equal(a, b)
    assert all(np.array_equal(first.state()[k], second.state()[k]) for k in first.names)


def test_the_means_of_dead_units_become_zero_and_not_denormal():
    """Arithmetic on denormal numbers takes many times as long; and a resume between two flushes changes no bit."""
    a, b = parameters()
    first, second = our_optimizer("adam", a), our_optimizer("adam", b)
    smallest = np.finfo(np.float32).tiny
    for step in range(1500):
        a.grad.fill_(1.0)
        a.grad[1:] = 1e-3 if step < 3 else 0.0
        first.step()
        if step == 700:
            b.detach().copy_(a)
            second.load_state(first.state())
        elif step > 700:
            b.grad.copy_(a.grad)
            second.step()
        mean = first.mean.abs()
        assert not ((mean > 0) & (mean < smallest)).any(), step
    assert (first.mean[1:] == 0).all()
    assert first.mean[0] > 0.99
    assert torch.equal(a, b)
    assert torch.equal(first.mean_square, second.mean_square)
