"""Muon with all matrices of a shape in one product."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

import torch


class StackedMuon(torch.optim.Muon):
    """`torch.optim.Muon`, its step scaled to AdamW's root mean square, whose Newton-Schulz iterations take a stack.

    Torch orthogonalises one matrix after another: 1,200 small products a step for the 80 matrices of the mini reasoner,
    a sixth of its training. Here matrices of a shape (or its transpose) are stacked, which are 30 products for two
    shapes. The state is named and shaped as torch's own, and steps agree but for rounding (tested).

    Parameters
    ----------
    params : iterable
        Matrices, or groups of them.
    lr, weight_decay : float
    """

    def __init__(self, params: Iterable, lr: float, weight_decay: float):
        super().__init__(params, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")

    @torch.no_grad()
    def step(self, closure: Callable[[], torch.Tensor] | None = None) -> torch.Tensor | None:
        """Perform a single optimisation step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            alike: dict[tuple[int, int], list[torch.Tensor]] = defaultdict(list)
            for weight in weights:
                alike[tuple(sorted(weight.shape))].append(weight)
            for members in alike.values():
                self._step_alike(members, group)
        return loss

    def _step_alike(self, weights: list[torch.Tensor], group: dict) -> None:
        """Step matrices of one shape or its transpose."""
        gradients = [weight.grad for weight in weights]
        for weight in weights:
            if "momentum_buffer" not in self.state[weight]:
                self.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
        momenta = [self.state[weight]["momentum_buffer"] for weight in weights]
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        updates = torch._foreach_lerp(gradients, momenta, group["momentum"]) if group["nesterov"] else momenta
        wide = [weight.shape[0] <= weight.shape[1] for weight in weights]
        stack = torch.stack([each if lies else each.T for each, lies in zip(updates, wide, strict=True)])
        stack = orthogonalise(stack, group["ns_coefficients"], group["ns_steps"], group["eps"])
        scale = 0.2 * max(weights[0].shape) ** 0.5  # Liu et al. 2025: the root mean square of AdamW's step
        torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
        for weight, update, lies in zip(weights, stack, wide, strict=True):
            weight.add_(update if lies else update.T, alpha=-group["lr"] * scale)


def orthogonalise(
    stack: torch.Tensor, coefficients: tuple[float, float, float], steps: int, eps: float
) -> torch.Tensor:
    """The nearest orthogonal matrices, roughly, by Newton-Schulz in half precision (Jordan et al. 2024).

    Parameters
    ----------
    stack : Tensor, (matrix, row, col)
        With no more rows than columns.
    coefficients : tuple of float
        Of the quintic.
    steps : int
    eps : float
        Least norm that is divided by.

    Returns
    -------
    Tensor of bfloat16, as `stack`
        Singular values are near 1 (about .7 to 1.2), not 1.
    """
    a, b, c = coefficients
    stack = stack.bfloat16()
    stack = stack / stack.norm(dim=(1, 2), keepdim=True).clamp(min=eps)
    for _ in range(steps):
        gram = stack @ stack.mT
        stack = torch.baddbmm(stack, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), stack, beta=a)
    return stack
