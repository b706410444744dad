"""The experiments: on tiny random pipelines by their schemas, on the mini reasoner by what must come."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
import yaml

from chainofsteps import datasets, seeds, worlds
from chainofsteps.experiments import arms as arms_module
from chainofsteps.experiments.arms import (
    CLEAN,
    Outcome,
    Run,
    cases_in,
    evaluations,
    join_worlds,
    make_run,
    own_evaluation,
    run_settings,
    videos_of,
)
from chainofsteps.experiments.ensemble import best, picked, vote, windows_of
from chainofsteps.experiments.erasure import erasure_arms, frame_change, others_lost
from chainofsteps.experiments.layers import NOT_ASKED, BlockRecorder, latent_plan, mover_tokens, occupied_tokens
from chainofsteps.experiments.plan import check_disk, measure_rates, plan_rows, time_line
from chainofsteps.experiments.plant import check_pair, plans_to_plant
from chainofsteps.experiments.registry import KINDS, experiment
from chainofsteps.experiments.swap import find_donors, plan_swap, stand_ins
from chainofsteps.models.load import load_pipeline
from chainofsteps.readout.cases import case_dataset
from chainofsteps.refusal import Refused
from chainofsteps.sampling.interventions import BlockIntervention
from chainofsteps.sampling.loop import Stream, sample
from chainofsteps.sampling.orders import build_order

ROOT = Path(__file__).parents[2]
SHAPE = {"frames": 9, "height": 32, "width": 32}
SETTINGS = {
    "erasure": {
        "order": "joint",
        "steps": 3,
        "kinds": ["replace", "erase", "resample"],
        "at_steps": [0, 2],
        "at_frames": [1, 2],
        "cells": {"kinds": ["erase"], "steps": [1], "frames": [1, 2]},
        "doses": {"counts": [2], "sets": 1, "kinds": ["replace"]},
        "seed": 0,
    },
    "plant": {"order": "joint", "steps": 2, "at_steps": [1], "frames_after": [0, 1], "seed": 0},
    "swap": {
        "steps": 2,
        "part": "update",
        "layers": [0, 1],
        "spans": [[0, 0], [0, 1]],
        "passes": ["cond"],
        "donors_from": 7000,
    },
    "ensemble": {"steps": 2, "members": 2, "at_steps": [0], "windows": [[0, 0], [0, 1]], "random": 1, "seed": 0},
    "orders": {"orders": {"joint": [1, 2]}, "frames": [5]},
    "layers": {"steps": 2, "at_steps": [0, 1], "held_out": 0.34, "seed": 0},
}


@pytest.fixture(scope="module")
def cases():
    return case_dataset("maze", "pilot", 0, 6)


@pytest.fixture(scope="module")
def mini():
    return load_pipeline(ROOT / "resources/models/mini")


def model_of(form: str) -> dict:
    # The form with an image encoder takes its texts at full length.
    length = 512 if form == "single" else 20
    return {**SHAPE, "guidance_scale": 3.0, "negative_prompt": "", "max_sequence_length": length}


def outcome_of(kind, pipe, cases, model, settings, seeds=(0,)):
    outcome = join_worlds([experiment(kind).run(pipe, cases, model, settings, list(seeds), 4)])
    names = ("kind", "boundary", "experiment", "model_id", "model_revision", "scheduler", "dtype")
    return datasets.check(datasets.finished(outcome.assign_attrs(dict.fromkeys(names, kind)), kind), kind, kind)


@pytest.mark.parametrize("kind", ["swap", "ensemble", "layers"])
@pytest.mark.parametrize("form", ["single", "two_networks", "ti2v"])
def test_what_looks_into_blocks_leaves_no_hook_in_any_network(tiny_pipeline, cases, form, kind):
    """That each kind runs on each form is asked through the workflow (tests/integration/test_forms.py)."""
    pipe = tiny_pipeline(form)
    some = cases.isel(case=slice(6 if kind == "layers" else 2))
    outcome = outcome_of(kind, pipe, some, model_of(form), SETTINGS[kind])
    assert outcome.sizes["case"] == some.sizes["case"] and outcome.sizes["seed"] == 1
    for network in filter(None, (pipe.transformer, pipe.transformer_2)):
        assert not any(block._forward_hooks for block in network.blocks)


def test_settings_of_the_tests_are_those_of_the_configuration():
    schemas = yaml.safe_load((ROOT / "workflow/schemas/interventions.schema.yaml").read_text())["properties"]
    assert {kind: set(given) for kind, given in SETTINGS.items()} == {
        kind: set(schema["properties"]) - ({"order"} - set(SETTINGS[kind])) for kind, schema in schemas.items()
    }


# Arms


def test_streams_stand_case_by_case_seed_by_seed_arm_by_arm(cases):
    few = cases_in(cases.isel(case=slice(2)))
    arms, _ = erasure_arms(SETTINGS["erasure"], build_order("joint", 9, 3))
    run = make_run(few, [5, 6], arms, {})
    assert len(run.streams) == 2 * 2 * len(arms)
    assert [stream.case_id for stream in run.streams[:: 2 * len(arms)]] == [case.case_id for case in few]
    starts = [stream.seed for stream in run.streams]
    assert len(set(starts)) == 4 and starts == sorted(starts, key=starts.index)


@pytest.mark.parametrize("order", ["joint", "frame_by_frame", "shuffled", "pyramid"])
def test_a_frames_own_step_is_where_it_stands_before_it(order):
    table = build_order(order, 5, 3)
    for frame in range(1, 5):
        for step in range(3):
            at = own_evaluation(table, frame, step)
            assert table.active[at, frame] and table.step_index[at, frame] == step
        finished = np.flatnonzero(table.active[:, frame])[-1] + 1
        if finished < len(table.active):
            assert own_evaluation(table, frame, 3) == finished
        else:
            with pytest.raises(Refused, match=f"own step of latent frame {frame}: given 3"):
                own_evaluation(table, frame, 3)


# Erasure


def free_order(order="joint", steps=3):
    table = build_order(order, 9, steps)
    table.active[:, 0] = False
    return table


def test_erasures_are_of_the_dose_that_they_say():
    arms, masks = erasure_arms(SETTINGS["erasure"], free_order())
    sizes = {arm.name: int(mask.sum()) for arm, mask in zip(arms, masks, strict=True)}
    assert len(sizes) == len(arms) and arms[0].name == CLEAN
    assert sizes["clean"] == 0
    assert {sizes[f"{kind} step 2"] for kind in ("replace", "erase", "resample")} == {8}
    assert sizes["erase frame 1"] == 3
    assert sizes["erase step 1 frame 2"] == 1
    assert (sizes["replace 2 steps, set 0"], sizes["replace 2 frames, set 0"]) == (16, 6)
    for arm, mask in zip(arms, masks, strict=True):
        acting = np.zeros_like(mask)
        for each in arm.interventions(0, 0):
            acting[np.ix_(each.steps, each.frames)] += 1
        assert np.array_equal(acting, mask)


def test_random_sets_of_a_dose_share_nothing_while_there_are_enough():
    doses = {"counts": [2, 3], "sets": 4, "kinds": ["erase"]}
    arms, masks = erasure_arms(SETTINGS["erasure"] | {"steps": 8, "doses": doses}, free_order(steps=8))
    for scope, axis in (("steps", 2), ("frames", 1)):
        hit = masks.any(axis)[[arm.coordinates["scope"] == scope for arm in arms]]
        pairs, threes = hit[:4], hit[4:]
        assert (pairs.sum(1) == 2).all() and (pairs.sum(0) <= 1).all()
        # Of eight, two sets of three: the next two are of another draw.
        assert (threes.sum(1) == 3).all() and (threes[:2].sum(0) <= 1).all() and (threes[2:].sum(0) <= 1).all()


def test_an_erased_step_is_each_frames_own_where_frames_take_turns():
    settings = SETTINGS["erasure"] | {"order": "frame_by_frame"}
    arms, masks = erasure_arms(settings, free_order("frame_by_frame"))
    mask = dict(zip([arm.name for arm in arms], masks, strict=True))["erase step 2"]
    assert np.argwhere(mask).tolist() == [[(frame - 1) * 3 + 2, frame] for frame in range(1, 9)]


def test_cells_that_are_erased_in_shuffled_turns_favour_no_side_of_time():
    settings = yaml.safe_load((ROOT / "config/config.yaml").read_text())["interventions"]["experiments"]
    settings = settings["erasure_shuffled"]
    order = build_order("shuffled", 9, settings["steps"])
    turn = order.active.argmax(axis=0)
    behind = []
    for frame in settings["cells"]["frames"]:
        distances = np.arange(1, min(frame - 1, 8 - frame) + 1)
        behind.append(tuple(distances[turn[frame + side * distances] > turn[frame]].tolist() for side in (1, -1)))
    # A neighbour on each side and nothing further off, so that how fast damage falls with distance does not matter.
    assert behind == [([1], [1])] * 2


def test_frame_change_is_relative_to_the_clean_frame():
    latents = torch.ones(1, 1, 2, 8, 3, 2, 2)
    latents[0, 0, 1, :, 1] = 1.5
    assert frame_change(latents)[0, 0].tolist() == [[0, 0, 0], [0, 0.5, 0]]


def test_erased_frames_are_not_asked_unless_all_are_erased():
    order = free_order(steps=3)
    erased = np.zeros((5, 3, 9), int)
    erased[1, :, 2] = erased[2, 1] = erased[3, 2, 2] = erased[4] = 1
    right = np.ones((1, 1, 5, 9), int)
    right[..., 0, 7] = 0
    right[..., 1, 2] = right[..., 1, 3] = right[..., 2, 2] = right[..., 2, 0] = 0
    right[..., 3, 2] = right[..., 3, 4] = right[..., 3, 5] = 0
    # Frame 7, wrong in the clean arm and right in the others, is won; the given frame is not asked. A cell's own frame
    # is not asked either, but all are that one step erases together; of those erased throughout none.
    assert others_lost(right, erased, order)[0, 0] == pytest.approx([0, (1 - 1) / 7, (1 - 1) / 8, (2 - 1) / 7, 0])


def test_frame_by_frame_damage_flows_forward_only(mini, cases):
    """Chain-of-Frames by construction: what comes before an erased frame is not touched by it."""
    settings = SETTINGS["erasure"] | {
        "order": "frame_by_frame",
        "steps": 1,
        "kinds": [],
        "cells": {"kinds": ["replace"], "steps": [0], "frames": [4]},
        "doses": {"counts": [], "sets": 1, "kinds": []},
    }
    model = model_of("ti2v") | {"guidance_scale": 1.0}
    outcome = outcome_of("erasure", mini, cases.isel(case=slice(2)), model, settings)
    change = outcome["frame_change"].isel(arm=1, seed=0).values
    assert (change[:, :4] == 0).all() and (change[:, 4] > 0).all()


def test_erasing_early_keeps_the_plan_and_erasing_late_leaves_noise(mini, cases):
    settings = SETTINGS["erasure"] | {"steps": 4, "kinds": ["replace"], "at_steps": [0, 3], "at_frames": []}
    settings |= {"cells": {"kinds": [], "steps": [], "frames": []}, "doses": {"counts": [], "sets": 1, "kinds": []}}
    outcome = outcome_of("erasure", mini, cases, model_of("ti2v") | {"guidance_scale": 1.0}, settings)
    right = (outcome["correct"] == 1).mean(("case", "seed")).values
    assert right[0] > 0.6 and right[1] > 0.6 and right[2] < 0.2
    unlike = outcome["dissimilarity"].mean(("case", "seed")).values
    assert np.allclose(unlike[0], 0, atol=1e-6)
    assert np.allclose(unlike[2, :3], 0, atol=1e-6) and unlike[2, 3] > 0.1


# Plant


def test_plants_are_two_plans_of_one_first_frame():
    for family in worlds.families():
        case = worlds.draw_case(family, 2**32 + 5, worlds.difficulties(family)[0])
        one, other = plans_to_plant(case)
        assert one[0] == other[0] == case.plan[0] and not np.array_equal(one, other)
        assert (one == case.answers).all(1).any()


def test_a_plan_of_another_first_frame_is_refused(cases):
    one, other = (case for case in cases_in(cases) if case.plan[0] != cases_in(cases)[1].plan[0]), cases_in(cases)[1]
    case = next(one)
    with pytest.raises(Refused, match=f"case {case.case_id}: planted plan: given first state {other.plan[0]}"):
        check_pair(case, np.stack([case.plan, other.plan]))


def test_frame_by_frame_a_plant_changes_later_frames_and_no_earlier_one(mini):
    cases = case_dataset("largest", "pilot", 0, 3)
    settings = {"order": "frame_by_frame", "steps": 2, "at_steps": [2], "frames_after": [1], "seed": 0}
    outcome = outcome_of("plant", mini, cases, model_of("ti2v") | {"guidance_scale": 1.0}, settings)
    plan, side = outcome["plan"].isel(seed=0), outcome["side"]
    assert (plan == plan.isel(arm=0)).where(side < 0, True).all()
    assert (plan.sel(arm="clean") == plan.isel(arm=(outcome["written"] == "resample").values)).all()
    wrong = ((outcome["planted"] == 1) & (outcome["written"] == "plan")).values
    follows = outcome["follows"].isel(seed=0, arm=wrong).where(outcome["differs"].isel(seed=0, arm=wrong) == 1)
    # It is written once the frame is finished: nothing takes it back.
    assert follows.where(side == 0).mean() == 1
    assert (plan != plan.isel(arm=0)).where(side > 0, False).any()


# Swap


def test_donors_end_as_they_should(cases):
    case = cases_in(cases)[0]
    other, same = find_donors(case, "pilot", 7000)
    assert other.plan[-1] != case.plan[-1] == same.plan[-1]
    assert not np.array_equal(same.scene, case.scene)
    assert {other.difficulty, same.difficulty} == {case.difficulty}


def test_donors_of_two_right_answers_share_both_ends_or_neither():
    for index in range(3):
        case = worlds.draw_case("largest_tie", seeds.seed_of("pilot", index), 2)
        other, same = ({*donor.answers[:, -1].tolist()} for donor in find_donors(case, "pilot", 7000))
        ends = {*case.answers[:, -1].tolist()}
        assert len(ends) == 2 and same == ends and not other & ends


def test_who_stands_in_for_donors_is_another_scene_each(cases):
    case = cases_in(cases)[0]
    scenes = [case.scene.tolist(), *(each.scene.tolist() for each in stand_ins(case, "pilot", 7000))]
    assert scenes[0] != scenes[1] != scenes[2] != scenes[0]


def test_a_flip_is_another_end_than_the_clean_ones(mini, cases):
    settings = SETTINGS["swap"] | {"steps": 1, "part": "tokens", "layers": [0, 7], "spans": [[0, 0]]}
    some = cases.isel(case=slice(3))
    outcome = outcome_of("swap", mini, some, model_of("ti2v") | {"guidance_scale": 1.0}, settings)
    assert set(outcome["donor"].values[1:]) == {"other_answer", "same_answer"}
    assert (outcome["flips"].isel(arm=0) == 0).all()
    # All tokens are the donor's whole evaluation: which layer they are put into makes no difference.
    other = outcome.isel(arm=outcome["donor"].values == "other_answer")
    assert other["flips"].mean() > 0.5
    assert np.array_equal(other["plan"].isel(arm=0), other["plan"].isel(arm=1))
    # What one block adds leaves the case's own scene to be read.
    outcome = outcome_of("swap", mini, some, model_of("ti2v") | {"guidance_scale": 1.0}, settings | {"part": "update"})
    ends = outcome["plan"].isel(frame=-1)
    assert np.array_equal(outcome["flips"] == 0, ends == ends.isel(arm=0))


def test_all_tokens_of_a_donor_at_all_steps_are_the_donors_video(mini, cases):
    """What swaps at all steps must do, if they can do anything."""
    settings = SETTINGS["swap"] | {"part": "tokens", "layers": [3], "spans": [[0, 1]], "passes": ["cond"]}
    model = model_of("ti2v") | {"guidance_scale": 1.0}
    (run,) = plan_swap(mini, cases.isel(case=slice(1)), model, settings, [0], 8, find_donors)
    latents = sample(mini, run.streams, **run.settings)
    clean, other, same, *donors = latents[:, :, 1:]
    for swapped, donor in zip((other, same), donors, strict=True):
        torch.testing.assert_close(swapped, donor, rtol=0, atol=1e-4)
        assert (swapped - clean).abs().max() > 0.1
    # And they are read as such, though the donor's picture is no picture of the case's scene.
    outcome = outcome_of("swap", mini, cases.isel(case=slice(3)), model, settings)
    assert (outcome["takes_donors_end"].isel(arm=slice(1, None)) == 1).all()
    assert (outcome["flips"].sel(arm=outcome["donor"] == "other_answer") == 1).all()


# Worlds in which all is done


def test_a_solved_case_asks_for_nothing():
    case = worlds.draw_case("pattern_grey", 2**32 + 5, 2)
    done = worlds.solved(case)
    assert np.array_equal(done.first_frame, case.video[-1]) and (done.answers == case.plan[-1]).all()
    assert worlds.score(done, done.plan)["correct"] == 1
    assert worlds.score(done, case.plan)["correct"] == 0
    again = worlds.case_from_json(done.family, done.seed, done.difficulty, done.to_json())
    assert again.solved and np.array_equal(again.plan, done.plan) and again.case_id == f"{case.case_id}-solved"


def test_the_floor_is_kept_unless_it_is_erased_late(mini):
    solved = case_dataset("pattern_grey", "pilot", 0, 3, solved=True)
    settings = SETTINGS["erasure"] | {"steps": 4, "kinds": ["replace", "resample"], "at_steps": [0, 3], "at_frames": []}
    settings |= {"cells": {"kinds": [], "steps": [], "frames": []}, "doses": {"counts": [], "sets": 1, "kinds": []}}
    outcome = outcome_of("erasure", mini, solved, model_of("ti2v") | {"guidance_scale": 1.0}, settings)
    assert set(outcome["family"].values) == {"pattern_grey, solved"}
    right = outcome["correct"].mean(("case", "seed")).to_series()
    assert right["clean"] == right["replace step 0"] == right["resample step 3"] == 1
    assert right["replace step 3"] < 0.5


# Ensemble


def test_vote_takes_the_most_frequent_plan_and_best_the_highest_score():
    plans = np.array([[1, 2], [3, 4], [3, 4], [1, 2], [3, 4]])
    assert vote(plans, np.zeros(5)) == 1
    assert vote(plans[:2], np.zeros(2)) == 0
    assert best(plans, np.array([0, 0.5, 1, 1, 0])) == 2


def test_picked_is_the_members_own_outcome():
    rng = np.random.default_rng(0)
    outcome = Outcome(
        torch.arange(24.0).reshape(2, 3, 4),
        rng.integers(9, size=(2, 3, 4, 5)),
        rng.random((2, 3, 4)),
        rng.integers(2, size=(2, 3, 4, 5)),
        np.zeros(0),
    )
    chosen = picked(outcome, 3, best)
    assert np.array_equal(chosen.correct[..., 0], outcome.correct[:, :, :3].max(-1))
    member = outcome.correct[1, 2, :3].argmax()
    assert np.array_equal(chosen.plan[1, 2, 0], outcome.plan[1, 2, member])
    assert chosen.latents[1, 2, 0] == outcome.latents[1, 2, member]


def test_random_windows_are_as_wide_as_the_first():
    windows = windows_of({"windows": [[2, 4], [0, 7]], "random": 2, "seed": 1}, 8)
    assert windows["layers 2-4"] == (2, 3, 4) and windows["layers 0-7"] == tuple(range(8))
    drawn = [windows[f"random layers {number}"] for number in range(2)]
    assert all(len(set(each)) == 3 and set(each) <= set(range(8)) for each in drawn) and drawn[0] != drawn[1]


def test_members_averaged_with_one_another_are_averaged_by_the_first_layer_alone(tiny_pipeline):
    """What run_ensemble says of it: mutual averages over layers 0 and 1 are the one of layer 0 of untouched members."""
    pipe = tiny_pipeline("ti2v")
    image = np.zeros((32, 32, 3), np.uint8)

    def streams(*interventions):
        return [Stream("one", image, "solve the maze", seed, each) for seed, each in enumerate(interventions)]

    everyone = (0, 1, 2)
    mutual = BlockIntervention((0, 1), (0,), everyone)
    alone = BlockIntervention((0,), (0,), everyone)
    options = SHAPE | {"max_sequence_length": 20}
    together = sample(pipe, streams((mutual,), (mutual,), (mutual,)), "joint", 2, **options)
    leader = sample(pipe, streams((alone,), (), ()), "joint", 2, **options)
    torch.testing.assert_close(together[0], leader[0], rtol=0, atol=1e-5)


def test_arms_of_an_ensemble_cost_what_they_say(mini, cases):
    settings = SETTINGS["ensemble"] | {"steps": 4, "members": 3}
    model = model_of("ti2v") | {"guidance_scale": 1.0}
    outcome = outcome_of("ensemble", mini, cases.isel(case=slice(2)), model, settings)
    cost = outcome["evaluations"].to_series()
    assert cost["clean"] == cost["average of noise"] == 4
    assert cost["average of layers 0-0"] == cost["average of clean estimates"] == cost["one stream, 6 steps"] == 6
    assert cost["vote of 3, 4 steps"] == cost["best of 3, 4 steps"] == 12
    assert cost["vote of 3, 2 steps"] == 6
    members = outcome["correct"].sel(arm=["clean", "member 1", "member 2"])
    assert (outcome["correct"].sel(arm="best of 3, 4 steps") == members.max("arm")).all()


# Orders


def test_fewer_frames_have_a_beginning_and_no_score(mini, cases):
    settings = {"orders": {"joint": [4], "frame_by_frame": [1], "shuffled": [1], "pyramid": [2]}, "frames": [5]}
    some = cases.isel(case=slice(3))
    outcome = outcome_of("orders", mini, some, model_of("ti2v") | {"guidance_scale": 1.0}, settings)
    assert outcome["evaluations"].values.tolist() == [4, 8, 8, 9, 4]
    short = outcome.isel(arm=-1)
    assert (short["plan"].isel(frame=slice(5, None)) == -1).all() and (short["plan"].isel(frame=slice(5)) >= 0).all()
    assert (short["correct"] == 0).all() and short["beginning_correct"].mean() > 0.4
    whole = outcome.isel(arm=0)
    assert np.array_equal(whole["beginning_correct"] == 1, whole["frame_correct"].all("frame"))


# Layers


def test_tokens_of_the_mover_and_of_the_scene():
    plan = np.array([0, 9, 65 + 63, worlds.ABSENT, -1])
    tokens = mover_tokens(plan, 4, 4)
    assert [np.argwhere(each).tolist() for each in tokens] == [[[0, 0]], [[0, 0]], [[3, 3]], [], []]
    scene = np.full((8, 8), worlds.FLOOR)
    scene[2, 5] = scene[3, 1] = "full-black"
    assert np.argwhere(occupied_tokens(scene, 4, 4)).tolist() == [[1, 2]]
    assert latent_plan(np.arange(9), 3).tolist() == [0, 4, 8]
    assert latent_plan(np.arange(9), 9).tolist() == list(range(9))


def test_the_given_frame_is_no_part_of_what_blocks_hold(mini, monkeypatch):
    """Its tokens hold no noise: a hundred times as large, they change neither object ratio nor similarity."""
    cases = case_dataset("maze", "pilot", 0, 4)
    settings = SETTINGS["layers"] | {"steps": 1, "at_steps": [0]}

    def made() -> xr.Dataset:
        return outcome_of("layers", mini, cases, model_of("ti2v") | {"guidance_scale": 1.0}, settings)

    before, record = made(), BlockRecorder.__call__

    def enlarged(self, moment):
        hidden = moment.hidden.clone()
        hidden[:, 0] *= 100
        record(self, dataclasses.replace(moment, hidden=hidden))

    monkeypatch.setattr(BlockRecorder, "__call__", enlarged)
    after = made()
    first = {"latent_frame": 0}
    np.testing.assert_allclose(after["energy"][first], 100 * before["energy"][first], rtol=1e-4)
    for name in ("object_ratio", "similarity", "probe_score"):
        assert np.array_equal(after[name], before[name]), name


def test_blocks_tell_where_the_mover_is_and_shuffled_labels_do_not(mini):
    cases = case_dataset("reappearance", "pilot", 0, 9)
    settings = SETTINGS["layers"] | {"steps": 4, "at_steps": [3]}
    outcome = outcome_of("layers", mini, cases, model_of("ti2v") | {"guidance_scale": 1.0}, settings)
    score, control = (outcome[name].sel(variable="plan").squeeze() for name in ("probe_score", "probe_control"))
    assert score.max() > 0.85 and control.max() < 0.7
    assert np.allclose(np.diagonal(outcome["similarity"].squeeze()), 1, atol=1e-4)
    assert (outcome["probe_score"].sel(variable=["static", "plan"]) != NOT_ASKED).all()
    assert outcome["object_ratio"].notnull().all() and (outcome["object_ratio"] > 0).all()


# Plan


def test_the_plan_counts_what_is_then_evaluated(tiny_pipeline, cases):
    pipe, some = tiny_pipeline("ti2v"), cases.isel(case=slice(2))
    seen = []
    hook = pipe.transformer.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(len(kwargs["hidden_states"])), with_kwargs=True
    )
    try:
        for kind in KINDS:
            seen.clear()
            given = {"kind": kind, "settings": SETTINGS[kind], "seeds": [0]}
            enough = cases if kind == "layers" else some
            (row,) = plan_rows(pipe, "tiny", model_of("ti2v"), kind, given, {"maze": enough}, 4)
            assert not seen
            outcome_of(kind, pipe, enough, model_of("ti2v"), SETTINGS[kind])
            assert row["evaluations"] == sum(seen)
            assert row["world"] == "maze" and row["videos"] > 0 and row["bytes"] > 0
    finally:
        hook.remove()


def test_streams_share_most_of_an_erasure(tiny_pipeline, cases):
    pipe = tiny_pipeline("ti2v")
    settings = SETTINGS["erasure"] | {"steps": 8, "at_steps": list(range(8)), "at_frames": []}
    (run,) = experiment("erasure").plan(pipe, cases, model_of("ti2v"), settings, [0], 4)
    unshared = len(run.streams) * 8 * 2
    assert evaluations(pipe, run) < 0.7 * unshared


def test_a_plan_that_does_not_fit_is_refused(tmp_path):
    check_disk(1000, tmp_path / "plan.csv")
    with pytest.raises(Refused, match=r"disk: given .* GB free; accepted: at least 1e\+09 GB"):
        check_disk(10**18, tmp_path / "plan.csv")


def test_time_is_that_of_counts_at_rates(tiny_pipeline, cases):
    rows = [{"evaluations": 600, "videos": 30}, {"evaluations": 600, "videos": 30}]
    assert "1200 evaluations at 10 a second, 60 videos at 1 a second: about 3.0 minutes" in time_line(
        "a", rows, (10, 1)
    )
    rates = measure_rates(tiny_pipeline("ti2v"), cases_in(cases)[0], model_of("ti2v"), 2)
    assert all(rate > 0 for rate in rates)


def test_worlds_are_joined_by_case_and_by_world(mini):
    settings, model = SETTINGS["layers"] | {"steps": 1, "at_steps": [0]}, model_of("ti2v") | {"guidance_scale": 1.0}
    parts = [
        experiment("layers").run(mini, case_dataset(family, "pilot", 0, 6), model, settings, [0], 8)
        for family in ("maze", "largest")
    ]
    joined = join_worlds(parts)
    assert joined.sizes["case"] == 12 and joined["family"].values.tolist() == ["maze"] * 6 + ["largest"] * 6
    assert joined["world"].values.tolist() == ["maze", "largest"]
    assert np.array_equal(joined["probe_score"].isel(world=1), parts[1]["probe_score"].isel(world=0))
    assert np.array_equal(joined["energy"].isel(case=slice(6, None)), parts[1]["energy"])


def test_settings_of_a_run_are_the_models_but_for_frames():
    model = model_of("ti2v")
    assert run_settings(model, "joint", 3, 5)["frames"] == 9
    assert run_settings(model, "joint", 3, 5, 5)["frames"] == 5


def test_finished_videos_are_decoded_a_batch_at_a_time(monkeypatch):
    """Of a case of a large model under all arms, the videos would fill the memory."""
    decoded = []

    def decode(pipe, latents, batch):
        decoded.append(latents.flatten().tolist())
        return latents.numpy()

    monkeypatch.setattr(arms_module, "decode", decode)
    videos = videos_of(None, Run([], [], [], [], {"batch": 4}), torch.arange(10.0)[:, None])
    assert next(videos).item() == 0 and decoded == [[0, 1, 2, 3]]
    assert [video.item() for video in videos] == list(range(1, 10))
    assert decoded == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
