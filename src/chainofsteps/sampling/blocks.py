"""Inside the network: what its blocks put out, read and changed by hooks that do not outlive the evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from chainofsteps.sampling.interventions import BlockIntervention, Intervention


@dataclass(frozen=True, eq=False)
class BlockMoment:
    """What one transformer block put out for some of the streams, interventions included.

    Attributes
    ----------
    index, layer : int
        Evaluation and block, from 0.
    context : str
        Guidance pass: ``cond`` or ``uncond``.
    streams : ndarray of int, (stream,)
        Positions of the streams in the batch.
    hidden : Tensor, (stream, latent_frame, row, col, channel)
        Visual tokens on their grid.
    """

    index: int
    layer: int
    context: str
    streams: np.ndarray
    hidden: torch.Tensor


BlockObserver = Callable[[BlockMoment], None]


@contextmanager
def hooked(
    network: torch.nn.Module,
    index: int,
    members: Sequence[int],
    acting: Sequence[Sequence[Intervention]],
    of_stream: np.ndarray,
    observers: Sequence[BlockObserver],
    context: str,
    network_input: torch.Tensor,
) -> Iterator[None]:
    """While this lasts, the network's blocks do what the interventions say and tell the observers.

    Parameters
    ----------
    network : WanTransformer3DModel
    index : int
        Evaluation.
    members : sequence of int
        Rows that go through the network together, in this order.
    acting : sequence of sequence, (row,)
        Interventions of every row at this evaluation; donors of members are members.
    of_stream : ndarray of int, (stream,)
        Row that each stream is in.
    observers : sequence of callable
    context : str
        Guidance pass.
    network_input : Tensor, (member, channel, latent_frame, row, col)
    """
    size = [length // patch for length, patch in zip(network_input.shape[2:], network.config.patch_size, strict=True)]
    position = {row: place for place, row in enumerate(members)}
    edits: dict[int, list[tuple[int, list[int], list[int], str]]] = {}
    for row, place in position.items():
        for each in acting[row]:
            if isinstance(each, BlockIntervention) and context in each.passes:
                donors = [position[int(of_stream[donor])] for donor in each.donors]
                frames = list(range(size[0])) if each.frames is None else list(each.frames)
                for layer in each.layers:
                    edits.setdefault(layer, []).append((place, donors, frames, each.part))

    def hook(layer: int) -> Callable[..., torch.Tensor]:
        def act(module: torch.nn.Module, inputs: tuple, hidden: torch.Tensor) -> torch.Tensor:
            tokens = hidden.unflatten(1, size)
            if layer in edits:
                made, entered, tokens = tokens, inputs[0].unflatten(1, size), tokens.clone()
                for place, donors, frames, part in edits[layer]:
                    if part == "tokens":
                        tokens[place, frames] = made[donors][:, frames].mean(dim=0)
                    else:
                        update = (made[donors] - entered[donors])[:, frames].mean(dim=0)
                        tokens[place, frames] = entered[place, frames] + update
            if observers:
                streams = np.flatnonzero(np.isin(of_stream, members))
                seen = tokens[[position[int(row)] for row in of_stream[streams]]]
                for observe in observers:
                    observe(BlockMoment(index, layer, context, streams, seen))
            return tokens.flatten(1, 3)

        return act

    handles = []
    try:
        for layer, block in enumerate(network.blocks):
            if observers or layer in edits:
                handles.append(block.register_forward_hook(hook(layer)))
        yield
    finally:
        for handle in handles:
            handle.remove()
