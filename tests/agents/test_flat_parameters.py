"""One vector of parameters and one of gradients, shared with the network."""

import numpy as np
import torch

from agents.flat_parameters import LARGE_PRODUCT, FlatParameters, as_perceptron, matmul


def test_clipping_equals_torchs():
    network = torch.nn.Linear(3, 2)
    flat = FlatParameters(network)
    flat.parameter.grad.copy_(torch.arange(8.0))
    expected = torch.arange(8.0) * (0.5 / (torch.arange(8.0).norm() + 1e-6))
    flat.clip_gradient(0.5)
    torch.testing.assert_close(flat.parameter.grad, expected)
    flat.clip_gradient(100.0)
    torch.testing.assert_close(flat.parameter.grad, expected)
    assert network.weight.grad.data_ptr() == flat.parameter.grad.data_ptr()


def test_parameters_that_are_not_finite_are_detected():
    network = torch.nn.Linear(3, 2)
    flat = FlatParameters(network)
    assert flat.is_finite()
    network.weight.data[1, 2] = float("inf")
    assert not flat.is_finite()


def test_a_perceptron_over_the_same_memory_follows_the_network():
    network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh())
    head = torch.nn.Linear(4, 2)
    FlatParameters(torch.nn.ModuleList([network, head]))
    perceptron, inputs = as_perceptron(network, head, "tanh"), np.ones((5, 3), np.float32)
    for _ in range(2):
        expected = head(network(torch.from_numpy(inputs))).detach().numpy()
        np.testing.assert_allclose(perceptron.forward(inputs), expected, rtol=1e-5, atol=1e-6)
        with torch.no_grad():
            head.bias += 1.0


def test_large_products_are_the_same():
    rng = np.random.default_rng(0)
    for rows in (3, LARGE_PRODUCT // 64 // 32 + 1):
        a, b = rng.normal(size=(rows, 64)).astype(np.float32), rng.normal(size=(64, 32)).astype(np.float32)
        np.testing.assert_allclose(matmul(a, b, out=np.empty((rows, 32), np.float32)), a @ b, rtol=1e-4, atol=1e-4)
