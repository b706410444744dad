"""The experiments' figures show the numbers of datasets whose numbers are known."""

from __future__ import annotations

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

from chainofsteps import datasets
from chainofsteps.figures.experiments import FIGURES

STEPS, FRAMES = 4, 5
FAMILIES = ("maze", "maze", "largest", "pattern_grey, solved")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def dataset(kind: str, arms: list[str], coordinates: dict, correct: np.ndarray, **variables) -> xr.Dataset:
    """By the schema; `correct` is over (case, arm), plans are the clean arm's where the score is."""
    cases, seeds = len(FAMILIES), 1
    correct = np.broadcast_to(correct, (cases, len(arms)))[:, None].astype(np.float32)
    same = correct == correct[..., :1]
    made = xr.Dataset(
        {
            "difficulty": ("case", np.array([3, 5, 1, 2], np.int16)),
            "family": ("case", np.array(FAMILIES, object)),
            "plan": (("case", "seed", "arm", "frame"), np.zeros((cases, seeds, len(arms), FRAMES), np.int16)),
            "frame_correct": (
                ("case", "seed", "arm", "frame"),
                np.repeat(correct[..., None] == 1, FRAMES, -1).astype(np.int8),
            ),
            "correct": (("case", "seed", "arm"), correct),
            "same_as_clean": (("case", "seed", "arm"), same.astype(np.int8)),
            **variables,
        },
        coords={
            "case": np.array([f"case-{number}" for number in range(cases)], object),
            "seed": [0],
            "arm": np.array(arms, object),
            **{name: ("arm", np.array(values)) for name, values in coordinates.items()},
        },
        attrs=datasets.attributes(
            kind,
            purpose="pilot",
            kind=kind,
            boundary="0.6",
            order="joint",
            **dict.fromkeys(("model_id", "model_revision", "scheduler", "dtype", "experiment"), "tiny"),
        ),
    )
    return datasets.check(datasets.finished(made, kind), kind, kind)


def erasure(cells_only: bool = False) -> xr.Dataset:
    names = {
        "clean": ("clean", "clean", [], 1.0),
        "replace step 0": ("replace", "step", [(0, frame) for frame in range(1, FRAMES)], 1.0),
        "replace step 3": ("replace", "step", [(3, frame) for frame in range(1, FRAMES)], 0.25),
        "replace frame 2": ("replace", "frame", [(step, 2) for step in range(STEPS)], 0.75),
        "replace step 1 frame 2": ("replace", "cell", [(1, 2)], 1.0),
        "replace step 3 frame 2": ("replace", "cell", [(3, 2)], 0.0),
    }
    if cells_only:
        names = {name: given for name, given in names.items() if given[1] in ("clean", "cell")}
    erased = np.zeros((len(names), STEPS, FRAMES), np.int8)
    for mask, (_, _, cells, _) in zip(erased, names.values(), strict=True):
        for cell in cells:
            mask[cell] = 1
    shape = (len(FAMILIES), 1, len(names))
    correct = np.array([score for *_, score in names.values()])
    change = np.zeros((*shape, FRAMES), np.float32)
    change[:, :, -1] = [0, 0.1, 1, 0.3, 0.5]
    return dataset(
        "erasure",
        list(names),
        {"kind": [each[0] for each in names.values()], "scope": [each[1] for each in names.values()]},
        correct,
        erased=(("arm", "step", "latent_frame"), erased),
        sigma=(("step", "latent_frame"), np.linspace(1, 0.25, STEPS, dtype=np.float32)[:, None].repeat(FRAMES, 1)),
        others_lost=(("case", "seed", "arm"), np.broadcast_to((1 - correct) / 2, shape).astype(np.float32)),
        dissimilarity=(("case", "seed", "arm", "step"), np.full((*shape, STEPS), 0.5, np.float32)),
        dissimilarity_debiased=(("case", "seed", "arm", "step"), np.full((*shape, STEPS), 0.6, np.float32)),
        frame_change=(("case", "seed", "arm", "latent_frame"), change),
    )


def plant() -> xr.Dataset:
    """The clean run shows plan 0; plan 1 differs from it and is followed from its frame on, nothing else is."""
    steps = (1, 2)
    arms = [
        "clean",
        *(f"{what} {plan} step {step}" for step in steps for plan in (0, 1) for what in ("plan", "no plan")),
    ]
    planted = np.array([-1, *[0, 0, 1, 1] * 2])
    written = np.array(["clean", *["plan", "resample"] * 4])
    at = np.where(planted < 0, -1, 2)
    shape = (len(FAMILIES), 1, len(arms), FRAMES)
    side = np.sign(np.arange(FRAMES) - at[:, None]).astype(np.int8)
    led = (planted == 1)[:, None] & (written == "plan")[:, None] & (side >= 0)
    return dataset(
        "plant",
        arms,
        {
            "planted": planted,
            "planted_step": [-1, *[1] * 4, *[2] * 4],
            "planted_after": np.minimum(planted, 0),
            "written": written,
        },
        np.where(led.any(1), 0.5, 1),
        answers=("case", np.array([1, 1, 2, 1], np.int16)),
        sigma=(("step", "latent_frame"), np.linspace(1, 0.25, STEPS, dtype=np.float32)[:, None].repeat(FRAMES, 1)),
        side=(("case", "arm", "frame"), np.broadcast_to(side, (len(FAMILIES), *side.shape))),
        follows=(
            ("case", "seed", "arm", "frame"),
            np.broadcast_to(led | (planted == 0)[:, None], shape).astype(np.int8),
        ),
        differs=(("case", "seed", "arm", "frame"), np.broadcast_to((planted == 1)[:, None], shape).astype(np.int8)),
    )


def swap() -> xr.Dataset:
    arms = ["clean", *(f"layer {layer} {donor}" for layer in (0, 1) for donor in ("other_answer", "same_answer"))]
    flips = np.broadcast_to([0, 1, 0, 0, 0], (len(FAMILIES), 1, 5)).astype(np.int8)
    return dataset(
        "swap",
        arms,
        {
            "swapped_layer": [-1, 0, 0, 1, 1],
            "first_step": [-1, 0, 0, 0, 0],
            "last_step": [-1, 1, 1, 1, 1],
            "donor": ["clean", *["other_answer", "same_answer"] * 2],
        },
        np.ones(5),
        flips=(("case", "seed", "arm"), flips),
        takes_donors_end=(("case", "seed", "arm"), flips),
        clean_takes_donors_end=(("case", "seed", "arm"), np.broadcast_to([0, 0, 1, 0, 1], flips.shape).astype(np.int8)),
    )


def ensemble() -> xr.Dataset:
    arms = ["clean", "member 1", "average of layers 0-1", "best of 2, 4 steps"]
    scores = np.array([[0, 1, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1]])
    return dataset("ensemble", arms, {"evaluations": [4, 4, 5, 8]}, scores)


def orders() -> xr.Dataset:
    arms = ["joint 4", "joint 1", "frame_by_frame 1", "joint 4, 3 frames"]
    scores = np.array([1, 0.5, 1, 0])
    return dataset(
        "orders",
        arms,
        {
            "sampling_order": ["joint", "joint", "frame_by_frame", "joint"],
            "steps": [4, 1, 1, 4],
            "frames_made": [FRAMES, FRAMES, FRAMES, 3],
            "evaluations": [4, 1, 4, 4],
        },
        scores,
        beginning_correct=(("case", "seed", "arm"), np.ones((len(FAMILIES), 1, 4), np.int8)),
        clean_begins=(("case", "seed", "arm"), np.ones((len(FAMILIES), 1, 4), np.int8)),
    )


def layers() -> xr.Dataset:
    worlds, steps, depth = ["maze", "largest"], [0, 3], [0, 1, 2]
    rng = np.random.default_rng(0)
    lead = (len(FAMILIES), 1, len(steps), len(depth))
    asked = np.full((2, 3, 2, 3), 0.75, np.float32)
    asked[1, 2] = -1
    energy = np.broadcast_to(np.arange(1, FRAMES + 1, dtype=np.float32), (*lead, FRAMES))
    made = {
        "energy": (("case", "seed", "observed_step", "layer", "latent_frame"), energy),
        "object_ratio": (("case", "seed", "observed_step", "layer"), rng.random(lead, np.float32) + 1),
        "similarity": (("world", "observed_step", "layer", "other_layer"), rng.random((2, 2, 3, 3), np.float32)),
        "probe_score": (("world", "variable", "observed_step", "layer"), asked),
        "probe_control": (("world", "variable", "observed_step", "layer"), np.where(asked < 0, -1, 0.5).astype("f4")),
    }
    coordinates = {
        "observed_step": steps,
        "layer": depth,
        "other_layer": depth,
        "world": np.array(worlds, object),
        "variable": np.array(["static", "plan", "hidden"], object),
        "depth": ("layer", np.array([0, 0.5, 1], np.float32)),
    }
    made = {name: xr.DataArray(values, dims=dims) for name, (dims, values) in made.items()}
    return dataset("layers", ["clean"], {}, np.ones(1), **made, **coordinates)


MADE = {
    "erasure": erasure,
    "plant": plant,
    "swap": swap,
    "ensemble": ensemble,
    "orders": orders,
    "layers": layers,
}


def drawn(axis) -> list[list[float]]:
    """y of each line that is more than a rule."""
    return [np.asarray(line.get_ydata(), float).round(4).tolist() for line in axis.get_lines()]


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, each in FIGURES.items() for name in each])
def test_every_figure_draws_without_a_warning(tmp_path, kind, name):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        figure = FIGURES[kind][name]({kind: MADE[kind]()})
        figure.savefig(tmp_path / "figure.png")
    assert figure.get_suptitle()
    assert "pilot cases" in figure.get_supxlabel()


def test_figures_of_erasures_pass_over_what_a_dataset_has_not(tmp_path):
    both = {"erasure_frame_by_frame": erasure(cells_only=True), "erasure": erasure()}
    for draw in FIGURES["erasure"].values():
        draw(both).savefig(tmp_path / "figure.png")


def scoped(*scopes: str) -> xr.Dataset:
    outcome = erasure()
    return outcome.isel(arm=np.isin(outcome["scope"], ["clean", *scopes]))


def without(outcome: xr.Dataset) -> xr.Dataset:
    return outcome.isel(arm=[0])


LACKING = {
    "damage_by_dose": lambda: erasure(cells_only=True),
    "same_by_step": lambda: erasure(cells_only=True),
    "propagation": lambda: erasure().isel(case=[-1]),
    "damage_grid": lambda: erasure(cells_only=True).assign_attrs(order="frame_by_frame"),
    "damage_direction": lambda: scoped("step", "frame"),
    "plant_outcome": lambda: without(plant()),
    "swap_flips": lambda: without(swap()),
    "ensemble_gain": lambda: without(ensemble()),
    "fewer_frames_and_steps": lambda: orders().isel(arm=[2]),
    "layer_probes": lambda: layers().assign(probe_score=layers()["probe_score"] * 0 - 1),
}


@pytest.mark.parametrize("name", LACKING)
def test_a_figure_says_that_there_is_nothing_to_draw(name):
    draw = next(each[name] for each in FIGURES.values() if name in each)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = draw({"one": LACKING[name]()})
    (words,) = figure.axes[0].texts
    assert words.get_text().startswith("nothing to draw: no ")
    assert "pilot cases" in figure.get_supxlabel()


def test_doses_show_the_mean_damage_of_each_scope():
    figure = FIGURES["erasure"]["damage_by_dose"]({"erasure": erasure()})
    frames, others, axis = figure.axes[:3]
    # A frame is right here where the whole score is: of the two steps one loses all free frames, and so does the frame.
    assert frames.get_title() == "replace" and [0.5] in drawn(frames) and [1] in drawn(frames)
    assert [0.1875] in drawn(others) and [0.125] in drawn(others)
    # Erased at steps 0 and 3: (0 + .75) / 2; one frame of four: .25; an equal dose, a quarter of the grid.
    assert [0.375] in drawn(axis) and [0.25] in drawn(axis)
    assert [text.get_text() for text in figure.axes[2].get_xticklabels()] == ["25"]


def test_doses_average_seeds_in_their_case():
    once = erasure()
    # The second seed of the first case loses all; cases count alike, however their seeds differ.
    again = once.assign_coords(seed=[1]).copy(deep=True)
    again["correct"][0, :, 1:] = 0
    both = xr.concat([once, again], "seed", data_vars="minimal")
    both = datasets.check(datasets.finished(both, "erasure"), "erasure", "two seeds")
    figure = FIGURES["erasure"]["damage_by_dose"]({"erasure": both})
    # Steps in the first case: (.375 + 1) / 2; in the other two with a task: .375.
    assert [round((0.6875 + 2 * 0.375) / 3, 4)] in drawn(figure.axes[2])
    assert "1 to 2 cases x 2 seeds" in figure.get_supxlabel()


def test_sets_of_one_size_are_points_of_their_own_that_no_line_joins():
    sets = erasure().isel(arm=[1, 2]).copy(deep=True)
    sets = sets.assign_coords(arm=np.array(["set 0", "set 1"], object), scope=("arm", np.array(["steps"] * 2, object)))
    sets["erased"][:, 1:3, 1:] = 1
    outcome = xr.concat([erasure(), sets], "arm", data_vars="minimal")
    figure = FIGURES["erasure"]["damage_by_dose"]({"erasure": outcome})
    axis = figure.axes[2]
    # Of the one set nothing is lost, of the other .75; single steps beside them have their mean.
    lines = [line for line in axis.get_lines() if line.get_marker() == "o"]
    heights = [np.asarray(line.get_ydata(), float).round(4).tolist() for line in lines if len(line.get_ydata())]
    np.testing.assert_equal(heights, [[0.375, 0], [np.nan, 0.75]])
    assert {line.get_linestyle() for line in lines} == {"None"}
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["steps", "frames", "steps, solved", "frames, solved"]


def boundaries(axis) -> list[float]:
    return [line.get_xdata()[0] for line in axis.get_lines() if line.get_linestyle() == "-."]


def test_propagation_has_a_row_for_each_erased_step_and_none_between():
    figure = FIGURES["erasure"]["propagation"]({"erasure": erasure()})
    axis, curve = figure.axes[:2]
    # Erased at steps 0 and 3 of four: two rows of equal height; nothing before the erasure.
    assert [text.get_text() for text in axis.get_yticklabels()] == ["0", "3"]
    assert axis.get_ylim() == (0, 2)
    shown = np.ma.filled(axis.collections[0].get_array().astype(float), np.nan).reshape(2, STEPS)
    np.testing.assert_allclose(shown, np.sqrt([[0.6] * 4, [np.nan] * 3 + [0.6]]), rtol=1e-6)
    assert axis.collections[0].norm.vmax == pytest.approx(0.6**0.5)
    # In a panel of its own, step 0 at its foot as in the map.
    line = next(line for line in curve.get_lines() if line.get_marker() == "o")
    assert curve.get_title() == "score lost" and curve.get_ylim() == (-0.5, 1.5)
    assert line.get_xdata().tolist() == [0, 0.75] and line.get_ydata().tolist() == [0, 1]
    # sigma 1, .75 before .6: two columns of the first network.
    assert boundaries(axis) == [2]


def test_propagation_takes_what_chance_makes_negative_as_none():
    outcome = erasure()
    outcome["dissimilarity_debiased"] = outcome["dissimilarity_debiased"] * 0 - 0.01
    figure = FIGURES["erasure"]["propagation"]({"erasure": outcome})
    assert np.ma.compressed(figure.axes[0].collections[0].get_array()).tolist() == [0] * 5


def test_the_grid_shows_each_cell():
    figure = FIGURES["erasure"]["damage_grid"]({"erasure": erasure()})
    assert [axis.get_title() for axis in figure.axes[:3]] == ["maze", "largest", "pattern grey, solved"]
    assert [text.get_text() for text in figure.axes[0].texts] == ["0.00", "1.00"]


def test_the_direction_has_what_is_before_and_what_is_after():
    figure = FIGURES["erasure"]["damage_direction"]({"erasure": erasure(cells_only=True)})
    lines = drawn(figure.axes[0])
    # Two cells: one changes nothing, the other .1 before and .3, .5 after.
    assert [0.05] in lines and [0.15, 0.25] in lines


def test_the_direction_counts_states_that_are_not_the_clean_ones():
    outcome = erasure(cells_only=True)
    # The last cell is erased in frame 2; it changes the last frame's state, in every case.
    outcome["plan"][:, :, -1, -1] = 7
    figure = FIGURES["erasure"]["damage_direction"]({"erasure": outcome})
    lines = drawn(figure.axes[1])
    assert [0] in lines and [0, 0.5] in lines
    assert "(at σ 0.25 to 0.75)" in figure.legends[0].get_texts()[0].get_text()


def test_the_direction_names_one_level_once():
    figure = FIGURES["erasure"]["damage_direction"]({"erasure": erasure(cells_only=True).isel(arm=[0, 1])})
    assert figure.legends[0].get_texts()[0].get_text().endswith("(at σ 0.75)")


def test_the_boundary_of_two_networks_is_drawn():
    figure = FIGURES["erasure"]["same_by_step"]({"erasure": erasure()})
    # sigma 1, .75 before .6; .5, .25 behind it.
    assert boundaries(figure.axes[0]) == [1.5] and boundaries(figure.axes[1]) == [0.6]


@pytest.mark.parametrize(("boundary", "column"), [("0.6", 1), ("0.3", 1), ("0.2", 2), ("0.9", 0), ("none", None)])
def test_the_grid_shows_the_boundary_among_the_steps_that_it_has(boundary, column):
    # Columns are of steps 1 and 3, at sigma .75 and .25.
    figure = FIGURES["erasure"]["damage_grid"]({"erasure": erasure().assign_attrs(boundary=boundary)})
    assert boundaries(figure.axes[0]) == ([] if column is None else [column])


@pytest.mark.parametrize(("boundary", "point"), [("0.9", -0.5), ("0.7", 0.5), ("0.3", 1.5), ("none", None)])
def test_plants_show_the_boundary_among_a_frames_own_steps(boundary, point):
    # Points are of steps 1 and 2, at sigma .75 and .5.
    outcome = plant().assign_attrs(boundary=boundary)
    joint = FIGURES["plant"]["plant_outcome"]({"plant": outcome})
    # One frame behind the other: each goes through the same levels.
    turns = np.full((STEPS * 2, FRAMES), 1.0, np.float32)
    turns[:STEPS, 1], turns[STEPS:, 1] = outcome["sigma"][:, 1], 0
    turns[STEPS:, 2] = outcome["sigma"][:, 2]
    in_turn = outcome.drop_dims("step").assign(sigma=(("step", "latent_frame"), turns))
    in_turn = FIGURES["plant"]["plant_outcome"]({"plant": in_turn})
    for figure in (joint, in_turn):
        assert boundaries(figure.axes[0]) == ([] if point is None else [point])


def test_a_plant_is_followed_from_its_frame_on_and_its_base_rate_is_not():
    figure = FIGURES["plant"]["plant_outcome"]({"plant": plant()})
    assert [axis.get_title() for axis in figure.axes] == [
        "joint\none right answer\n(3 of 3 videos)",
        "joint\nseveral right answers\n(1 of 1 video)",
    ]
    whole = [line for line in figure.axes[0].get_lines() if line.get_marker() in ("o", "X", "s", "D")]
    whole = [line for line in whole if np.isfinite(line.get_ydata()).all() and len(line.get_ydata())]
    by_style = {
        style: sorted(list(each.get_ydata()) for each in whole if each.get_linestyle() == style) for style in "-:"
    }
    # Earlier frames, then the planted one, later ones and the control; the base rate of the three is nothing.
    assert by_style == {"-": [[0, 0], [1, 1], [1, 1], [1, 1]], ":": [[0, 0]] * 3}


def test_a_video_that_shows_neither_plan_is_left_out():
    outcome = plant()
    outcome["differs"][0] = 1
    figure = FIGURES["plant"]["plant_outcome"]({"plant": outcome})
    assert figure.axes[0].get_title() == "joint\none right answer\n(2 of 3 videos)"


def test_a_video_that_was_not_planted_is_no_control():
    outcome = plant()
    # In no frame of the first case could a plan be planted; what it happens to hold is half of one.
    outcome["differs"][0] = 0
    outcome["follows"][0] = 0
    axis = FIGURES["plant"]["plant_outcome"]({"plant": outcome}).axes[0]
    assert axis.get_title() == "joint\none right answer\n(2 of 2 videos)"
    (control,) = (line for line in axis.get_lines() if line.get_marker() == "D" and np.isfinite(line.get_ydata()).any())
    assert control.get_ydata().tolist() == [1, 1]


def test_the_base_rate_of_one_planted_step_has_a_mark():
    outcome = plant()
    outcome = outcome.isel(arm=outcome["planted_step"].values < 2)
    axis = FIGURES["plant"]["plant_outcome"]({"plant": outcome}).axes[0]
    base = [line for line in axis.get_lines() if line.get_linestyle() == ":" and np.isfinite(line.get_ydata()).any()]
    assert [line.get_marker() for line in base] == ["o", "X", "s"]
    assert [line.get_ydata().tolist() for line in base] == [[0]] * 3


def test_swaps_show_their_flips_by_donor():
    figure = FIGURES["swap"]["swap_flips"]({"swap": swap()})
    assert drawn(figure.axes[0])[:2] == [[1, 0], [0, 0]]
    assert figure.axes[0].get_title() == "swap\nsteps 0-1"
    # The undisturbed video ends as the donor of the same answer does.
    lines = figure.axes[1].get_lines()
    base = {line.get_color(): list(line.get_ydata()) for line in lines if line.get_linestyle() == ":"}
    donors = [line.get_color() for line in lines if line.get_linestyle() == "-"][:2]
    assert [base[color] for color in donors] == [[0, 0], [1, 1]]
    assert figure.get_suptitle().startswith("One block's output")


def test_an_ensemble_gains_what_its_cases_gain():
    figure = FIGURES["ensemble"]["ensemble_gain"]({"ensemble": ensemble()})
    axis = figure.axes[0]
    assert [text.get_text() for text in axis.get_yticklabels()] == [
        "average of layers 0-1 (5)",
        "best of 2, 4 steps (8)",
    ]
    points = next(line for line in axis.get_lines() if len(line.get_xdata()) == 2 and line.get_marker() == "o")
    assert points.get_xdata().tolist() == [0.25, 0.25]


def test_draws_of_random_layers_do_not_read_as_layers():
    outcome = ensemble()
    names = ["clean", "member 1", "average of random layers 0", "average of clean estimates"]
    figure = FIGURES["ensemble"]["ensemble_gain"]({"ensemble": outcome.assign_coords(arm=np.array(names, object))})
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == [
        "average of random layers, draw 1 (5)",
        "average of clean estimates (8)",
    ]


def test_orders_of_one_cost_stand_side_by_side_in_each_half():
    figure = FIGURES["orders"]["success_by_order"]({"orders": orders()})
    assert [axis.get_title() for axis in figure.axes] == ["easier half (3 cases)", "harder half (1 case)"]
    joint, in_turn = (
        next(line for line in figure.axes[0].get_lines() if line.get_marker() == mark) for mark in ("o", "X")
    )
    assert joint.get_xdata().tolist() == [1, 4] and joint.get_ydata().tolist() == [0, 1]
    assert in_turn.get_xdata().tolist() == [4 * 1.07] and in_turn.get_ydata().tolist() == [1]
    assert joint.get_color() != in_turn.get_color()


def test_orders_of_several_datasets_are_of_the_cases_they_share():
    several = {"orders": orders().isel(arm=[0, 1]), "orders_in_turn": orders().isel(arm=[0, 2], case=[0, 1])}
    figure = FIGURES["orders"]["success_by_order"](several)
    assert [axis.get_title() for axis in figure.axes] == ["easier half (1 case)", "harder half (1 case)"]
    joint = next(line for line in figure.axes[0].get_lines() if line.get_marker() == "o")
    assert joint.get_xdata().tolist() == [1, 4]
    apart = {"orders": orders().isel(case=[0]), "orders_in_turn": orders().isel(case=[1])}
    (words,) = FIGURES["orders"]["success_by_order"](apart).axes[0].texts
    assert words.get_text() == "nothing to draw: no case that every order was asked of"


def test_fewer_frames_and_steps_have_a_row_for_each_family_and_one_for_all():
    figure = FIGURES["orders"]["fewer_frames_and_steps"]({"orders": orders()})
    rows = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert rows == ["maze", "largest", "pattern grey, solved", "all"]
    one, four = (
        line for line in figure.axes[1].get_lines() if line.get_marker() in ("o", "X") and len(line.get_xdata())
    )
    assert one.get_xdata().tolist() == [0] * 4 and four.get_xdata().tolist() == [1] * 4
    assert (one.get_ydata() < four.get_ydata()).all()


def test_the_energy_of_the_given_frame_sets_no_colour():
    figure = FIGURES["layers"]["layer_energy"]({"layers": layers()})
    axis = figure.axes[0]
    shown = axis.collections[0]
    # Energies 1 to 5; those of the free frames have the mean 3.5.
    np.testing.assert_allclose(
        np.ma.filled(shown.get_array().astype(float), np.nan)[0], np.array([np.nan, 2, 3, 4, 5]) / 3.5
    )
    assert shown.get_clim() == pytest.approx((2 / 3.5, 5 / 3.5))
    assert [text.get_text() for text in axis.texts] == ["given"]


def test_probes_without_a_question_are_left_out():
    figure = FIGURES["layers"]["layer_probes"]({"layers": layers()})
    titles = [axis.get_title() for axis in figure.axes if axis.get_title()]
    assert titles == ["static (2 worlds)", "plan (2 worlds)", "hidden (1 world)"]


def test_probes_of_a_world_are_those_of_most_cases():
    fewer, more = layers(), layers().isel(case=[0, 0, 0, 0], world=[0])
    more["probe_score"] = more["probe_score"] * 0 + 0.25
    more = more.assign_coords(case=list("abcd"), family=("case", ["maze"] * 4))
    figure = FIGURES["layers"]["layer_probes"]({"layers": fewer, "layers_hidden": more})
    axis = figure.axes[0]
    assert [0.5, 0.5, 0.5] in drawn(axis)  # the mean of .25 in maze and .75 in the other
    assert "4 cases" in figure.texts[-1].get_text()


def test_probes_show_the_worst_and_the_best_world():
    outcome = layers()
    outcome["probe_score"][0, 0] = 0.25
    figure = FIGURES["layers"]["layer_probes"]({"layers": outcome})
    axis = figure.axes[0]
    assert [0.5, 0.5, 0.5] in drawn(axis)
    heights = axis.collections[0].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (0.25, 0.75)
