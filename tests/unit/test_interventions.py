"""Interventions in the sampling loop against direct formulas and networks called by hand; which streams share rows."""

from __future__ import annotations

import itertools
from contextlib import ExitStack

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from chainofsteps.refusal import Refused
from chainofsteps.sampling.interventions import (
    PASSES,
    BlockIntervention,
    EstimateIntervention,
    StateIntervention,
)
from chainofsteps.sampling.loop import Stream, count_evaluations, prepare_order, sample
from chainofsteps.sampling.sharing import share_rows, split_rows

FORMS = ("single", "two_networks", "ti2v")
LAST_LAYER = 1
STEPS = 4
SHAPE = {"frames": 9, "height": 32, "width": 32}
# Latent frames, rows and columns of tokens.
GRIDS = {"single": (3, 2, 2), "two_networks": (3, 2, 2), "ti2v": (9, 4, 4)}
# Channels, latent frames, rows and columns of latents.
SHAPES = {"single": (16, 3, 4, 4), "two_networks": (16, 3, 4, 4), "ti2v": (8, 9, 8, 8)}

state_of = StateIntervention
block_of = BlockIntervention
estimate_of = EstimateIntervention


def make_stream(number, *interventions, image=None):
    rng = np.random.default_rng(number if image is None else image)
    pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    return Stream(f"case-{number}", pixels, "solve the maze", number, interventions)


def run(pipe, streams, order="joint", steps=STEPS, observers=(), **options):
    moments = []
    # Short texts are fast; an image encoder takes none.
    options["max_sequence_length"] = 16 if pipe.image_encoder is None else 512
    latents = sample(pipe, streams, order, steps, **SHAPE, observers=[moments.append, *observers], **options)
    return latents, moments


def networks_of(pipe):
    return [network for network in (pipe.transformer, pipe.transformer_2) if network is not None]


def record_inputs(pipe, streams, **options):
    """What each call of a network is given, in order: (network, keyword arguments)."""
    calls = []
    with ExitStack() as stack:
        for network in networks_of(pipe):
            handle = network.register_forward_pre_hook(
                lambda network, inputs, given: calls.append((network, given)), with_kwargs=True
            )
            stack.callback(handle.remove)
        _, moments = run(pipe, streams, **options)
    return calls, moments


def assert_near(given, expected, atol=1e-5):
    torch.testing.assert_close(given, expected, rtol=0, atol=atol)


# Streams that share rows


@pytest.mark.parametrize(("scheduler", "guidance_scale"), [("euler", 1.0), ("unipc", 3.0)])
@pytest.mark.parametrize("form", FORMS)
def test_streams_that_part_give_what_each_gives_alone(tiny_pipeline, form, scheduler, guidance_scale):
    pipe = tiny_pipeline(form, scheduler)
    options = {"guidance_scale": guidance_scale}
    # Parting in the middle of the batch, after the multistep scheduler has begun to remember.
    streams = [
        make_stream(1),
        make_stream(2),
        make_stream(1, state_of("replace", (2,), (1,))),
        make_stream(1, state_of("replace", (2,), (1,)), state_of("erase", (3,), (2,))),
        make_stream(2, state_of("resample", (3,), (1, 2))),
    ]
    alone = torch.cat([run(pipe, [stream], **options)[0] for stream in streams])
    for batch in (None, 2):
        assert_near(run(pipe, streams, batch=batch, **options)[0], alone)
    for one, other in itertools.combinations(alone, 2):
        assert (one - other).abs().max() > 1e-3


@pytest.mark.parametrize("guidance_scale", [1.0, 3.0])
@pytest.mark.parametrize("form", FORMS)
def test_shared_steps_are_evaluated_once(tiny_pipeline, form, guidance_scale):
    pipe = tiny_pipeline(form)
    common = state_of("replace", (1,), (1,))
    streams = [
        make_stream(1),
        make_stream(1),
        make_stream(1, common),
        make_stream(1, common, state_of("replace", (3,), (1,))),
    ]
    for batch in (None, 2):
        calls, _ = record_inputs(pipe, streams, guidance_scale=guidance_scale, batch=batch)
        rows = sum(len(given["hidden_states"]) for _, given in calls)
        evaluations = count_evaluations(streams, prepare_order(pipe, "joint", STEPS, **SHAPE))
        assert evaluations == 1 + 2 + 2 + 3
        assert rows == evaluations * (2 if guidance_scale > 1 else 1)


# State interventions


def test_replace_writes_standard_noise_whatever_the_level(tiny_pipeline):
    _, moments = run(tiny_pipeline("ti2v"), [make_stream(1, state_of("replace", (0, 3), tuple(range(1, 9))))])
    for step in (0, 3):
        written = moments[step].state[:, :, 1:]
        assert abs(written.mean()) < 0.05 and abs(written.std() - 1) < 0.05
    assert abs(torch.corrcoef(torch.stack([moments[step].state[0, :, 1:].flatten() for step in (0, 3)]))[0, 1]) < 0.05


@pytest.mark.parametrize("form", FORMS)
def test_the_noise_of_a_frame_depends_on_the_seeds_and_the_step_only(tiny_pipeline, form):
    step, frames = 2, (1, 2)
    streams = [
        make_stream(1, state_of("replace", (step,), frames, seed=5)),
        make_stream(1, state_of("replace", (1, step), (2,), seed=5)),
        make_stream(1, state_of("replace", (step,), frames, seed=6)),
        make_stream(2, state_of("replace", (step,), frames, seed=5)),
    ]
    _, moments = run(tiny_pipeline(form), streams)
    noise = moments[step].state
    assert torch.equal(noise[0, :, 2], noise[1, :, 2])
    different = [noise[0, :, 1], noise[0, :, 2], noise[2, :, 2], noise[3, :, 2], moments[1].state[1, :, 2]]
    for one, other in itertools.combinations(different, 2):
        assert (one - other).abs().mean() > 0.5


FORMULAS = {
    "erase": lambda state, noise, sigma, clean_estimate, latents: state.std() * noise,
    "resample": lambda state, noise, sigma, clean_estimate, latents: (1 - sigma) * clean_estimate + sigma * noise,
    "plant": lambda state, noise, sigma, clean_estimate, latents: (1 - sigma) * latents + sigma * noise,
}


@pytest.mark.parametrize("kind", list(FORMULAS))
@pytest.mark.parametrize(("form", "scheduler"), [("single", "euler"), ("two_networks", "unipc"), ("ti2v", "euler")])
def test_a_kind_is_its_formula_in_the_frames_named(tiny_pipeline, form, scheduler, kind):
    frames, step = (1, 2), 2
    latents = torch.randn(SHAPES[form], generator=torch.Generator().manual_seed(0)) + 2
    streams = [
        make_stream(1),
        make_stream(1, state_of("replace", (step,), frames, seed=5)),
        make_stream(1, state_of(kind, (step,), frames, seed=5, latents=latents if kind == "plant" else None)),
    ]
    _, moments = run(tiny_pipeline(form, scheduler), streams)
    clean, noise, given = moments[step].state
    for frame in range(SHAPES[form][1]):
        if frame in frames:
            sigma = moments[step].sigma[frame]
            estimate = moments[step - 1].clean_estimate[2, :, frame]
            expected = FORMULAS[kind](clean[:, frame], noise[:, frame], sigma, estimate, latents[:, frame])
            assert_near(given[:, frame], expected, atol=1e-6)
            assert (given[:, frame] - noise[:, frame]).abs().max() > 1e-3
        else:
            assert torch.equal(given[:, frame], clean[:, frame])
            assert torch.equal(noise[:, frame], clean[:, frame])
    assert torch.equal(moments[step - 1].state[2], moments[step - 1].state[0])


@pytest.mark.parametrize("form", FORMS)
def test_resample_before_the_first_step_is_pure_noise(tiny_pipeline, form):
    streams = [make_stream(1, state_of(kind, (0,), (1, 2), seed=5)) for kind in ("replace", "resample")]
    _, moments = run(tiny_pipeline(form), streams)
    assert moments[0].sigma[1] == 1
    assert torch.equal(moments[0].state[0], moments[0].state[1])


@pytest.mark.parametrize("form", FORMS)
def test_the_average_of_three_starts_keeps_the_variance_of_noise(tiny_pipeline, form):
    frames = (1, 2)
    streams = [
        # The first two are one row: donors are streams, not rows.
        *[make_stream(number) for number in (1, 1, 2, 3)],
        # Donors give their states of before the step.
        make_stream(2, state_of("replace", (0,), frames)),
        make_stream(1, state_of("average", (0,), frames, donors=(1, 4, 3))),
    ]
    state = run(tiny_pipeline(form), streams, batch=2)[1][0].state
    averaged = state[5][:, frames]
    assert_near(averaged, state[1:4].mean(dim=0)[:, frames] * 3**0.5)
    assert abs(averaged.std() - 1) < 0.1
    others = [frame for frame in range(state.shape[2]) if frame not in frames]
    assert torch.equal(state[5][:, others], state[0][:, others])


@pytest.mark.parametrize("form", FORMS)
def test_later_interventions_of_a_step_act_on_what_earlier_ones_left(tiny_pipeline, form):
    plant = state_of("plant", (2,), (1,), latents=torch.full(SHAPES[form], 9.0))
    erase = state_of("erase", (2,), (1,))
    streams = [make_stream(1, plant), make_stream(1, erase, plant), make_stream(1, plant, erase)]
    state = run(tiny_pipeline(form), streams)[1][2].state
    assert torch.equal(state[0], state[1])
    assert_near(state[2, :, 1].std(), state[0, :, 1].std(), atol=0.3)
    assert abs(state[2, :, 1].mean()) < 0.3 < state[0, :, 1].mean()


def correlation(one, other):
    return torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1]


@pytest.mark.parametrize(
    "scheduler",
    [
        "euler",
        "unipc",
    ],
)
def test_what_is_replaced_does_not_come_back(tiny_pipeline, scheduler):
    streams = [make_stream(1), make_stream(1, state_of("replace", (4,), tuple(range(1, 9))))]
    _, moments = run(tiny_pipeline("ti2v", scheduler), streams, steps=8)
    for moment in moments[4:]:
        clean, replaced = moment.state[:, :, 1:]
        assert correlation(replaced, clean) < 0.2


# Block interventions


@pytest.mark.parametrize("form", FORMS)
def test_an_update_is_what_the_donors_block_adds_to_the_streams_own_tokens(tiny_pipeline, form):
    seen = {}
    stream = make_stream(1, block_of((1,), (1,), (2,), part="update"))
    streams = [make_stream(1), stream, make_stream(2)]
    run(
        tiny_pipeline(form),
        streams,
        block_observers=[lambda moment: seen.setdefault((moment.index, moment.layer), moment.hidden)],
    )
    assert torch.equal(seen[1, 0][0], seen[1, 0][1])
    clean, changed, donor = seen[1, 1]
    assert_near(changed - seen[1, 0][1], donor - seen[1, 0][2])
    assert (changed - clean).abs().max() > 1e-3


@pytest.mark.parametrize("guidance_scale", [1.0, 3.0])
@pytest.mark.parametrize("form", FORMS)
def test_the_donors_last_layer_gives_the_donors_velocity(tiny_pipeline, form, guidance_scale):
    seen = []
    streams = [
        make_stream(1),
        make_stream(1),  # with the one before it one row: donors are streams, not rows
        make_stream(1, block_of((LAST_LAYER,), tuple(range(STEPS)), (3,))),
        make_stream(1, image=7),
    ]
    options = {"guidance_scale": guidance_scale, "batch": 2, "block_observers": [seen.append]}
    _, moments = run(tiny_pipeline(form), streams, **options)
    for moment in moments:
        _, clean, swapped, donor = moment.velocity
        assert_near(swapped, donor)
        assert (clean - donor).abs().max() > 1e-3
    last = [moment for moment in seen if moment.layer == LAST_LAYER and 2 in moment.streams]
    assert len(last) == STEPS * (2 if guidance_scale > 1 else 1)
    for moment in last:
        numbers = moment.streams.tolist()
        assert torch.equal(moment.hidden[numbers.index(2)], moment.hidden[numbers.index(3)])


@pytest.mark.parametrize("form", FORMS)
def test_a_swap_with_oneself_changes_nothing(tiny_pipeline, form):
    streams = [make_stream(1), make_stream(2), make_stream(1, block_of((0, 1), (0, 1, 2, 3), (2,)))]
    latents, _ = run(tiny_pipeline(form), streams, guidance_scale=3.0)
    assert_near(latents[2], latents[0])


@pytest.mark.parametrize("form", FORMS)
def test_two_streams_can_swap(tiny_pipeline, form):
    step = 2
    streams = [
        make_stream(1),
        make_stream(2),
        make_stream(1, block_of((LAST_LAYER,), (step,), (3,))),
        make_stream(2, block_of((LAST_LAYER,), (step,), (2,))),
    ]
    _, moments = run(tiny_pipeline(form), streams, guidance_scale=3.0, batch=1)
    assert_near(moments[step].velocity[[2, 3]], moments[step].velocity[[1, 0]])


@pytest.mark.parametrize(("passes", "frames"), [(PASSES, None), (("cond",), (1,)), (("uncond",), None)])
# Steps 1 and 2 are on either side of the boundary between the two networks.
@pytest.mark.parametrize(("form", "step"), [("single", 2), ("two_networks", 1), ("two_networks", 2), ("ti2v", 2)])
@torch.no_grad()
def test_a_mean_over_streams_is_one_taken_by_hand(tiny_pipeline, form, step, passes, frames):
    pipe, scale, layer = tiny_pipeline(form), 3.0, 0
    streams = [make_stream(1), make_stream(2), make_stream(3)]
    calls, clean = record_inputs(pipe, streams, guidance_scale=scale)
    assert len({id(network) for network, _ in calls}) == len(networks_of(pipe))

    def take_mean(module, inputs, hidden):
        tokens = hidden.unflatten(1, GRIDS[form]).clone()
        taken = slice(None) if frames is None else list(frames)
        tokens[0, taken] = tokens[:, taken].mean(dim=0)
        return tokens.flatten(1, 3)

    answers = []
    for context, (network, inputs) in zip(PASSES, calls[2 * step : 2 * step + 2], strict=True):
        handle = network.blocks[layer].register_forward_hook(take_mean) if context in passes else None
        answers.append(network(**inputs)[0])
        if handle:
            handle.remove()
    expected = answers[1] + scale * (answers[0] - answers[1])

    mean = block_of((layer,), (step,), (0, 1, 2), frames=frames, passes=passes)
    _, moments = run(pipe, [make_stream(1, mean), *streams[1:]], guidance_scale=scale)
    assert_near(moments[step].velocity, expected)
    assert_near(moments[step].velocity[1:], clean[step].velocity[1:])
    assert (moments[step].velocity[0] - clean[step].velocity[0]).abs().max() > 1e-3


@pytest.mark.parametrize("form", FORMS)
def test_only_the_pass_and_the_frames_named_are_changed(tiny_pipeline, form):
    seen = {}
    streams = [
        make_stream(1),
        make_stream(2),
        make_stream(1, block_of((0,), (2,), (1,), frames=(1,), passes=("cond",))),
    ]
    run(
        tiny_pipeline(form),
        streams,
        guidance_scale=3.0,
        block_observers=[lambda moment: seen.update({(moment.index, moment.layer, moment.context): moment.hidden})],
    )
    assert_near(seen[2, 0, "cond"][2, 1], seen[2, 0, "cond"][1, 1])
    others = [frame for frame in range(GRIDS[form][0]) if frame != 1]
    assert_near(seen[2, 0, "cond"][2, others], seen[2, 0, "cond"][0, others])
    # What reaches the next layer has been changed; the other pass has not.
    assert (seen[2, 1, "cond"][2, others] - seen[2, 1, "cond"][0, others]).abs().max() > 1e-5
    for layer in (0, 1):
        assert_near(seen[2, layer, "uncond"][2], seen[2, layer, "uncond"][0])


# Estimate interventions


@pytest.mark.parametrize(("scheduler", "batch"), [("euler", None), ("unipc", 1)])
@pytest.mark.parametrize("form", FORMS)
def test_the_clean_estimate_becomes_the_mean_of_the_donors(tiny_pipeline, form, scheduler, batch):
    step = 2
    streams = [
        # The first two are one row: donors are streams, not rows.
        *[make_stream(number) for number in (1, 1, 2, 3)],
        make_stream(1, estimate_of((step,), (1, 2, 3))),
        # Donors give their own estimates, not those that another intervention puts in their place.
        make_stream(2, estimate_of((step,), (4,))),
    ]
    _, moments = run(tiny_pipeline(form, scheduler), streams, guidance_scale=3.0, batch=batch)
    moment = moments[step]
    estimates = moment.clean_estimate[:, :, moment.active]
    assert_near(estimates[4], estimates[1:4].mean(dim=0))
    assert_near(estimates[5], estimates[0])
    assert (estimates[4] - estimates[0]).abs().max() > 1e-2
    assert torch.equal(moment.state[4], moment.state[0])
    if scheduler == "euler":
        sigma, next_sigma = moment.sigma[-1], moments[step + 1].sigma[-1]
        expected = estimates[4] + next_sigma / sigma * (moment.state[4][:, moment.active] - estimates[4])
        assert_near(moments[step + 1].state[4][:, moment.active], expected)


def test_frames_that_wait_keep_their_velocity(tiny_pipeline):
    streams = [make_stream(1), make_stream(2), make_stream(1, estimate_of((0,), (1,)))]
    _, moments = run(tiny_pipeline("ti2v"), streams, "frame_by_frame", 1)
    moment = moments[0]
    changed = (moment.velocity[2] - moment.velocity[0]).abs().amax(dim=(0, 2, 3)) > 1e-5
    assert torch.equal(changed, moment.active)


# Observers and hooks


@pytest.mark.parametrize(("guidance_scale", "batch"), [(1.0, None), (3.0, 1)])
@pytest.mark.parametrize("form", FORMS)
def test_block_observers_see_every_layer_pass_step_and_stream(tiny_pipeline, form, guidance_scale, batch):
    pipe = tiny_pipeline(form)
    seen = []
    streams = [make_stream(1), make_stream(2), make_stream(1, state_of("replace", (2,), (1,)))]
    latents, _ = run(pipe, streams, guidance_scale=guidance_scale, batch=batch, block_observers=[seen.append])
    passes = PASSES if guidance_scale > 1 else PASSES[:1]
    given = [(moment.index, moment.layer, moment.context, stream) for moment in seen for stream in moment.streams]
    assert sorted(given) == sorted(itertools.product(range(STEPS), range(2), passes, range(3)))
    hidden = {}
    for moment in seen:
        assert moment.hidden.shape == (len(moment.streams), *GRIDS[form], 24)
        hidden |= {
            (moment.index, moment.layer, moment.context, int(stream)): each
            for stream, each in zip(moment.streams, moment.hidden, strict=True)
        }
    # Each stream sees its own.
    alone = []
    run(pipe, streams[1:2], guidance_scale=guidance_scale, block_observers=[alone.append])
    for moment in alone:
        assert_near(hidden[moment.index, moment.layer, moment.context, 1], moment.hidden[0])
    assert_near(latents, run(pipe, streams, guidance_scale=guidance_scale)[0])


class Stopped(Exception):
    pass


def stop(moment):
    raise Stopped


@pytest.mark.parametrize("observers", [{}, {"observers": [stop]}, {"block_observers": [stop]}])
@pytest.mark.parametrize("form", FORMS)
def test_no_hook_outlives_the_run(tiny_pipeline, form, observers):
    pipe = tiny_pipeline(form)
    streams = [make_stream(1), make_stream(2, block_of((0, 1), (0, 1, 2, 3), (0,)))]
    with pytest.raises(Stopped) if observers else ExitStack():
        run(pipe, streams, **observers)
    for network in networks_of(pipe):
        for block in network.blocks:
            assert not block._forward_hooks and not block._forward_pre_hooks


# Refusals


@pytest.mark.parametrize(
    ("intervention", "message"),
    [
        (state_of("forget", (0,), (1,)), "StateIntervention.kind: given forget; accepted: replace, erase, resample"),
        (state_of("replace", (4,), (1,)), "StateIntervention.steps: given 4; accepted: 0 to 3"),
        (state_of("replace", (-1,), (1,)), "StateIntervention.steps: given -1"),
        (block_of((0,), (4,), (0,)), "BlockIntervention.steps: given 4"),
        (estimate_of((4,), (0,)), "EstimateIntervention.steps: given 4"),
        (state_of("replace", (0,), (9,)), "StateIntervention.frames: given 9; accepted: 1 to 8"),
        (state_of("replace", (0,), (0,)), "StateIntervention.frames: given 0; accepted: 1 to 8"),
        (block_of((0,), (0,), (0,), frames=(9,)), "BlockIntervention.frames: given 9; accepted: 0 to 8"),
        (block_of((2,), (0,), (0,)), "BlockIntervention.layers: given 2; accepted: 0 to 1"),
        (block_of((-1,), (0,), (0,)), "BlockIntervention.layers: given -1"),
        (state_of("average", (0,), (1,), donors=(2,)), "StateIntervention.donors: given 2; accepted: 0 to 1"),
        (block_of((0,), (0,), (-1,)), "BlockIntervention.donors: given -1"),
        (estimate_of((0,), (2,)), "EstimateIntervention.donors: given 2"),
        (block_of((0,), (0,), ()), "BlockIntervention.donors: given none"),
        (estimate_of((0,), ()), "EstimateIntervention.donors: given none"),
        (
            block_of((0,), (0,), (0,), passes=("cond", "both")),
            "BlockIntervention.passes: given cond, both; accepted: cond",
        ),
        (block_of((0,), (0,), (0,), passes=()), "BlockIntervention.passes: given none"),
        (block_of((0,), (0,), (0,), part="half"), "BlockIntervention.part: given half; accepted: tokens, update"),
        (block_of((0,), (0,), (0,), passes=("uncond",)), "BlockIntervention.passes: given uncond; accepted: cond"),
        (
            state_of("plant", (0,), (1,), latents=torch.zeros(8, 9, 8, 4)),
            r"StateIntervention.latents: given \(8, 9, 8, 4\)",
        ),
        (
            state_of("erase", (0,), (1,), latents=torch.zeros(8, 9, 8, 8)),
            "StateIntervention.latents: given some; accepted: none, since erase",
        ),
        (
            state_of("replace", (0,), (1,), donors=(0,)),
            "StateIntervention.donors: given some; accepted: none, since replace",
        ),
        (state_of("plant", (0,), (1,)), "StateIntervention.latents: given nothing"),
        (state_of("average", (0,), (1,)), "StateIntervention.donors: given nothing"),
    ],
)
def test_an_intervention_the_run_cannot_make_is_refused(tiny_pipeline, intervention, message):
    with pytest.raises(Refused, match=f"case-2: {message}") as refusal:
        run(tiny_pipeline("ti2v"), [make_stream(1), make_stream(2, intervention)])
    assert "\n" not in str(refusal.value)


def test_the_first_frame_may_be_written_where_it_is_not_given(tiny_pipeline):
    streams = [make_stream(1), make_stream(1, state_of("replace", (0,), (0,)))]
    _, moments = run(tiny_pipeline("single"), streams)
    changed = (moments[0].state[0] != moments[0].state[1]).any(dim=0).flatten(1).any(dim=1)
    assert changed.tolist() == [True, False, False]


# Rows


@st.composite
def shared_streams(draw):
    evaluations = draw(st.integers(1, 5))
    steps = st.sets(st.integers(0, evaluations - 1)).map(tuple)
    pool = [state_of("replace", each, (1,)) for each in draw(st.lists(steps, min_size=1, max_size=3))]
    streams = draw(
        st.lists(
            st.tuples(st.integers(0, 2), st.lists(st.sampled_from(range(len(pool))), unique=True)),
            min_size=1,
            max_size=6,
        )
    )
    return [number for number, _ in streams], [[pool[each] for each in chosen] for _, chosen in streams], evaluations


@given(shared_streams())
def test_streams_are_in_one_row_where_their_histories_are_the_same(given_streams):
    identities, interventions, evaluations = given_streams
    histories = [[identity] for identity in identities]
    plan = share_rows(identities, interventions, evaluations)
    assert len(plan) == evaluations
    for index, rows in enumerate(plan):
        for history, each_streams in zip(histories, interventions, strict=True):
            history.append([id(each) for each in each_streams if index in each.steps])
        for one, other in itertools.combinations(range(len(identities)), 2):
            assert (rows.of_stream[one] == rows.of_stream[other]) == (histories[one] == histories[other])
        # The rows are numbered without gaps, each known by its first stream.
        assert sorted(set(rows.of_stream.tolist())) == list(range(len(rows)))
        assert rows.stream.tolist() == [rows.of_stream.tolist().index(row) for row in range(len(rows))]


@given(shared_streams())
def test_rows_only_part_and_their_parents_lead_to_the_start(given_streams):
    identities, interventions, evaluations = given_streams
    plan = share_rows(identities, interventions, evaluations)
    sizes = [len(set(identities)), *map(len, plan)]
    assert sizes == sorted(sizes)
    starts = list(dict.fromkeys(identities))
    for stream, identity in enumerate(identities):
        row = plan[-1].of_stream[stream]
        for index in reversed(range(evaluations)):
            assert plan[index].of_stream[stream] == row
            row = plan[index].parent[row]
        assert starts[row] == identity


def linked_group(links, row):
    group, grown = set(), {row}
    while group != grown:
        group = grown
        grown = group | {other for each in group for other in links[each]}
        grown = grown | {each for each, others in enumerate(links) if others & grown}
    return group


@given(
    st.integers(1, 8).flatmap(
        lambda rows: st.lists(st.sets(st.integers(0, rows - 1), max_size=2), min_size=rows, max_size=rows)
    ),
    st.integers(1, 5),
)
def test_linked_rows_are_in_one_batch_and_batches_are_no_larger_than_they_must(links, batch):
    batches = split_rows(links, batch)
    assert sorted(itertools.chain(*batches)) == list(range(len(links)))
    for rows in batches:
        groups = {frozenset(linked_group(links, row)) for row in rows}
        assert frozenset().union(*groups) == set(rows)
        assert len(rows) <= batch or len(groups) == 1


@given(st.integers(1, 12), st.integers(1, 5))
def test_rows_without_links_fill_their_batches(rows, batch):
    sizes = [len(each) for each in split_rows([set()] * rows, batch)]
    assert sizes[:-1] == [batch] * (rows // batch - (rows % batch == 0))
    assert sum(sizes) == rows
