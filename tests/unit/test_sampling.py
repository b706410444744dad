"""The sampling loop against the pipeline's own call, the schedulers' own steps and a frame-by-frame loop by hand."""

from __future__ import annotations

import contextlib
import copy

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler
from diffusers.models.transformers.transformer_wan import WanAttnProcessor
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from chainofsteps.models.check import check_fit, check_folder
from chainofsteps.models.frame_wise import causal_convolutions, is_frame_wise
from chainofsteps.models.load import load_pipeline, pipeline_form
from chainofsteps.refusal import Refused
from chainofsteps.sampling import loop
from chainofsteps.sampling.decode import TrajectoryDecoder, decode
from chainofsteps.sampling.kernels import fast_kernels
from chainofsteps.sampling.loop import Stream, sample
from chainofsteps.sampling.orders import ORDERS, build_order
from tests.folders import INDEX, write_json, write_model

FORMS = ("single", "two_networks", "ti2v")
STEPS = 4
SHAPE = {"frames": 9, "height": 32, "width": 32}
PROMPT = "solve the maze"
NEGATIVE = "blurred"


def make_stream(number: int, prompt: str = PROMPT) -> Stream:
    image = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    return Stream(f"case-{number}", image, prompt, seed=number)


def call_pipeline(pipe, stream, guidance_scale=1.0, output_type="latent", **options):
    pipe.set_progress_bar_config(disable=True)
    # At temporal factor 1 the pipeline makes one frame more than it is asked for.
    frames = SHAPE["frames"] - (pipe.vae_scale_factor_temporal == 1)
    return pipe(
        Image.fromarray(stream.image),
        stream.prompt,
        NEGATIVE,
        height=SHAPE["height"],
        width=SHAPE["width"],
        num_frames=frames,
        num_inference_steps=STEPS,
        guidance_scale=guidance_scale,
        generator=torch.Generator("cpu").manual_seed(stream.seed),
        output_type=output_type,
        **options,
    ).frames


def with_scheduler(pipe, scheduler):
    other = copy.copy(pipe)
    other.scheduler = scheduler
    return other


@pytest.fixture
def own_kernels(monkeypatch):
    """The loop with the network's own kernels, so that its arithmetic alone is held against the pipeline's."""
    monkeypatch.setattr(loop, "fast_kernels", lambda *given: contextlib.nullcontext())


def assert_near(given, expected, atol=1e-5):
    torch.testing.assert_close(given, expected, rtol=0, atol=atol)


@pytest.mark.parametrize("guidance_scale", [1.0, 3.0])
@pytest.mark.parametrize("scheduler", ["euler", "unipc"])
@pytest.mark.parametrize("form", FORMS)
def test_joint_order_is_the_pipelines_own_call(tiny_pipeline, own_kernels, form, scheduler, guidance_scale):
    pipe = tiny_pipeline(form, scheduler)
    stream = make_stream(3)
    expected = call_pipeline(pipe, stream, guidance_scale)
    given = sample(pipe, [stream], "joint", STEPS, **SHAPE, guidance_scale=guidance_scale, negative_prompt=NEGATIVE)
    if form == "ti2v":
        # The given frame is left out of the scheduler's arithmetic, so the last bit may round otherwise.
        assert_near(given, expected, atol=1e-6)
    else:
        assert torch.equal(given, expected)


def test_second_guidance_scale_is_the_pipelines_own(tiny_pipeline, own_kernels):
    pipe = tiny_pipeline("two_networks")
    stream = make_stream(3)
    scales = {"guidance_scale": 3.0, "guidance_scale_2": 5.0}
    given = sample(pipe, [stream], "joint", STEPS, **SHAPE, **scales, negative_prompt=NEGATIVE)
    assert torch.equal(given, call_pipeline(pipe, stream, **scales))
    assert not torch.equal(given, call_pipeline(pipe, stream, guidance_scale=3.0))


def fast_blocks(network, device="cpu"):
    """Which blocks compute with the loop's kernels."""
    with fast_kernels(network, torch.device(device)):
        fast = ["forward" in vars(block) for block in network.blocks]
    return fast


@pytest.mark.parametrize("form", FORMS)
def test_fast_kernels_answer_as_the_networks_own(tiny_pipeline, form):
    pipe = tiny_pipeline(form)
    assert_near(sample(pipe, [make_stream(3)], "joint", STEPS, **SHAPE), call_pipeline(pipe, make_stream(3)))
    assert all(fast_blocks(pipe.transformer))
    with pytest.raises(ZeroDivisionError), fast_kernels(pipe.transformer, torch.device("cpu")):
        raise ZeroDivisionError
    assert not any("forward" in vars(block) for block in pipe.transformer.blocks)


@pytest.mark.parametrize(
    ("prompts", "length", "attentions"),
    [([PROMPT] * 3, 12, 0), ([PROMPT] * 3, 512, 1), ([PROMPT, "fill the gap", PROMPT], 12, 1)],
    ids=["one text", "one long text", "two texts"],
)
def test_fast_kernels_answer_as_the_networks_own_whatever_the_texts(
    tiny_pipeline, monkeypatch, prompts, length, attentions
):
    pipe = tiny_pipeline("ti2v")
    streams = [make_stream(seed, prompt) for seed, prompt in enumerate(prompts)]
    expected = torch.cat([call_pipeline(pipe, stream, max_sequence_length=length) for stream in streams])
    counted, own = [], WanAttnProcessor.__call__
    monkeypatch.setattr(WanAttnProcessor, "__call__", lambda *given: counted.append(1) or own(*given))
    assert_near(sample(pipe, streams, "joint", STEPS, **SHAPE, max_sequence_length=length), expected)
    assert len(counted) == attentions * STEPS * len(pipe.transformer.blocks)


@pytest.mark.parametrize("one_text", [True, False])
@pytest.mark.parametrize("a_token", [True, False], ids=["a timestep a token", "one timestep"])
@pytest.mark.parametrize("normed", [True, False], ids=["normed", "no norm before the context"])
def test_fast_kernels_write_into_nothing_that_was_given(tiny_pipeline, one_text, a_token, normed):
    """A block's input is another's output, which hooks read after it."""
    network = copy.deepcopy(tiny_pipeline("ti2v").transformer)
    block, width = network.blocks[0], network.config.num_attention_heads * network.config.attention_head_dim
    if not normed:
        block.norm2 = torch.nn.Identity()
    rng = torch.Generator().manual_seed(0)
    angle = torch.rand(1, 6, 1, network.config.attention_head_dim // 2, generator=rng).repeat_interleave(2, -1)
    given = [
        torch.randn(2, 6, width, generator=rng),
        torch.randn(1, 5, width, generator=rng).repeat(2, 1, 1),
        torch.randn(*((1, 6) if a_token else (2,)), 6, width, generator=rng),
        (angle.cos(), angle.sin()),
    ]
    before = copy.deepcopy(given)
    with torch.no_grad():
        expected = block(*given)
        with fast_kernels(network, torch.device("cpu"), one_text):
            assert "forward" in vars(block)
            assert_near(block(*given), expected)
    assert all(map(torch.equal, [*given[:3], *given[3]], [*before[:3], *before[3]]))


def test_fast_kernels_leave_other_networks_alone(tiny_pipeline):
    network = tiny_pipeline("ti2v").transformer
    assert not any(fast_blocks(copy.deepcopy(network).to(torch.bfloat16)))
    # Offloaded weights lie on the CPU until a hook inside the call moves them.
    assert not any(fast_blocks(network, "cuda:0"))


class Other(WanAttnProcessor):
    """An attention that someone put in."""


def adapt(module, name):
    """As an adapter puts itself in the place of a layer."""
    setattr(module, name, torch.nn.Sequential(getattr(module, name)))


CHANGES = {
    "up": lambda block: adapt(block.ffn.net[0], "proj"),
    "out": lambda block: adapt(block.attn1.to_out, "0"),
    "query": lambda block: adapt(block.attn2, "to_q"),
    "attention": lambda block: setattr(block, "attn2", torch.nn.Identity()),
    "feed-forward": lambda block: setattr(block, "ffn", torch.nn.Identity()),
    "norm": lambda block: setattr(block, "norm3", torch.nn.Identity()),
    "norm of keys": lambda block: setattr(block.attn1, "norm_k", torch.nn.Identity()),
    "activation": lambda block: setattr(block.ffn.net[0], "approximate", "none"),
    "processor": lambda block: block.attn2.set_processor(Other()),
    "projections": lambda block: block.attn1.fuse_projections(),
    "hook": lambda block: block.attn1.register_forward_hook(lambda *given: None),
    "hook before": lambda block: block.ffn.register_forward_pre_hook(lambda *given: None),
    "forward of a part": lambda block: setattr(block.attn2, "forward", block.attn2.forward),
    # As accelerate puts itself there.
    "forward": lambda block: setattr(block, "forward", block.forward),
    "dtype": lambda block: block.ffn.double(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_fast_kernels_leave_a_block_alone_that_is_not_plain(tiny_pipeline, change):
    network = copy.deepcopy(tiny_pipeline("ti2v").transformer)
    change(network.blocks[0])
    before = vars(network.blocks[0]).get("forward")
    with fast_kernels(network, torch.device("cpu")):
        assert vars(network.blocks[0]).get("forward") is before
        assert all("forward" in vars(block) for block in network.blocks[1:])
    assert vars(network.blocks[0]).get("forward") is before


@pytest.mark.parametrize("form", FORMS)
def test_low_precision_is_the_pipelines_own(tiny_pipeline, form):
    pipe = copy.deepcopy(tiny_pipeline(form, "euler"))
    for network in (pipe.transformer, pipe.transformer_2):
        if network is not None:
            network.to(torch.bfloat16)
    stream = make_stream(3)
    given = sample(pipe, [stream], "joint", STEPS, **SHAPE)
    assert given.dtype == torch.float32
    assert_near(given, call_pipeline(pipe, stream).float())


@pytest.mark.parametrize("form", FORMS)
def test_a_batch_of_unlike_streams_is_each_stream_alone(tiny_pipeline, form):
    pipe = tiny_pipeline(form)
    streams = [make_stream(1), make_stream(2, "fill the gap"), make_stream(3)]
    options = SHAPE | {"guidance_scale": 3.0}
    for order in ORDERS if form == "ti2v" else ["joint"]:
        together = sample(pipe, streams, order, 2, **options)
        alone = torch.cat([sample(pipe, [stream], order, 2, **options) for stream in streams])
        assert_near(together, alone)
        assert (alone[0] - alone[1]).abs().max() > 0.1


def test_sampling_leaves_the_pipeline_as_it_was(tiny_pipeline):
    pipe = tiny_pipeline("ti2v", "unipc")
    call_pipeline(pipe, make_stream(2))
    step_index, last_sample = pipe.scheduler.step_index, pipe.scheduler.last_sample
    first = sample(pipe, [make_stream(1)], "frame_by_frame", 2, **SHAPE)
    assert pipe.scheduler.step_index == step_index
    assert pipe.scheduler.last_sample is last_sample
    # Nothing of the run before is left in the copies either.
    unused = with_scheduler(pipe, type(pipe.scheduler).from_config(pipe.scheduler.config))
    assert torch.equal(first, sample(unused, [make_stream(1)], "frame_by_frame", 2, **SHAPE))


@pytest.mark.parametrize("form", FORMS)
def test_decode_is_the_pipelines_own(tiny_pipeline, form):
    pipe = tiny_pipeline(form)
    stream = make_stream(3)
    expected = np.round(call_pipeline(pipe, stream, output_type="np") * 255).astype(np.uint8)
    latents = sample(pipe, [stream], "joint", STEPS, **SHAPE)
    given = decode(pipe, latents.repeat(3, 1, 1, 1, 1), batch=2)
    assert given.dtype == np.uint8 and given.shape == (3, 9, 32, 32, 3)
    assert np.abs(given.astype(int) - expected).max() <= 1
    # These VAEs compress time and see earlier frames: every step is decoded whole.
    decoder = TrajectoryDecoder(pipe, batch=2)
    for each in (latents, -latents):
        assert np.array_equal(decoder(each), decode(pipe, each, batch=2))


@pytest.mark.parametrize(
    ("form", "frames", "needed"),
    [("two_networks", [0, 3, 4], 2), ("single", [0, 5], 3), ("ti2v", [0, 2, 5], 6), ("frame_wise", [0, 2, 5], 3)],
)
def test_chosen_frames_are_those_of_whole_videos_and_nothing_behind_them_is_decoded(
    build_pipeline, monkeypatch, form, frames, needed
):
    pipe = build_pipeline("ti2v" if form == "frame_wise" else form)
    if form == "frame_wise":
        for convolution in causal_convolutions(pipe.vae):
            convolution.weight.data[:, :, :-1] = 0
    assert is_frame_wise(pipe.vae) == (form == "frame_wise")
    latents = torch.randn(3, pipe.vae.config.z_dim, 8 // pipe.vae_scale_factor_temporal + 1, 4, 4)
    whole = decode(pipe, latents, batch=2)
    counted, undisturbed = [], pipe.vae.decode

    def count(latents, **given):
        counted.append(latents.shape[0] * latents.shape[2])
        return undisturbed(latents, **given)

    monkeypatch.setattr(pipe.vae, "decode", count)
    assert np.array_equal(decode(pipe, latents, 2, frames), whole[:, frames])
    assert sum(counted) == 3 * needed
    decoder = TrajectoryDecoder(pipe, 2, frames)
    for each in (latents, -latents):
        assert np.array_equal(decoder(each), decode(pipe, each, 2)[:, frames])


def test_latents_of_480p_are_decoded_in_tiles_and_up_to_the_last_frame_that_is_chosen(build_pipeline):
    pipe = build_pipeline("two_networks")
    torch.manual_seed(0)
    vae = AutoencoderKLWan(
        base_dim=2, z_dim=16, dim_mult=[1] * 4, num_res_blocks=0, temperal_downsample=[False, True, True]
    )
    # Attention spans a tile, or the picture. Without it a tile is exact but for its borders.
    for attention in vae.decoder.mid_block.attentions:
        torch.nn.init.zeros_(attention.proj.weight)
        torch.nn.init.zeros_(attention.proj.bias)
    pipe.register_modules(vae=vae.eval())
    latents = torch.randn(1, 16, 2, 60, 104)
    undivided = decode(pipe, latents, 1).astype(int)
    pipe.vae.enable_tiling()
    tiled = decode(pipe, latents, 1)
    assert tiled.shape == undivided.shape == (1, 5, 480, 832, 3)
    assert np.array_equal(decode(pipe, latents, 1, [0]), tiled[:, :1])
    # Tiles of 256 pixels begin at each 192nd; convolutions reach 80 beyond a border, and blending less.
    rows, columns = (
        np.flatnonzero([pixel < 176 or 80 <= pixel % 192 < 176 for pixel in range(side)]) for side in (480, 832)
    )
    inside = np.ix_([0], range(5), rows, columns)
    assert np.abs(tiled[inside] - undivided[inside]).max() <= 1
    assert np.abs(tiled - undivided).max() > 1  # at borders


@pytest.mark.parametrize("form", FORMS)
def test_clean_estimate_is_the_schedulers_step_to_sigma_zero(tiny_pipeline, form):
    pipe = tiny_pipeline(form)
    moments = []
    sample(pipe, [make_stream(3)], "joint", STEPS, **SHAPE, guidance_scale=3.0, observers=[moments.append])
    assert [moment.index for moment in moments] == list(range(STEPS))
    for moment in moments:
        scheduler = copy.deepcopy(pipe.scheduler)
        scheduler.set_timesteps(STEPS)
        scheduler.sigmas[moment.index + 1] = 0.0
        expected = scheduler.step(moment.velocity, scheduler.timesteps[moment.index], moment.state).prev_sample
        assert_near(moment.clean_estimate[:, :, moment.active], expected[:, :, moment.active])


def test_clean_estimate_is_the_multistep_schedulers_own(tiny_pipeline):
    pipe = tiny_pipeline("single", "unipc")
    moments = []
    sample(pipe, [make_stream(3)], "joint", STEPS, **SHAPE, observers=[moments.append])
    for moment in moments:
        scheduler = copy.deepcopy(pipe.scheduler)
        scheduler.set_timesteps(STEPS)
        scheduler._step_index = moment.index
        assert_near(moment.clean_estimate, scheduler.convert_model_output(moment.velocity, sample=moment.state))


@pytest.mark.parametrize("order", list(ORDERS))
def test_the_given_frame_is_the_condition_throughout(tiny_pipeline, order):
    pipe = tiny_pipeline("ti2v")
    moments = []
    latents = sample(pipe, [make_stream(3)], order, 2, **SHAPE, observers=[moments.append])
    for moment in moments:
        assert moment.sigma[0] == moment.timestep[0] == 0 and not moment.active[0]
        assert torch.equal(moment.state[:, :, 0], latents[:, :, 0])
        assert torch.equal(moment.clean_estimate[:, :, 0], latents[:, :, 0])


@pytest.mark.parametrize("scheduler", ["euler", "unipc"])
def test_frame_by_frame_commits_one_frame_after_another(tiny_pipeline, scheduler):
    pipe = tiny_pipeline("ti2v", scheduler)
    moments, calls = [], []
    latents = sample(
        pipe,
        [make_stream(3)],
        "frame_by_frame",
        STEPS,
        **SHAPE,
        observers=[moments.append],
        progress=lambda done, total: calls.append((done, total)),
    )
    evaluations = 8 * STEPS
    assert calls == [(done, evaluations) for done in range(1, evaluations + 1)]
    noise = moments[0].state
    for moment in moments:
        frame = 1 + moment.index // STEPS
        assert moment.active.nonzero().flatten().tolist() == [frame]
        assert torch.equal(moment.state[:, :, :frame], latents[:, :, :frame])
        assert torch.equal(moment.state[:, :, frame + 1 :], noise[:, :, frame + 1 :])
        for still in (slice(frame), slice(frame + 1, None)):
            assert torch.equal(moment.clean_estimate[:, :, still], moment.state[:, :, still])
        assert (moment.sigma[:frame] == 0).all() and (moment.timestep[:frame] == 0).all()
        assert (moment.sigma[frame + 1 :] == moments[0].sigma[1]).all()
        assert (moment.timestep[frame + 1 :] == moments[0].timestep[1]).all()
    # Each frame has its own scheduler: replaying one frame's velocities on a fresh one gives that frame.
    for frame in (1, 2, 8):
        fresh = copy.deepcopy(pipe.scheduler)
        fresh.set_timesteps(STEPS)
        state = noise[:, :, [frame]]
        for t, moment in zip(fresh.timesteps, moments[(frame - 1) * STEPS :], strict=False):
            state = fresh.step(moment.velocity[:, :, [frame]], t, state).prev_sample
        assert_near(state, latents[:, :, [frame]])


@torch.no_grad()
def test_frame_by_frame_is_a_loop_written_by_hand(tiny_pipeline):
    pipe = tiny_pipeline("ti2v")
    stream = make_stream(3)
    moments = []
    given = sample(pipe, [stream], "frame_by_frame", STEPS, **SHAPE, observers=[moments.append])

    text, _ = pipe.encode_prompt(stream.prompt, do_classifier_free_guidance=False, max_sequence_length=512)
    scheduler = copy.deepcopy(pipe.scheduler)
    scheduler.set_timesteps(STEPS)
    state = moments[0].state.clone()
    for frame in range(1, 9):
        for t, sigma, next_sigma in zip(scheduler.timesteps, scheduler.sigmas, scheduler.sigmas[1:], strict=False):
            timestep = torch.full((9, 4, 4), float(scheduler.timesteps[0]))
            timestep[:frame] = 0
            timestep[frame] = t
            velocity = pipe.transformer(state, timestep.flatten()[None], text, return_dict=False)[0]
            state[:, :, frame] += (next_sigma - sigma) * velocity[:, :, frame]
    assert_near(given, state)


def test_load_pipeline_gives_back_what_was_saved(tiny_pipeline, tmp_path):
    for form in FORMS:
        pipe = tiny_pipeline(form)
        pipe.save_pretrained(tmp_path / form, safe_serialization=True)
        check_fit(tmp_path / form, **SHAPE)
        loaded = load_pipeline(tmp_path / form)
        assert pipeline_form(loaded) == pipeline_form(pipe) == form
        latents = [sample(each, [make_stream(3)], "joint", 2, **SHAPE) for each in (pipe, loaded)]
        # Not bit for bit: weights read from a file lie unaligned in memory, and the kernels then sum in another order.
        assert_near(*latents)
    half = load_pipeline(tmp_path / "ti2v", torch.bfloat16)
    assert (half.transformer.dtype, half.text_encoder.dtype, half.vae.dtype) == (
        torch.bfloat16,
        torch.bfloat16,
        torch.float32,
    )


@given(st.integers(1, 12), st.integers(1, 12))
def test_joint_order_moves_all_frames_one_step_an_evaluation(latent_frames, steps):
    order = build_order("joint", latent_frames, steps)
    assert order.step_index.shape == order.active.shape == (steps, latent_frames)
    assert order.active.all()
    assert (order.step_index == np.arange(steps)[:, None]).all()
    assert [group.tolist() for group in order.groups] == [list(range(latent_frames))]


@given(st.sampled_from(sorted(ORDERS)), st.integers(2, 12), st.integers(1, 12))
def test_every_order_takes_each_moving_frame_through_the_whole_schedule(name, latent_frames, steps):
    order = build_order(name, latent_frames, steps)
    after = order.step_index + order.active
    assert (order.step_index[1:] == after[:-1]).all()
    assert (after[-1] == steps).all()
    assert order.active.any(axis=1).all()
    assert (order.active.sum(axis=0) == steps - order.step_index[0]).all()
    moving = sorted(np.concatenate(order.groups).tolist())
    assert moving == np.flatnonzero(order.active.any(axis=0)).tolist()


@given(st.integers(2, 12), st.integers(1, 12))
def test_frame_by_frame_order_has_one_scheduler_a_frame(latent_frames, steps):
    order = build_order("frame_by_frame", latent_frames, steps)
    assert len(order.active) == (latent_frames - 1) * steps
    assert (order.active.sum(axis=1) == 1).all()
    assert (order.step_index[:, 0] == steps).all()
    assert sorted(group.tolist() for group in order.groups) == [[frame] for frame in range(1, latent_frames)]


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("latent_frames", [2, 3, 5, 6, 9, 21])
def test_shuffled_order_is_frame_by_frame_in_turns_that_have_nothing_to_do_with_time(latent_frames, steps):
    shuffled, in_time = (
        build_order("shuffled", latent_frames, steps),
        build_order("frame_by_frame", latent_frames, steps),
    )
    first = shuffled.active.argmax(axis=0)[1:]
    assert sorted(first) == sorted(in_time.active.argmax(axis=0)[1:])
    # The same frames' timetables, each at another place.
    turns = np.concatenate([[0], 1 + first // steps])
    assert np.array_equal(shuffled.step_index, in_time.step_index[:, turns])
    assert np.array_equal(shuffled.active, in_time.active[:, turns])
    assert np.array_equal(shuffled.step_index, build_order("shuffled", latent_frames, steps).step_index)
    if latent_frames > 4:
        assert abs(np.corrcoef(first, np.arange(len(first)))[0, 1]) < 0.05


@given(st.integers(2, 12), st.integers(1, 12))
def test_pyramid_order_keeps_each_frame_one_step_behind_the_one_before(latent_frames, steps):
    order = build_order("pyramid", latent_frames, steps)
    assert len(order.active) == steps + latent_frames - 2
    assert (order.step_index[0, 1:] == 0).all() and (order.step_index[:, 0] == steps).all()
    earlier, later = order.active[:, 1:-1], order.active[:, 2:]
    assert np.array_equal(earlier[:-1], later[1:]) and not later[0].any()
    both = earlier & later
    assert (order.step_index[:, 1:-1][both] == order.step_index[:, 2:][both] + 1).all()


@pytest.mark.parametrize(
    ("form", "order", "changes", "message"),
    [
        ("ti2v", "backwards", {}, "sampling: order: given backwards; accepted: joint, frame_by_frame"),
        ("single", "frame_by_frame", {}, "accepted: joint"),
        ("single", "frame_by_frame", {"frames": 5}, "accepted: joint"),
        ("two_networks", "frame_by_frame", {}, "accepted: joint"),
        ("ti2v", "joint", {"steps": 0}, "order joint: steps: given 0; accepted: at least 1"),
        ("ti2v", "joint", {"frames": 0}, "frames: given 0"),
        ("ti2v", "joint", {"frames": 1}, "frames: given 1; accepted: more than the first frame"),
        ("ti2v", "frame_by_frame", {"frames": 1}, "latent_frames: given 1; accepted: at least 2"),
        ("single", "joint", {"frames": 10}, r"frames: given 10; accepted: 1 \+ a multiple of 4"),
        ("ti2v", "joint", {"height": 36}, "height: given 36; accepted: a multiple of 8"),
        ("single", "joint", {"width": 40}, "width: given 40; accepted: a multiple of 16"),
        ("single", "joint", {"guidance_scale_2": 3.0}, "guidance_scale_2: given 3.0"),
        ("single", "joint", {"max_sequence_length": 64}, "max_sequence_length: given 64; accepted: 512"),
        ("ti2v", "joint", {"streams": []}, "streams: given none"),
        (
            "ti2v",
            "joint",
            {"streams": [Stream("a", np.zeros((32, 32, 3)), PROMPT, 0)]},
            r"case a: image: given float64 \(32, 32, 3\)",
        ),
    ],
)
def test_what_the_pipeline_cannot_take_is_refused(tiny_pipeline, form, order, changes, message):
    options = {"streams": [make_stream(1)], "steps": 2} | SHAPE | changes
    with pytest.raises(Refused, match=message) as refusal:
        sample(tiny_pipeline(form), order=order, **options)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("scheduler", "message"),
    [
        (UniPCMultistepScheduler(), "prediction_type"),
        (UniPCMultistepScheduler(prediction_type="flow_prediction"), "use_flow_sigmas"),
        (FlowMatchEulerDiscreteScheduler(stochastic_sampling=True), "stochastic_sampling"),
    ],
)
def test_a_scheduler_that_breaks_the_clean_estimate_or_the_seed_is_refused(tiny_pipeline, tmp_path, scheduler, message):
    pipe = with_scheduler(tiny_pipeline("ti2v"), scheduler)
    with pytest.raises(Refused, match=message):
        sample(pipe, [make_stream(1)], "joint", 2, **SHAPE)
    # And in its folder, before weights are read.
    folder = write_model(tmp_path / "model")
    write_json(folder / "model_index.json", INDEX | {"scheduler": ["diffusers", type(scheduler).__name__]})
    scheduler.save_pretrained(folder / "scheduler")
    with pytest.raises(Refused, match=message):
        check_folder(folder)


@pytest.mark.parametrize("name", ["euler", "unipc"])
def test_a_scheduler_that_the_loop_follows_is_accepted_in_its_folder(build_pipeline, tmp_path, name):
    build_pipeline("ti2v", name).save_pretrained(tmp_path)
    check_folder(tmp_path)
