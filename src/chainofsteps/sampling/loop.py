"""The one denoising loop: any diffusers Wan image-to-video pipeline, many streams, any order, any intervention.

It drives the pipeline's own parts and follows ``WanImageToVideoPipeline.__call__`` (diffusers 0.42) step by step.
In joint order, with one stream and no intervention, it gives that method's latents. Streams that start alike are
evaluated once until an intervention parts them.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import WanImageToVideoPipeline
from diffusers.schedulers import SchedulerMixin
from PIL import Image

from chainofsteps.models.check import IMAGE_CONTEXT_TEXT_LENGTH, refuse_shape
from chainofsteps.models.load import pipeline_form
from chainofsteps.refusal import Refused
from chainofsteps.sampling.blocks import BlockObserver, hooked
from chainofsteps.sampling.interventions import (
    PASSES,
    Intervention,
    check_interventions,
    donors_of,
    edit_states,
    edit_velocities,
)
from chainofsteps.sampling.kernels import fast_kernels
from chainofsteps.sampling.orders import Order, build_order
from chainofsteps.sampling.sharing import share_rows, split_rows


@dataclass(frozen=True, eq=False)
class Stream:
    """One video to make.

    Attributes
    ----------
    case_id : str
        The case it belongs to.
    image : ndarray of uint8, (height, width, 3)
        The given first frame.
    prompt : str
    seed : int
        Of the stream's own initial noise, drawn on the CPU.
    interventions : tuple of Intervention
        What is changed on its way.
    """

    case_id: str
    image: np.ndarray
    prompt: str
    seed: int
    interventions: tuple[Intervention, ...] = ()

    @property
    def start(self) -> tuple[bytes, str, int]:
        """What its first evaluation depends on: streams of one start share their steps until they part."""
        return self.image.tobytes(), self.prompt, self.seed


@dataclass(frozen=True, eq=False)
class Moment:
    """What stands at one evaluation of the network, before the scheduler steps.

    In the ti2v form the first latent frame is given: it is the condition in `state` and `clean_estimate`, has sigma and
    timestep 0 and is never active, whatever the order.

    Attributes
    ----------
    index : int
        Evaluation, from 0.
    sigma, timestep : Tensor, (latent_frame,)
        Noise level of each frame and what the network is told of it.
    active : Tensor of bool, (latent_frame,)
        Whether the frame takes a step at this evaluation.
    state : Tensor, (stream, channel, latent_frame, row, col)
        Latents before the step, as interventions have left them.
    velocity : Tensor, as `state`
        The network's answer (noise minus clean), both guidance passes combined, for all frames.
    clean_estimate : Tensor, as `state`
        ``state - sigma * velocity`` where active. Elsewhere the state as it stands: the network's opinion on a frame
        that waits or is finished never enters the run, and an observer of the run sees only what the sampler has
        committed to.
    """

    index: int
    sigma: torch.Tensor
    timestep: torch.Tensor
    active: torch.Tensor
    state: torch.Tensor
    velocity: torch.Tensor
    clean_estimate: torch.Tensor

    def of(self, rows: np.ndarray) -> Moment:
        """The same moment of the streams that these rows stand for."""
        if np.array_equal(rows, np.arange(len(self.state))):
            return self
        tensors = {name: getattr(self, name)[rows] for name in ("state", "velocity", "clean_estimate")}
        return dataclasses.replace(self, **tensors)


Observer = Callable[[Moment], None]
Progress = Callable[[int, int], None]


@torch.no_grad()
def sample(
    pipe: WanImageToVideoPipeline,
    streams: Sequence[Stream],
    order: str,
    steps: int,
    *,
    frames: int,
    height: int,
    width: int,
    guidance_scale: float = 1.0,
    guidance_scale_2: float | None = None,
    negative_prompt: str = "",
    max_sequence_length: int = 512,
    batch: int | None = None,
    observers: Sequence[Observer] = (),
    block_observers: Sequence[BlockObserver] = (),
    progress: Progress | None = None,
) -> torch.Tensor:
    """Denoise a batch of streams; images, prompts, seeds and interventions may all differ.

    A stream's result depends on the others in its batch only by rounding, or where an intervention names them.

    Parameters
    ----------
    pipe : WanImageToVideoPipeline
        Any of the forms of `pipeline_form`. Left as it was: schedulers are copied, hooks removed.
    streams : sequence of Stream
        All of them at once.
    order : str
        Key in `orders.ORDERS`. Other orders than joint need the ti2v form, which takes a timestep for each frame.
    steps : int
        Denoising steps S (of each frame, in the orders that move them in turn).
    frames, height, width : int
        Video frames and pixels, taken literally. (``pipe(num_frames=n)`` makes n + 1 frames where the VAE's temporal
        factor is 1: n % 1 is never 1, so it rounds to n // 1 * 1 + 1.)
    guidance_scale, guidance_scale_2, negative_prompt, max_sequence_length
        As in ``pipe(...)``: guidance acts where ``guidance_scale > 1``.
    batch : int, optional
        Different states that go through the network at once; all of them where it is None. States whose interventions
        need each other's tokens are never parted.
    observers : sequence of callable
        Each is called with the `Moment` of every evaluation. Its tensors may be kept, not written to.
    block_observers : sequence of callable
        Each is called with the `BlockMoment` of every block, pass and batch of every evaluation.
    progress : callable, optional
        Called with (evaluations done, evaluations in all), each of all streams.

    Returns
    -------
    Tensor of float32, (stream, channel, latent_frame, row, col)
        Normalised latents, as ``pipe(..., output_type="latent")`` gives them.

    Raises
    ------
    Refused
        A shape, order, scheduler, option or intervention that this pipeline cannot take; no stream; an image of
        another kind.
    """
    timetable = prepare_order(pipe, order, steps, frames, height, width)
    _refuse_options(pipe, streams, guidance_scale_2, max_sequence_length)
    _refuse_interventions(pipe, streams, timetable, height, width, guidance_scale > 1)
    first_network = _first_network(pipe)
    patch_size = first_network.config.patch_size
    ti2v = pipeline_form(pipe) == "ti2v"
    device = pipe._execution_device
    schedule = _prepare_schedule(pipe.scheduler, steps, device)
    schedulers = [(group, copy.deepcopy(schedule)) for group in timetable.groups]

    # 1. Rows: what differs at each evaluation
    evaluations = len(timetable.active)
    plan = share_rows([stream.start for stream in streams], [stream.interventions for stream in streams], evaluations)
    starts = _distinct(streams)

    # 2. Conditions
    dtype = first_network.dtype
    guided = guidance_scale > 1
    prompt_embeds = _encode_prompts(pipe, [stream.prompt for stream in starts], max_sequence_length).to(dtype)
    negative_embeds = None
    if guided:
        negative_embeds = _encode_prompts(pipe, [negative_prompt] * len(starts), max_sequence_length).to(dtype)
    image_embeds = _encode_images(pipe, starts)
    if image_embeds is not None:
        image_embeds = image_embeds.to(dtype)

    # 3. Noise and given frame
    state, condition = _prepare_states(pipe, starts, frames, height, width, device)
    if ti2v:
        state = torch.cat([condition, state[:, :, 1:]], dim=2)

    # 4. Schedule of each frame
    step_index = torch.from_numpy(timetable.step_index)
    active = torch.from_numpy(timetable.active).to(device)
    sigmas = schedule.sigmas.to(device)[step_index]
    # The schedule ends one step before clean; the network is told 0 of what is clean, as of a given frame.
    timesteps = torch.cat([schedule.timesteps, schedule.timesteps.new_zeros(1)])[step_index]
    boundary = None
    if pipe.config.boundary_ratio is not None:
        boundary = pipe.config.boundary_ratio * schedule.config.num_train_timesteps

    # 5. Denoising loop
    clean_estimate = torch.zeros_like(state)
    start = np.arange(len(starts))
    for index, rows in enumerate(plan):
        start = start[rows.parent]
        if not np.array_equal(rows.parent, np.arange(len(state))):
            state, clean_estimate = state[rows.parent], clean_estimate[rows.parent]
            for _, scheduler in schedulers:
                _take_rows(scheduler, rows.parent)
        acting = [[each for each in streams[number].interventions if index in each.steps] for number in rows.stream]
        seeds = [streams[number].seed for number in rows.stream]
        before = state
        state = edit_states(state, clean_estimate, sigmas[index], acting, seeds, rows.of_stream, index)

        t = timesteps[index][active[index]].max()
        high_noise = boundary is None or t >= boundary
        network = pipe.transformer if high_noise else pipe.transformer_2
        scale = guidance_scale if high_noise or guidance_scale_2 is None else guidance_scale_2
        links = [{int(rows.of_stream[donor]) for donor in donors_of(each)} for each in acting]
        velocities = {}
        for members in split_rows(links, batch or len(rows)):
            owners = start[members]
            if ti2v:
                network_input = state[members].to(dtype)
                tokens_a_frame = (state.shape[3] // patch_size[1]) * (state.shape[4] // patch_size[2])
                # One row for all states: what is made of it in every block is then made once, not once a state.
                network_timestep = timesteps[index].float().repeat_interleave(tokens_a_frame)[None]
            else:
                network_input = torch.cat([state[members], condition[owners]], dim=1).to(dtype)
                network_timestep = t.expand(len(members))
            embeds = None if image_embeds is None else image_embeds[owners]
            blocks = {
                "network": network,
                "index": index,
                "members": members,
                "acting": acting,
                "of_stream": rows.of_stream,
                "observers": block_observers,
            }
            with hooked(**blocks, context="cond", network_input=network_input):
                velocity = _evaluate(network, "cond", network_input, network_timestep, prompt_embeds[owners], embeds)
            if guided:
                with hooked(**blocks, context="uncond", network_input=network_input):
                    unguided = _evaluate(
                        network, "uncond", network_input, network_timestep, negative_embeds[owners], embeds
                    )
                velocity = unguided + scale * (velocity - unguided)
            velocities.update(zip(members, velocity, strict=True))
        velocity = torch.stack([velocities[row] for row in range(len(rows))])
        velocity = edit_velocities(velocity, state, sigmas[index], active[index], acting, rows.of_stream)

        moment = _describe(index, sigmas[index], timesteps[index], active[index], state, velocity)
        clean_estimate = moment.clean_estimate
        if observers:
            seen = moment.of(rows.of_stream)
            for observe in observers:
                observe(seen)

        stepped = state.clone()
        for group, scheduler in schedulers:
            if timetable.active[index, group[0]]:
                step = timetable.step_index[index, group[0]]
                stepped[:, :, group] = scheduler.step(
                    velocity[:, :, group], schedule.timesteps[step], state[:, :, group], return_dict=False
                )[0].to(state.dtype)
                written = (state != before)[:, :, group]
                if index > 0 and written.any() and hasattr(scheduler, "model_outputs"):
                    change = (schedule.sigmas[step + 1] - schedule.sigmas[step]).to(state)
                    single = state[:, :, group] + change * velocity[:, :, group]
                    stepped[:, :, group] = torch.where(written, single, stepped[:, :, group])
                    _forget(scheduler, written, state[:, :, group], clean_estimate[:, :, group])
        state = stepped
        if progress is not None:
            progress(index + 1, evaluations)

    pipe.maybe_free_model_hooks()
    return state[plan[-1].of_stream]


def prepare_order(pipe: WanImageToVideoPipeline, order: str, steps: int, frames: int, height: int, width: int) -> Order:
    """The timetable of a run of this pipeline, its given frame left out.

    Raises
    ------
    Refused
        A shape or order that this pipeline cannot take.
    """
    refuse_shape(
        pipe.name_or_path or "pipeline",
        temporal_factor=pipe.vae_scale_factor_temporal,
        spatial_factor=pipe.vae_scale_factor_spatial,
        patch_size=_first_network(pipe).config.patch_size,
        frames=frames,
        height=height,
        width=width,
    )
    ti2v = pipeline_form(pipe) == "ti2v"
    timetable = build_order(order, (frames - 1) // pipe.vae_scale_factor_temporal + 1, steps)
    if not ti2v and not timetable.active.all():
        raise Refused("sampling", "order", order, "joint; others need one timestep a token (ti2v form)")
    return _give_first_frame(timetable, steps) if ti2v else timetable


def count_evaluations(streams: Sequence[Stream], timetable: Order) -> int:
    """Evaluations of single states that `sample` makes of these streams; guidance doubles them."""
    plan = share_rows(
        [stream.start for stream in streams], [stream.interventions for stream in streams], len(timetable.active)
    )
    return sum(map(len, plan))


def _distinct(streams: Sequence[Stream]) -> list[Stream]:
    """The first stream of each start, in order."""
    first: dict[tuple, Stream] = {}
    for stream in streams:
        first.setdefault(stream.start, stream)
    return list(first.values())


def _first_network(pipe: WanImageToVideoPipeline) -> torch.nn.Module:
    return pipe.transformer if pipe.transformer is not None else pipe.transformer_2


def _refuse_interventions(
    pipe: WanImageToVideoPipeline, streams: Sequence[Stream], timetable: Order, height: int, width: int, guided: bool
) -> None:
    side = pipe.vae_scale_factor_spatial
    networks = [network for network in (pipe.transformer, pipe.transformer_2) if network is not None]
    for stream in streams:
        check_interventions(
            stream.interventions,
            f"case {stream.case_id}",
            streams=len(streams),
            evaluations=len(timetable.active),
            latent_shape=(pipe.vae.config.z_dim, timetable.active.shape[1], height // side, width // side),
            layers=min(len(network.blocks) for network in networks),
            given_frame=pipeline_form(pipe) == "ti2v",
            passes=PASSES if guided else PASSES[:1],
        )


def _refuse_options(
    pipe: WanImageToVideoPipeline, streams: Sequence[Stream], guidance_scale_2: float | None, max_sequence_length: int
) -> None:
    if not streams:
        raise Refused("sampling", "streams", "none", "at least one")
    for stream in streams:
        image = stream.image
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise Refused(f"case {stream.case_id}", "image", f"{image.dtype} {image.shape}", "uint8 (height, width, 3)")
    if guidance_scale_2 is not None and pipe.config.boundary_ratio is None:
        raise Refused("sampling", "guidance_scale_2", guidance_scale_2, "none: the pipeline has no boundary_ratio")
    if _takes_image_embeds(pipe) and max_sequence_length != IMAGE_CONTEXT_TEXT_LENGTH:
        raise Refused(
            "sampling", "max_sequence_length", max_sequence_length, f"{IMAGE_CONTEXT_TEXT_LENGTH} with an image encoder"
        )


def _prepare_schedule(scheduler: SchedulerMixin, steps: int, device: torch.device) -> SchedulerMixin:
    """A copy of the scheduler, set to `steps`; refused where ``x0 = x - sigma v`` or the seed would not hold."""
    name = type(scheduler).__name__
    config = scheduler.config
    if not config.get("use_flow_sigmas", True) or config.get("prediction_type", "flow_prediction") != "flow_prediction":
        raise Refused(name, "prediction_type", config.get("prediction_type"), "flow_prediction with use_flow_sigmas")
    if config.get("stochastic_sampling", False):
        raise Refused(name, "stochastic_sampling", True, "False: its noise follows no stream's seed")
    schedule = copy.deepcopy(scheduler)
    schedule.set_timesteps(steps, device=device)
    if len(schedule.timesteps) != steps:
        raise Refused(name, "timesteps", f"{len(schedule.timesteps)} for {steps} steps", "a scheduler with one a step")
    return schedule


def _give_first_frame(order: Order, steps: int) -> Order:
    step_index, active = order.step_index.copy(), order.active.copy()
    step_index[:, 0], active[:, 0] = steps, False
    if not active.any():
        raise Refused("sampling", "frames", 1, "more than the first frame, which is given")
    return Order(order.name, step_index, active)


def _encode_prompts(pipe: WanImageToVideoPipeline, prompts: list[str], max_sequence_length: int) -> torch.Tensor:
    # One by one, each text once: an embedding must not depend on which other texts are in the batch.
    embeds = {
        prompt: pipe.encode_prompt(prompt, do_classifier_free_guidance=False, max_sequence_length=max_sequence_length)
        for prompt in dict.fromkeys(prompts)
    }
    return torch.cat([embeds[prompt][0] for prompt in prompts])


def _takes_image_embeds(pipe: WanImageToVideoPipeline) -> bool:
    return pipe.transformer is not None and pipe.transformer.config.image_dim is not None


def _encode_images(pipe: WanImageToVideoPipeline, streams: Sequence[Stream]) -> torch.Tensor | None:
    if not _takes_image_embeds(pipe):
        return None
    return torch.cat([pipe.encode_image(Image.fromarray(stream.image)) for stream in streams])


def _prepare_states(
    pipe: WanImageToVideoPipeline, streams: Sequence[Stream], frames: int, height: int, width: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Initial noise and condition, stream by stream: the pipeline itself has one image for a whole batch."""
    states, conditions = [], []
    for stream in streams:
        image = pipe.video_processor.preprocess(Image.fromarray(stream.image), height=height, width=width)
        state, condition = pipe.prepare_latents(
            image.to(device, dtype=torch.float32),
            1,
            pipe.vae.config.z_dim,
            height,
            width,
            frames,
            torch.float32,
            device,
            torch.Generator("cpu").manual_seed(stream.seed),
        )[:2]
        states.append(state)
        conditions.append(condition)
    return torch.cat(states), torch.cat(conditions)


def _forget(
    scheduler: SchedulerMixin, written: torch.Tensor, state: torch.Tensor, clean_estimate: torch.Tensor
) -> None:
    """Let a multistep scheduler start anew where a state was written.

    Its corrector would otherwise rebuild the state of before from what it remembers, and so undo the intervention.
    """
    if getattr(scheduler, "last_sample", None) is not None:
        scheduler.last_sample = torch.where(written, state, scheduler.last_sample)
    scheduler.model_outputs = [
        each if each is None else torch.where(written, clean_estimate, each) for each in scheduler.model_outputs
    ]


def _take_rows(scheduler: SchedulerMixin, rows: np.ndarray) -> None:
    """Take over what a multistep scheduler remembers of each state: its only tensors of five axes."""

    def taken(value: object) -> object:
        if isinstance(value, list):
            return [taken(each) for each in value]
        return value[rows] if isinstance(value, torch.Tensor) and value.ndim == 5 else value

    for name, value in vars(scheduler).items():
        setattr(scheduler, name, taken(value))


def _evaluate(
    network: torch.nn.Module,
    context: str,
    network_input: torch.Tensor,
    timestep: torch.Tensor,
    text_embeds: torch.Tensor,
    image_embeds: torch.Tensor | None,
) -> torch.Tensor:
    one_text = torch.equal(text_embeds, text_embeds[:1].expand_as(text_embeds))
    with network.cache_context(context), fast_kernels(network, network_input.device, one_text):
        return network(
            hidden_states=network_input,
            timestep=timestep,
            encoder_hidden_states=text_embeds,
            encoder_hidden_states_image=image_embeds,
            return_dict=False,
        )[0]


def _describe(
    index: int,
    sigma: torch.Tensor,
    timestep: torch.Tensor,
    active: torch.Tensor,
    state: torch.Tensor,
    velocity: torch.Tensor,
) -> Moment:
    along_frames = (1, 1, -1, 1, 1)
    estimate = state - sigma.view(along_frames) * velocity
    clean_estimate = torch.where(active.view(along_frames), estimate, state)
    return Moment(index, sigma, timestep, active, state, velocity, clean_estimate)
