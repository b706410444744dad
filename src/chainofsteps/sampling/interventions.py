"""What may be changed during sampling: an intervention is a small function at a named point of the loop.

Three points, in the order in which the loop comes to them:

before the network
    `StateIntervention` writes into the state of some latent frames; its kinds are the functions of `KINDS`.
a block's output
    `BlockIntervention` puts other streams' tokens, or their mean, in place of a stream's own.
after the network, before the scheduler
    `EstimateIntervention` puts the mean of streams' clean estimates in place of a stream's own.

To add a kind of state intervention, write its function and name it in `KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from chainofsteps.refusal import Refused

PASSES = ("cond", "uncond")
PARTS = ("tokens", "update")


def replace(state: Tensor, noise: Tensor, sigma: Tensor, clean_estimate: Tensor, given: Tensor | None) -> Tensor:
    """Noise N(0, I), whatever the noise level: the paper's "noise at step" (C1)."""
    return noise


def erase(state: Tensor, noise: Tensor, sigma: Tensor, clean_estimate: Tensor, given: Tensor | None) -> Tensor:
    """Noise with the variance that each frame of the state has: nothing of the content stays, the scale does."""
    return noise * state.std(dim=(0, 2, 3), keepdim=True)


def resample(state: Tensor, noise: Tensor, sigma: Tensor, clean_estimate: Tensor, given: Tensor | None) -> Tensor:
    """The clean estimate of the evaluation before, under new noise: the content stays, the randomness is fresh."""
    return (1 - sigma) * clean_estimate + sigma * noise


def plant(state: Tensor, noise: Tensor, sigma: Tensor, clean_estimate: Tensor, given: Tensor | None) -> Tensor:
    """Given clean latents, noised to the frame's own level (E5)."""
    return (1 - sigma) * given + sigma * noise


def average(state: Tensor, noise: Tensor, sigma: Tensor, clean_estimate: Tensor, given: Tensor | None) -> Tensor:
    """Mean of the donors' states, scaled so that the mean of independent noise keeps its variance: for step 0."""
    return given.mean(dim=0) * len(given) ** 0.5


KINDS: dict[str, Callable[..., Tensor]] = {
    function.__name__: function for function in (replace, erase, resample, plant, average)
}
_NEEDS = {"plant": "latents", "average": "donors"}


@dataclass(frozen=True, eq=False)
class StateIntervention:
    """Writes into the state before the network.

    Attributes
    ----------
    kind : str
        Key in `KINDS`.
    steps : tuple of int
        Evaluations at which it acts.
    frames : tuple of int
        Latent frames that it writes.
    seed : int
        Of its noise, together with the stream's own seed and the step. The noise of a frame does not depend on which
        other frames are written.
    latents : Tensor, (channel, latent_frame, row, col), optional
        Normalised clean latents of a whole video; for ``plant``.
    donors : tuple of int
        Streams of the batch, by position; for ``average``.
    """

    kind: str
    steps: tuple[int, ...]
    frames: tuple[int, ...]
    seed: int = 0
    latents: Tensor | None = None
    donors: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class BlockIntervention:
    """Puts the mean of the donors' tokens, or of their updates, in place of the stream's own at blocks' outputs.

    One donor is a swap; several, the stream among them, an ensemble of hidden states. Donors' tokens are those that
    their block put out before any intervention of that same layer; what reached the block may have been changed.

    Attributes
    ----------
    layers : tuple of int
        Transformer blocks, from 0.
    steps : tuple of int
        Evaluations at which it acts.
    donors : tuple of int
        Streams of the batch, by position.
    frames : tuple of int, optional
        Latent frames whose tokens are taken; all of them, the given one too, where it is None.
    passes : tuple of str
        Guidance passes that it acts in, of `PASSES`.
    part : str
        ``tokens``: all that the block puts out. Of one donor with the same prompt that is the donor's whole
        evaluation, whichever the layer: what comes after sees nothing else. ``update``: what the block adds to the
        tokens that it is given; the stream keeps its own.
    """

    layers: tuple[int, ...]
    steps: tuple[int, ...]
    donors: tuple[int, ...]
    frames: tuple[int, ...] | None = None
    passes: tuple[str, ...] = PASSES
    part: str = "tokens"


@dataclass(frozen=True, eq=False)
class EstimateIntervention:
    """Puts the mean of the donors' clean estimates in place of the stream's own, before the scheduler steps.

    Attributes
    ----------
    steps : tuple of int
        Evaluations at which it acts.
    donors : tuple of int
        Streams of the batch, by position.
    """

    steps: tuple[int, ...]
    donors: tuple[int, ...]


Intervention = StateIntervention | BlockIntervention | EstimateIntervention


def check_interventions(
    interventions: Sequence[Intervention],
    where: object,
    *,
    streams: int,
    evaluations: int,
    latent_shape: tuple[int, int, int, int],
    layers: int,
    given_frame: bool,
    passes: Sequence[str] = PASSES,
) -> None:
    """Refuse what a run does not have.

    Parameters
    ----------
    interventions : sequence of Intervention
        Of one stream.
    where : object
        The stream, for the message.
    streams, evaluations, layers : int
        How many there are.
    latent_shape : tuple of int
        Channels, latent frames, rows, columns.
    given_frame : bool
        Whether latent frame 0 is given, and so not to be written.
    passes : sequence of str
        Guidance passes that there are.

    Raises
    ------
    Refused
        An unknown kind; a pass, step, frame, layer or donor that there is not; a kind without what it needs, or with
        what it does not take.
    """
    first_frame, latent_frames = (1 if given_frame else 0), latent_shape[1]
    for each in interventions:
        name = type(each).__name__
        _check_range(where, f"{name}.steps", each.steps, 0, evaluations)
        _check_range(where, f"{name}.donors", getattr(each, "donors", ()), 0, streams)
        if isinstance(each, StateIntervention):
            if each.kind not in KINDS:
                raise Refused(where, f"{name}.kind", each.kind, ", ".join(KINDS))
            for part, given in (("latents", each.latents is not None), ("donors", bool(each.donors))):
                if given != (_NEEDS.get(each.kind) == part):
                    accepted = f"none, since {each.kind} takes none" if given else f"{part}, which {each.kind} takes"
                    raise Refused(where, f"{name}.{part}", "some" if given else "nothing", accepted)
            if each.latents is not None and tuple(each.latents.shape) != latent_shape:
                raise Refused(where, f"{name}.latents", tuple(each.latents.shape), latent_shape)
            _check_range(where, f"{name}.frames", each.frames, first_frame, latent_frames)
            continue
        if not each.donors:
            raise Refused(where, f"{name}.donors", "none", "at least one stream of the batch")
        if isinstance(each, BlockIntervention):
            _check_range(where, f"{name}.layers", each.layers, 0, layers)
            _check_range(where, f"{name}.frames", each.frames or (), 0, latent_frames)
            if each.part not in PARTS:
                raise Refused(where, f"{name}.part", each.part, ", ".join(PARTS))
            if not set(each.passes) & set(passes) or set(each.passes) - set(PASSES):
                raise Refused(where, f"{name}.passes", ", ".join(each.passes) or "none", ", ".join(passes))


def _check_range(where: object, field: str, given: Sequence[int], first: int, end: int) -> None:
    for number in given:
        if not first <= number < end:
            raise Refused(where, field, number, f"{first} to {end - 1}")


def donors_of(acting: Sequence[Intervention]) -> set[int]:
    """Streams that must go through the network beside the one that these interventions act on."""
    return {donor for each in acting if isinstance(each, BlockIntervention) for donor in each.donors}


def edit_states(
    state: Tensor,
    clean_estimate: Tensor,
    sigma: Tensor,
    acting: Sequence[Sequence[Intervention]],
    seeds: Sequence[int],
    of_stream: np.ndarray,
    step: int,
) -> Tensor:
    """States after the state interventions of a step; donors give theirs of before it.

    Parameters
    ----------
    state, clean_estimate : Tensor, (row, channel, latent_frame, row, col)
        Before the step, and of the step before it: zero before the first, where nothing but noise has a place.
    sigma : Tensor, (latent_frame,)
    acting : sequence of sequence, (row,)
        Interventions of each row at this step.
    seeds : sequence of int, (row,)
        Of the rows' initial noise.
    of_stream : ndarray of int, (stream,)
        Row that each stream is in.
    step : int

    Returns
    -------
    Tensor, as `state`
        The same tensor where nothing acts.
    """
    edited = state
    for row, interventions in enumerate(acting):
        for each in interventions:
            if not isinstance(each, StateIntervention):
                continue
            if edited is state:
                edited = state.clone()
            frames = list(each.frames)
            noise = _noise(state.shape[1:], [seeds[row], each.seed, step]).to(state)
            given = None if each.latents is None else each.latents.to(state)[:, frames]
            if each.donors:
                given = state[of_stream[list(each.donors)]][:, :, frames]
            edited[row, :, frames] = KINDS[each.kind](
                edited[row, :, frames],
                noise[:, frames],
                sigma[frames].view(1, -1, 1, 1),
                clean_estimate[row, :, frames],
                given,
            )
    return edited


def _noise(shape: Sequence[int], seeds: Sequence[int]) -> Tensor:
    seed = int(np.random.SeedSequence(seeds).generate_state(1)[0])
    return torch.randn(tuple(shape), generator=torch.Generator("cpu").manual_seed(seed))


def edit_velocities(
    velocity: Tensor,
    state: Tensor,
    sigma: Tensor,
    active: Tensor,
    acting: Sequence[Sequence[Intervention]],
    of_stream: np.ndarray,
) -> Tensor:
    """Velocities after the estimate interventions of a step: the clean estimates in question are their donors' mean.

    Parameters
    ----------
    velocity, state : Tensor, (row, channel, latent_frame, row, col)
    sigma, active : Tensor, (latent_frame,)
        Frames that wait or are finished have no clean estimate and keep their velocity.
    acting, of_stream
        As in `edit_states`.

    Returns
    -------
    Tensor, as `velocity`
        The same tensor where nothing acts.
    """
    edited = velocity
    level = sigma[active].view(1, -1, 1, 1)
    for row, interventions in enumerate(acting):
        for each in interventions:
            if not isinstance(each, EstimateIntervention):
                continue
            if edited is velocity:
                edited = velocity.clone()
            donors = of_stream[list(each.donors)]
            estimates = state[donors][:, :, active] - level * velocity[donors][:, :, active]
            edited[row, :, active] = ((state[row, :, active] - estimates.mean(dim=0)) / level).to(velocity.dtype)
    return edited
