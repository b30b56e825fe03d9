"""A network's parameters and gradients in one flat vector, which torch and numpy share."""

from __future__ import annotations

import math

import numpy as np
import torch

from agents.perceptron import Layer, Perceptron


class FlatParameters:
    """Every parameter of a network in one float32 vector `[P]`, and its gradient in another.

    The network's own parameters and gradients become views of the two. So clipping and the optimiser are a few
    operations on one vector, and numpy and torch see the same memory.
    """

    def __init__(self, network: torch.nn.Module):
        parameters = list(network.parameters())
        device = parameters[0].device
        size = sum(p.numel() for p in parameters)
        self.parameter = torch.nn.Parameter(torch.empty(size, device=device))
        self.parameter.grad = torch.zeros(size, device=device)
        start = 0
        for p in parameters:
            stop = start + p.numel()
            view = self.parameter.data[start:stop].view(p.shape)
            view.copy_(p.data)
            p.data, p.grad = view, self.parameter.grad[start:stop].view(p.shape)
            start = stop
        self.numpy_gradient = self.parameter.grad.numpy() if device.type == "cpu" else None

    def zero_gradient(self) -> None:
        """Set the gradient to 0: an autograd backward pass adds to it."""
        assert self.parameter.grad is not None
        self.parameter.grad.zero_()

    def clip_gradient(self, largest: float) -> float | torch.Tensor:
        """Scale the gradient to at most this 2-norm (Pascanu et al. 2013); returns its norm before."""
        if self.numpy_gradient is None:
            return torch.nn.utils.clip_grad_norm_([self.parameter], largest)
        norm = math.sqrt(float(self.numpy_gradient @ self.numpy_gradient))
        if norm > largest:
            self.numpy_gradient *= largest / (norm + 1e-6)
        return norm

    def is_finite(self) -> bool:
        """Whether every parameter is a finite number."""
        return bool(np.isfinite(float(self.parameter.detach().sum())))


LARGE_PRODUCT = 1 << 21  # multiplications; below it a call of torch costs more than its faster product saves


def matmul(a: np.ndarray, b: np.ndarray, *, out: np.ndarray) -> np.ndarray:
    """`a @ b` into `out`, by torch where that is worth a call: its BLAS is a fifth faster than numpy's."""
    if a.size * b.shape[1] < LARGE_PRODUCT:
        return np.matmul(a, b, out=out)
    torch.mm(torch.from_numpy(a), torch.from_numpy(b), out=torch.from_numpy(out))
    return out


def as_perceptron(body: torch.nn.Module, head: torch.nn.Linear, activation: str) -> Perceptron:
    """A numpy perceptron over the memory of a torch one behind `FlatParameters`, gradients included."""
    linears = [module for module in (*body.children(), head) if isinstance(module, torch.nn.Linear)]
    layers = []
    for linear in linears:
        weight, bias = linear.weight, linear.bias
        assert weight.grad is not None
        assert bias.grad is not None
        layers.append(Layer(weight.detach().numpy(), bias.detach().numpy(), weight.grad.numpy(), bias.grad.numpy()))
    return Perceptron(layers, activation, matmul)
