"""The experiments' figures: a function each, over datasets of one kind by name.

For models of two networks, the place where one takes over from the other is drawn over the steps, or σ, at which
something is done to a run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from chainofsteps.figures.style import COLUMN_INCHES, INTERVAL, caption, use_style
from chainofsteps.figures.words import label, span
from chainofsteps.statistics import experiment_estimands

Outcomes = dict[str, xr.Dataset]

SOLVED = ", solved"
TASKS, FLOOR = "worlds with a task", "solved: nothing to do"
_COLUMNS = 4
# Columns of a map whose numbers can be read.
_MOST_WRITTEN = 10
_MARKERS = ("o", "X", "s", "D")


def _table(values: xr.DataArray, name: str) -> pd.DataFrame:
    """Tidy rows of a variable, seeds averaged inside their case; ``world`` tells tasks from what is solved."""
    table = values.mean("seed").rename(name).to_dataframe().reset_index()
    table["world"] = table["family"].map(lambda family: FLOOR if family.endswith(SOLVED) else TASKS)
    return table


def _damage(outcome: xr.Dataset) -> xr.DataArray:
    """Score of the clean arm less that of each arm."""
    return outcome["correct"].isel(arm=0, drop=True) - outcome["correct"]


def _with_scope(outcomes: Outcomes, scope: str) -> Outcomes:
    """Erasures of a scope, of the datasets that have any."""
    return {
        name: outcome.isel(arm=outcome["scope"].values == scope)
        for name, outcome in outcomes.items()
        if scope in outcome["scope"].values
    }


def _place(outcome: xr.Dataset, dim: str) -> np.ndarray:
    """Where each arm erases: the first place along a dim."""
    other = {"step": "latent_frame", "latent_frame": "step"}[dim]
    return outcome["erased"].any(other).values.argmax(axis=1)


def _counts(outcomes: Outcomes) -> str:
    """The n of a caption, of all datasets that are drawn; worlds that are solved from the start apart."""
    firsts = list(outcomes.values())
    cases = pd.concat([pd.Series(each["family"].values).value_counts() for each in firsts])
    solved = cases.index.str.endswith(SOLVED)
    seeds = _some(max(each.sizes["seed"] for each in firsts), "seed")
    counted = [
        f"{_some(part.index.nunique(), noun)} x {span(part)} cases x {seeds}"
        for part, noun in ((cases[~solved], "family"), (cases[solved], "solved world"))
        if len(part)
    ]
    return f"{firsts[0].attrs['purpose']} cases: " + ",\nand ".join(counted)


def _some(count: int, word: str) -> str:
    """A number and its noun."""
    plural = {"family": "families"}.get(word, f"{word}s")
    return f"{count} {word if count == 1 else plural}"


def _nothing(outcomes: Outcomes, title: str, what: str) -> Figure:
    """The figure of an experiment that was not asked for this: says so."""
    figure, (axis,) = _panels(1, 1.0)
    axis.set_axis_off()
    axis.text(0.5, 0.5, f"nothing to draw: no {what}", ha="center", va="center", transform=axis.transAxes)
    figure.suptitle(title)
    return caption(figure, _counts(outcomes))


def _tasks(outcome: xr.Dataset) -> xr.Dataset:
    """Cases of worlds with a task."""
    return outcome.isel(case=[not family.endswith(SOLVED) for family in outcome["family"].values])


def _figure_legend(figure: Figure, axis: Axes, title: str | None = None) -> None:
    """A panel's legend beside all panels; handles long enough to show dashes."""
    handles, labels = axis.get_legend_handles_labels()
    axis.get_legend().remove()
    labels = [label(each) for each in labels]
    figure.legend(
        handles, labels, title=title, frameon=False, fontsize="x-small", loc="outside right upper", handlelength=3
    )


def _panels(count: int, height: float = 1.9, columns: int = _COLUMNS, **options: object) -> tuple[Figure, list[Axes]]:
    """So many panels at column width."""
    use_style()
    columns = min(columns, count)
    rows = -(-count // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(COLUMN_INCHES, height * rows + 0.7), squeeze=False, **({"sharex": True} | options)
    )
    for axis in axes.flat[count:]:
        axis.set_axis_off()
    sns.despine(figure)
    return figure, list(axes.flat[:count])


def _whole(axis: Axes, which: str = "x") -> None:
    """Steps, frames and layers are whole numbers."""
    for each in which:
        getattr(axis, f"{each}axis").set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _draw_boundary(axis: Axes, outcome: xr.Dataset, over: str, drawn: Sequence[int] | None = None) -> None:
    """Where a model of two networks passes from one to the other.

    ``over``: ``step``, ``sigma``, a heat map's ``columns``, or ``points``, one for each of a frame's own steps.
    ``drawn`` are the steps that there are columns or points of; all steps by default.
    """
    if outcome.attrs["boundary"] == "none":
        return
    level = float(outcome.attrs["boundary"])
    above = outcome["sigma"] >= level
    # A frame's own steps: where frames take turns, all of them go through the same levels.
    own = len(np.unique(outcome["sigma"].values[above.values]))
    before = own if over == "points" else int(above.any("latent_frame").sum())
    columns = np.searchsorted(outcome["step"] if drawn is None else drawn, before)
    at = {"sigma": level, "step": before - 0.5, "columns": columns, "points": columns - 0.5}[over]
    # A colour that no map and no line beside it has.
    axis.axvline(at, color=sns.color_palette()[3], linestyle="-.", linewidth=1.2)


_MEAN = "mean over cases, 95 % bootstrap over cases"


def damage_by_dose(outcomes: Outcomes) -> Figure:
    """E2, C1, C2: what one erased step and one erased frame cost, and sets of k of them, by kind.

    Above, the share of right frames lost, of all free ones and of those not erased; below, the score of the whole plan.

    Parameters
    ----------
    outcomes : dict
        Name -> ``erasure`` dataset.
    """
    title = "What erased steps and erased frames cost, at equal dose"
    # A step tells the free frames and a frame the steps: without either the dose is not known.
    both = {"step", "frame"}
    drawn = {name: each for name, each in outcomes.items() if both <= set(each["scope"].values)}
    if not drawn:
        return _nothing(outcomes, title, "erasures of a step and of a frame")
    outcome = next(iter(drawn.values()))
    erased = outcome["erased"]
    grid = int(erased.any(("arm", "latent_frame")).sum() * erased.any(("arm", "step")).sum())
    dose = (100 * erased.sum(("step", "latent_frame")) / grid).round(1)
    some = outcome["scope"].isin(["step", "frame", "steps", "frames"]).values
    kinds = list(dict.fromkeys(outcome["kind"].values[some]))
    # Which of the sets of one kind, scope and size an arm is; single steps and frames are no sets, but places.
    arms = pd.DataFrame({"kind": outcome["kind"], "scope": outcome["scope"], "dose": dose})
    number = arms.groupby(["kind", "scope", "dose"]).cumcount().where(arms["scope"].isin(["steps", "frames"]), 0)
    sets = int(number[some].max()) + 1
    doses = {kind: sorted(part["dose"].unique()) for kind, part in arms[some].groupby("kind")}
    widths = {"width_ratios": [len(doses[kind]) + 0.5 for kind in kinds]}
    figure, axes = _panels(3 * len(kinds), 2.0, len(kinds), sharey=True, sharex=False, gridspec_kw=widths)
    measures = {
        "frames lost": experiment_estimands.frames_lost(outcome),
        "other frames lost": outcome["others_lost"],
        "score lost": _damage(outcome),
    }
    for row, (words, values) in enumerate(measures.items()):
        lost = values.assign_coords(dose=dose, set=("arm", number)).isel(arm=some)
        table = _table(lost, "lost")
        table["what"] = np.where(table["scope"].str.startswith("step"), "steps", "frames")
        table["what"] += np.where(table["world"] == FLOOR, ", solved", "")
        # Single steps, and frames, of one kind ask the same at several places: a case has one value of them.
        table = table.groupby(["case", "kind", "what", "dose", "set"], as_index=False)["lost"].mean()
        marks = {"steps": "o", "frames": "s", "steps, solved": "X", "frames, solved": "P"}
        order = [what for what in marks if what in set(table["what"])]
        # Sets of one size can differ by more than cases do: each is its own point, and no line says "dose".
        # One of them is named: a legend passes over what begins with "_".
        table["point"] = table["what"].where(table["set"] == 0, "_" + table["what"] + table["set"].astype(str))
        points = [(what, f"_{what}{each}" if each else what) for what in order for each in range(sets)]
        for kind, axis in zip(kinds, axes[row * len(kinds) :], strict=False):
            sns.pointplot(
                table[table["kind"] == kind],
                x="dose",
                y="lost",
                hue="point",
                order=doses[kind],
                hue_order=[point for _, point in points],
                markers=[marks[what] for what, _ in points],
                linestyle="none",
                palette=[sns.color_palette()[what.startswith("frames")] for what, _ in points],
                dodge=0.6,
                markersize=4,
                linewidth=1.2,
                legend=axis is axes[-1],
                ax=axis,
                **INTERVAL,
            )
            axis.axhline(0, color="0.7", linewidth=0.8, zorder=0)
            axis.set(
                title=kind if row == 0 else "", xlabel="% of the grid" if row == len(measures) - 1 else "", ylabel=words
            )
            axis.set_xticks(range(len(doses[kind])), [f"{each:g}" for each in doses[kind]])
    _figure_legend(figure, axes[-1], "erased")
    figure.suptitle(title)
    return caption(
        figure,
        f"{_counts({'drawn': outcome})}; {_MEAN};\n"
        "single steps, and frames: their mean; several: a point for each random set, the same in all cases, so that\n"
        "intervals say nothing of sets: which steps one hits can weigh more than how many;\n"
        "frames: all free ones, as E2 asks; other frames: those not erased or, where all are, not at every step;\n"
        "solved: the floor",
    )


def same_by_step(outcomes: Outcomes) -> Figure:
    """Sensitivity over step and σ (C3, E6): what is right, and what stays the same, after erasing one step."""
    title = "After erasing all frames at one step"
    found = _with_scope(outcomes, "step")
    if not found:
        return _nothing(outcomes, title, "erasure of a step")
    first, outcome = next(iter(found.items()))
    names = {"correct": "score", "same_as_clean": "share with the clean plan"}
    figure, axes = _panels(4, 2.1, 2, sharey=True, sharex=False)
    places = _place(outcome, "step")
    sigma = outcome["sigma"].max("latent_frame").values
    for row, (name, words) in enumerate(names.items()):
        values = outcome[name].astype(float).assign_coords(at=("arm", places), level=("arm", sigma[places]))
        table = _table(values, "kept")
        clean = _tasks(outcomes[first])[name].isel(arm=0)
        for axis, x, words_x in zip(
            axes[2 * row :], ("at", "level"), ("erased step", "σ of the erased step"), strict=False
        ):
            if clean.size:
                axis.axhline(float(clean.mean()), color="0.6", linestyle=":", linewidth=1, zorder=0)
            line = {"hue": "kind", "style": "world", "style_order": [TASKS, FLOOR], "markers": True, "markersize": 4}
            bars = {"err_style": "bars", "err_kws": {"linewidth": 1}}
            sns.lineplot(table, x=x, y="kept", legend=axis is axes[1], ax=axis, **line, **bars, **INTERVAL)
            axis.set(xlabel=words_x, ylabel=words, ylim=(-0.04, 1.04))
            if x == "at":
                _whole(axis)
            else:
                axis.invert_xaxis()
            _draw_boundary(axis, outcome, "step" if x == "at" else "sigma")
    _figure_legend(figure, axes[1])
    figure.suptitle(title)
    return caption(
        figure,
        f"{_counts({first: outcome})}; {_MEAN};\ndotted: clean arm, worlds with a task; solved: the clean-up floor",
    )


def propagation(outcomes: Outcomes) -> Figure:
    """C3's matrix: unlikeness to the clean run at each later step, over the erased step; beside it, the score lost.

    Root of 1 - CKA, debiased and 0 where chance makes it negative, as E6 takes it.
    """
    words = "root of 1 - CKA"
    title = f"Does an erased step come back? {words} to the clean run"
    found = {name: _tasks(each) for name, each in _with_scope(outcomes, "step").items()}
    found = {name: each for name, each in found.items() if each.sizes["case"]}
    if not found:
        return _nothing(outcomes, title, "erasure of a step in a world with a task")
    first, outcome = next(iter(found.items()))
    outcome = outcome.assign_coords(at=("arm", _place(outcome, "step")))
    kinds, rows = list(dict.fromkeys(outcome["kind"].values)), np.unique(outcome["at"])
    unlike = (outcome["dissimilarity_debiased"].clip(min=0) ** 0.5).mean(("case", "seed")).transpose("arm", "step")
    unlike = unlike.where(outcome["step"] >= outcome["at"])
    figure, axes = _panels(
        len(kinds) + 1, 2.6, len(kinds) + 1, sharex=False, gridspec_kw={"width_ratios": [*[1] * len(kinds), 0.7]}
    )
    # Most values are far below those of the last steps: colours go with the root of what is shown.
    norm = PowerNorm(0.5, 0, float(unlike.max()) or 1)
    for kind, axis in zip(kinds, axes, strict=False):
        part = unlike.isel(arm=outcome["kind"].values == kind)
        # A row an erased step: those in between may not have been erased.
        matrix = pd.DataFrame(part.values, index=part["at"].values).reindex(rows)
        axis.set_facecolor("0.9")
        sns.heatmap(
            matrix, norm=norm, cmap="cividis", cbar=False, yticklabels="auto" if axis is axes[0] else False, ax=axis
        )
        axis.set_ylim(0, len(rows))
        axis.set(title=kind, xlabel="step", ylabel="erased step" if axis is axes[0] else "")
        axis.tick_params(axis="both", rotation=0)
        _draw_boundary(axis, outcome, "columns")
    figure.colorbar(axes[0].collections[0], ax=axes[:-1], label=words, location="bottom", shrink=0.6, aspect=40)
    lost = _damage(_tasks(outcomes[first])).sel(arm=outcome["arm"]).assign_coords(at=outcome["at"])
    sns.pointplot(
        _table(lost, "lost"),
        x="lost",
        y="at",
        hue="kind",
        order=rows,
        orient="y",
        markers=list(_MARKERS[: len(kinds)]),
        dodge=len(kinds) > 1 and 0.4,
        markersize=3.5,
        linewidth=1.2,
        ax=axes[-1],
        **INTERVAL,
    )
    axes[-1].set(title="score lost", xlabel="share", ylabel="", ylim=(-0.5, len(rows) - 0.5))
    axes[-1].axvline(0, color="0.7", linewidth=0.8, zorder=0)
    _figure_legend(figure, axes[-1], "kind")
    figure.suptitle(title)
    return caption(
        figure,
        f"{_counts({first: outcome})}; worlds with a task; grey: before the erasure;\nscore lost: {_MEAN}",
    )


def damage_grid(outcomes: Outcomes) -> Figure:
    """E3: share of videos whose plan is no longer the clean run's, for each erased cell of the step x frame grid."""
    title = "Share of plans changed by erasing one latent frame at one step"
    found = [each for each in _with_scope(outcomes, "cell").values() if each.attrs["order"] == "joint"]
    if not found:
        return _nothing(outcomes, title, "erasure of a cell in joint order")
    outcome = found[0]
    families = list(dict.fromkeys(outcome["family"].values))
    steps, frames = _place(outcome, "step"), _place(outcome, "latent_frame")
    figure, axes = _panels(len(families), 1.6, sharey=True, sharex=False)
    for family, axis in zip(families, axes, strict=True):
        changed = 1 - outcome["same_as_clean"].isel(case=outcome["family"].values == family).mean(("case", "seed"))
        table = pd.DataFrame({"frame": frames, "step": steps, "changed": changed.values})
        grid = table.pivot_table(index="frame", columns="step", values="changed")
        sns.heatmap(
            grid,
            vmin=0,
            vmax=1,
            cmap="cividis",
            ax=axis,
            annot=grid.shape[1] <= _MOST_WRITTEN,
            fmt=".2f",
            annot_kws={"fontsize": 6},
            cbar=False,
        )
        axis.invert_yaxis()
        axis.set_title(label(family), fontsize="small")
        axis.set(
            xlabel="erased step",
            ylabel="erased latent frame" if axis.get_subplotspec().is_first_col() else "",
        )
        axis.tick_params(axis="both", rotation=0)
        _draw_boundary(axis, outcome, "columns", grid.columns)
    bar = figure.colorbar(axes[0].collections[0], ax=axes, label="share changed", shrink=0.6)
    bar.outline.set_visible(False)
    figure.suptitle(title)
    kinds = list(dict.fromkeys(outcome["kind"].values))
    means = f"mean over {_some(len(kinds), 'kind')}: " if len(kinds) > 1 else "kind: "
    said = f"{_counts({'drawn': outcome})}; mean over cases; {means}{', '.join(kinds)}"
    return caption(figure, f"{said}\n{_variance(outcome, kinds[0])}")


def _variance(outcome: xr.Dataset, kind: str) -> str:
    """What cells cost other frames above the floor, and what explains it, in words; chance adds to all three."""
    mean = experiment_estimands.grid_above_floor(outcome, kind).mean("case")
    shares = zip(("step", "frame", "both"), experiment_estimands.grid_shares(mean.values), strict=True)
    explained = ", ".join(f"{what} {share:.2f}" for what, share in shares)
    least, most = float(mean.min()), float(mean.max())
    lost = f"other right frames lost ({kind}, above the floor): {least:.2f} to {most:.2f} a cell"
    return f"{lost};\nvariance over cells by {explained}"


def _moved(outcome: xr.Dataset, line: str) -> pd.DataFrame:
    """Mean change over the distance to an erased cell: of the latents, and of the states read; a row a case."""
    at = _place(outcome, "latent_frame")
    frames, latents = outcome.sizes["frame"], outcome.sizes["latent_frame"]
    # The latent frame that each video frame is of: the first stands alone, the others share theirs evenly.
    of_frame = np.ceil(np.arange(frames) * (latents - 1) / (frames - 1)).astype(int)
    rows = []
    for what, values, places in (
        ("latents", outcome["frame_change"], np.arange(latents)),
        ("plan", outcome["plan_changed"], of_frame),
    ):
        dim = values.dims[-1]
        table = _table(values.assign_coords(at=("arm", at), place=(dim, places)), "change")
        table["distance"] = table["place"] - table["at"]
        table = table[(table["place"] > 0) & (table["distance"] != 0)]
        table = table.groupby(["case", "distance"], as_index=False)["change"].mean()
        rows.append(table.assign(what=what, line=line))
    return pd.concat(rows)


def damage_direction(outcomes: Outcomes) -> Figure:
    """E4: change of the frames before and after an erased one, by order: of the latents, and of the plan."""
    title = "Which way damage goes: before and after an erased cell"
    found = {name: _tasks(each) for name, each in _with_scope(outcomes, "cell").items()}
    found = {name: each for name, each in found.items() if each.sizes["case"]}
    if not found:
        return _nothing(outcomes, title, "erasure of a cell in a world with a task")
    orders = [each.attrs["order"] for each in found.values()]
    rows = []
    for name, outcome in found.items():
        clean = _tasks(outcomes[name])["plan"].isel(arm=0, drop=True)
        outcome = outcome.assign(plan_changed=(outcome["plan"] != clean).astype(float))
        level = outcome["sigma"].where(outcome["erased"].any("arm"))
        line = label(outcome.attrs["order"] if len(set(orders)) == len(orders) else name)
        rows.append(_moved(outcome, f"{line}\n(at σ {span(level.to_series().round(2))})"))
    table = pd.concat(rows)
    lines = list(dict.fromkeys(table["line"]))
    figure, axes = _panels(2, 2.4, 2, sharex=False)
    words = {"latents": "relative change of latents", "plan": "share of states changed"}
    for axis, (what, measure) in zip(axes, words.items(), strict=True):
        part = table[table["what"] == what]
        drawn = {"hue": "line", "style": "line", "hue_order": lines, "style_order": lines}
        # Two lines apart: nothing goes through the erased frame itself.
        for side in (part[part["distance"] < 0], part[part["distance"] > 0]):
            if len(side):
                bars = {"err_style": "bars", "markers": True, "dashes": False}
                last = axis is axes[-1] and axis.get_legend() is None
                sns.lineplot(side, x="distance", y="change", legend=last, ax=axis, **drawn, **bars, **INTERVAL)
        axis.axvspan(-0.5, 0.5, color="0.93", zorder=0)
        axis.set(xlabel="latent frame - erased latent frame", ylabel=measure)
        axis.set_ylim(bottom=min(0, axis.get_ylim()[0]))
        _whole(axis)
    _figure_legend(figure, axes[-1], "order")
    figure.suptitle(title)
    return caption(
        figure,
        f"{_counts(found)}; {_MEAN}; worlds with a task;\nleft of 0: frames before the erased one, right: after it",
    )


def plant_outcome(outcomes: Outcomes) -> Figure:
    """E5: share of frames that follow a planted plan where it differs from the clean run's, before, in and after it.

    Videos whose clean run shows one of the two plans are drawn: there the other one is planted. The base rate is the
    same frame, step and noise with what the run itself holds there; the control plants the clean run's own plan.
    """
    title = "A plan planted in one frame: which follow it"
    rows = []
    for name, outcome in outcomes.items():
        free = outcome.isel(arm=outcome["planted"].values >= 0, frame=slice(1, None))
        kept = ["side", "differs", "answers"]
        table = free["follows"].assign_coords({each: free[each] for each in kept}).to_dataframe().reset_index()
        # The two plans differ: where the clean run differs from neither, no frame could be planted.
        at = ["case", "seed", "planted_step", "planted_after"]
        table = table[table.groupby(at)["differs"].transform("max") > 0]
        table["own"] = table.groupby(["case", "seed", "arm"])["differs"].transform("max") == 0
        table["known"] = table.groupby(["case", "seed"])["own"].transform("max")
        rows.append(table.assign(panel=f"{label(outcome.attrs['order'])}\n", name=name))
    table = pd.concat(rows)
    table["panel"] += table["answers"].map(
        lambda number: "one right answer" if number == 1 else "several right answers"
    )
    videos = table.groupby(["panel", "name", "case", "seed"])["known"].first().groupby("panel").agg(["sum", "size"])
    table = table[table["known"] & (table["own"] | (table["differs"] == 1))]
    if table.empty:
        return _nothing(outcomes, title, "plan planted beside the clean run's own")
    panels = list(dict.fromkeys(table["panel"]))
    figure, axes = _panels(len(panels), 2.5, 3, sharey=True, sharex=False)
    places, control = ("earlier frames", "planted frame", "later frames"), "control: own plan"
    table["place"] = table["side"].map(dict(zip((-1, 0, 1), places, strict=True))).mask(table["own"], control)
    points = {
        "x": "planted_step",
        "y": "follows",
        "hue": "place",
        "hue_order": [*places, control],
        "palette": [*sns.color_palette()[: len(places)], (0.4, 0.4, 0.4)],
        "markers": list(_MARKERS),
        "dodge": 0.4,
        "linewidth": 1.2,
    }
    # Larger and beneath: a ring where it is as high as the plan's.
    ring = {"linestyle": ":", "markersize": 7, "markerfacecolor": "white", "errorbar": None, "legend": False}
    for panel, axis in zip(panels, axes, strict=True):
        part = table[table["panel"] == panel]
        _draw_boundary(axis, outcomes[part["name"].iloc[0]], "points", sorted(part["planted_step"].unique()))
        # Seeds have one value each of their case, however many of their frames differ.
        for within in (["case", "seed"], ["case"]):
            part = part.groupby([*within, "place", "written", "planted_step"], as_index=False)["follows"].mean()
        plan, base = (part[part["written"] == each] for each in ("plan", "resample"))
        base = base[base["place"] != control]
        sns.pointplot(base, ax=axis, **ring, **points)
        sns.pointplot(plan, legend=axis is axes[-1], markersize=4, ax=axis, **points, **INTERVAL)
        known, planted = videos.loc[panel]
        axis.set_title(f"{panel}\n({known} of {_some(planted, 'video')})", fontsize="small")
        axis.set(xlabel="planted before step", ylabel="share that follows", ylim=(-0.04, 1.04))
    _figure_legend(figure, axes[-1])
    figure.suptitle(title)
    return caption(
        figure,
        f"{_counts(outcomes)}; {_MEAN};\n"
        "frames in which the planted plan differs from the clean run's, of planted videos whose\n"
        "clean run shows one of the two; open, dotted: base rate, nothing planted;\n"
        "steps are the frame's own; no mark: there is no such frame",
    )


def swap_flips(outcomes: Outcomes) -> Figure:
    """C9: flip rate by layer and steps swapped, with a donor of another answer and, as control, of the same."""
    title = "One block's output from another scene: share of videos"
    columns = []
    for name, outcome in outcomes.items():
        swapped = outcome.isel(arm=outcome["swapped_layer"].values >= 0)
        spans = zip(swapped["first_step"].values.tolist(), swapped["last_step"].values.tolist(), strict=True)
        columns += [(name, swapped, *span) for span in dict.fromkeys(spans)]
    if not columns:
        return _nothing(outcomes, title, "swapped layer")
    names = {"flips": "ends otherwise", "takes_donors_end": "ends as the donor"}
    figure, axes = _panels(2 * len(columns), 2.0, len(columns), sharey=True, sharex=False)
    for row, (measure, words) in enumerate(names.items()):
        for (name, swapped, first, last), axis in zip(columns, axes[row * len(columns) :], strict=False):
            here = swapped.isel(arm=(swapped["first_step"] == first).values & (swapped["last_step"] == last).values)
            table = _table(here[measure].astype(float), "share")
            table["donor"] = table["donor"].map(label)
            donors = list(dict.fromkeys(table["donor"]))
            if measure == "takes_donors_end":
                base = _table(here["clean_takes_donors_end"].astype(float), "share")
                base = base.groupby(base["donor"].map(label))["share"].mean()
                for color, donor in zip(sns.color_palette(), donors, strict=False):
                    axis.axhline(base[donor], color=color, linestyle=":", linewidth=1, zorder=0)
            sns.lineplot(
                table,
                x="swapped_layer",
                y="share",
                hue="donor",
                hue_order=donors,
                style="donor",
                markers=True,
                dashes=False,
                legend=axis is axes[0],
                ax=axis,
                **INTERVAL,
            )
            span = f"step {first}" if first == last else f"steps {first}-{last}"
            axis.set_title(f"{label(name)}\n{span}" if row == 0 else "", fontsize="small")
            axis.set(xlabel="layer", ylabel=words, ylim=(-0.04, 1.04))
            _whole(axis)
    _figure_legend(figure, axes[0], "donor with")
    figure.suptitle(title)
    return caption(
        figure,
        f"{_counts(outcomes)}; {_MEAN};\n"
        "swap: what the block adds; swap tokens: all it puts out, alike at any layer;\n"
        "dotted: how often the undisturbed video ends as that donor's",
    )


def ensemble_gain(outcomes: Outcomes) -> Figure:
    """C10: success of each arm less that of one stream, with its network evaluations."""
    title = "Averages over seeds, and what costs as much"
    rows = []
    for outcome in outcomes.values():
        gain = (outcome["correct"] == 1).astype(float)
        table = _table(gain - gain.isel(arm=0, drop=True), "gain")
        rows.append(table[(table["arm"] != outcome["arm"].values[0]) & ~table["arm"].str.startswith("member")])
    table = pd.concat(rows)
    if table.empty:
        return _nothing(outcomes, title, "average or choice")
    # The number counts draws of layers; after their name alone it reads as a layer.
    table["what"] = table["arm"].str.replace(
        r"(random layers) (\d+)$", lambda found: f"{found[1]}, draw {int(found[2]) + 1}", regex=True
    )
    table["what"] += " (" + table["evaluations"].astype(str) + ")"
    figure, (axis,) = _panels(1, 0.24 * table["what"].nunique() + 0.4)
    sns.pointplot(table, x="gain", y="what", linestyle="none", markersize=4, ax=axis, **INTERVAL)
    axis.axvline(0, color="0.7", linewidth=0.8, zorder=0)
    base = float((next(iter(outcomes.values()))["correct"].isel(arm=0) == 1).mean())
    axis.set(xlabel=f"share solved, less that of one stream ({base:.2f})", ylabel="")
    figure.suptitle(title)
    return caption(
        figure,
        f"in brackets: network evaluations, one guidance pass; {_counts(outcomes)};\npaired in their case; {_MEAN}",
    )


def success_by_order(outcomes: Outcomes) -> Figure:
    """E13: share solved over network evaluations, by order, in the easier and the harder half of all families."""
    # Cases that every order was asked of.
    common = sorted(set.intersection(*(set(each["case"].values) for each in outcomes.values())))
    if not common:
        return _nothing(outcomes, "Success by order and network evaluations", "case that every order was asked of")
    drawn = {name: each.sel(case=common) for name, each in outcomes.items()}
    outcome = next(iter(drawn.values()))
    most = max(int(each["frames_made"].max()) for each in drawn.values())
    wholes = [each.isel(arm=each["frames_made"].values == most) for each in drawn.values()]
    table = pd.concat([_table((whole["correct"] == 1).astype(float), "solved") for whole in wholes])
    table = table.drop_duplicates(["case", "arm"])
    middle = table.groupby("family")["difficulty"].transform("median")
    table["half"] = np.where(table["difficulty"] > middle, "harder half", "easier half")
    table["order"] = table["sampling_order"].map(label)
    orders = list(dict.fromkeys(table["order"]))
    # Orders that cost alike stand side by side, the first at their cost.
    arms = table[["order", "evaluations"]].drop_duplicates()
    table = table.merge(arms.assign(beside=arms.groupby("evaluations").cumcount()))
    table["at"] = table["evaluations"] * 1.07 ** table["beside"]
    low, high = np.log2(table["evaluations"].agg(["min", "max"]))
    ticks = [2**power for power in range(int(low), int(np.ceil(high)) + 1)]
    halves = sorted(table["half"].unique())
    figure, axes = _panels(len(halves), 2.5, sharey=True)
    for half, axis in zip(halves, axes, strict=True):
        part = table[table["half"] == half]
        sns.lineplot(
            part,
            x="at",
            y="solved",
            hue="order",
            hue_order=orders,
            style="order",
            style_order=orders,
            markers=list(_MARKERS[: len(orders)]),
            dashes=False,
            markersize=5,
            err_style="bars",
            err_kws={"linewidth": 1},
            legend=axis is axes[-1],
            ax=axis,
            **INTERVAL,
        )
        axis.set(xscale="log", ylim=(-0.04, 1.04), xlabel="network evaluations", ylabel="share solved")
        axis.set_xticks(ticks, [f"{tick}" for tick in ticks])
        axis.minorticks_off()
        axis.set_title(f"{half} ({_some(part['case'].nunique(), 'case')})", fontsize="small")
    _figure_legend(figure, axes[-1], "order")
    figure.suptitle(f"Success by order and network evaluations, {label(outcome.attrs['model_id'])}")
    return caption(
        figure,
        f"{_counts({'drawn': outcome})}; {_MEAN},\n"
        "families together; harder: above the family's median difficulty;\n"
        "orders of equal cost stand side by side, the first at it",
    )


def _begins(outcome: xr.Dataset) -> xr.DataArray:
    """Whether a video begins right, less whether as many first frames of the full one do: fewer are easier."""
    return outcome["beginning_correct"].astype(float) - outcome["clean_begins"]


def fewer_frames_and_steps(outcomes: Outcomes) -> Figure:
    """E14, C11, C12: beginnings of right answers by frames made; success by steps in joint order."""
    outcome = next(iter(outcomes.values()))
    title = f"Fewer frames, fewer steps: {label(outcome.attrs['model_id'])}, joint order"
    joint = outcome.isel(arm=outcome["sampling_order"].values == "joint")
    if not joint.sizes["arm"]:
        return _nothing(outcomes, title, "joint order")
    most = joint["steps"].values.max()
    halves = (
        (
            _begins(joint.isel(arm=joint["steps"].values == most)),
            "frames_made",
            "frames made",
            "begins right, less the full video",
        ),
        (
            joint.isel(arm=joint["frames_made"].values == joint["frames_made"].values.max())["correct"] == 1,
            "steps",
            "steps",
            "share solved",
        ),
    )
    rows = [*dict.fromkeys(outcome["family"].values.tolist()), "all"]
    figure, axes = _panels(2, 0.36 * len(rows) + 0.5, 2, sharex=False)
    for (values, x, words, share), axis in zip(halves, axes, strict=True):
        table = _table(values.astype(float), "share")
        made = sorted(table[x].unique())
        sns.pointplot(
            pd.concat([table, table.assign(family="all")]),
            x="share",
            y="family",
            order=rows,
            hue=x,
            hue_order=made,
            palette=sns.color_palette("viridis", len(made)),
            markers=list(_MARKERS[: len(made)]) if len(made) <= len(_MARKERS) else "o",
            linestyle="none",
            dodge=len(made) > 1 and 0.5,
            markersize=4,
            linewidth=1.2,
            ax=axis,
            **INTERVAL,
        )
        axis.axhline(len(rows) - 1.5, color="0.7", linewidth=0.8)
        axis.set(xlabel=share, ylabel="")
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.set_yticks(range(len(rows)), [label(row) for row in rows] if axis is axes[0] else [])
        above = {"loc": "lower center", "bbox_to_anchor": (0.5, 1), "ncols": 4}
        axis.legend(title=words, frameon=False, fontsize="x-small", **above)
    figure.suptitle(title)
    return caption(figure, f"{_counts({'drawn': outcome})}; {_MEAN};\nno bar: all cases alike")


def layer_energy(outcomes: Outcomes) -> Figure:
    """C8: energy of each block's tokens by latent frame, and of the mover's tokens over all others."""
    outcome = next(iter(outcomes.values()))
    steps = outcome["observed_step"].values
    figure, axes = _panels(len(steps) + 1, 2.2, 4, sharex=False)
    energy = outcome["energy"].mean(("case", "seed"))
    # The given frame holds no noise: it would set the range of colours alone.
    free = energy.where(energy["latent_frame"] > 0)
    relative = free / free.mean("latent_frame")
    low, high = float(relative.min()), float(relative.max())
    every = max(1, relative.sizes["latent_frame"] // 4)
    for step, axis in zip(steps, axes, strict=False):
        part = relative.sel(observed_step=step).transpose("layer", "latent_frame").to_pandas()
        sns.heatmap(part, cmap="cividis", vmin=low, vmax=high, ax=axis, cbar=False, xticklabels=every)
        axis.invert_yaxis()
        axis.axvspan(0, 1, facecolor="0.9", edgecolor="0.7", hatch="////", linewidth=0)
        box = {"facecolor": "0.9", "linewidth": 0, "pad": 1}
        axis.text(0.5, len(part) / 2, "given", rotation=90, ha="center", va="center", fontsize="x-small", bbox=box)
        axis.set(title=f"step {step}", xlabel="latent frame", ylabel="layer" if axis is axes[0] else "")
        axis.tick_params(axis="both", rotation=0)
    bar = {"location": "bottom", "shrink": 0.6, "aspect": 40}
    figure.colorbar(axes[0].collections[0], ax=axes[:-1], label="energy / layer's mean", **bar)
    ratio = _table(outcome["object_ratio"].where(outcome["object_ratio"] > 0), "ratio")
    ratio["step"] = ratio["observed_step"].astype(str)
    sns.lineplot(ratio, x="layer", y="ratio", hue="step", ax=axes[-1], **INTERVAL)
    axes[-1].axhline(1, color="0.7", linewidth=0.8, zorder=0)
    axes[-1].set(title="mover / the rest", xlabel="layer", ylabel="ratio of energies")
    axes[-1].legend(frameon=False, fontsize="x-small", title="step")
    _whole(axes[-1])
    figure.suptitle("Energy of block outputs, relative to each layer's mean over free frames")
    return caption(
        figure,
        f"{_counts({'drawn': outcome})}; energy: L2 norm of tokens, mean over cases;\nratio, of free frames: {_MEAN}",
    )


def layer_probes(outcomes: Outcomes) -> Figure:
    """E10, E11: what linear probes read off each block, beside the same fitted with other cases' labels.

    A world that is in several datasets is shown as read off the one with most of its cases.
    """
    cases = pd.DataFrame({name: pd.Series(each["family"].values).value_counts() for name, each in outcomes.items()})
    chosen = cases.idxmax(axis=1)
    parts = []
    for name, outcome in outcomes.items():
        asked = outcome[["probe_score", "probe_control"]].where(outcome["probe_score"] >= 0)
        part = asked.to_dataframe().reset_index().dropna(subset="probe_score")
        parts.append(part[part["world"].map(chosen) == name])
    table = pd.concat(parts, ignore_index=True)
    table["step"] = table["observed_step"].astype(str)
    variables = list(dict.fromkeys(table["variable"]))
    title = "What linear probes read off each block, on held-out cases"
    if not variables:
        return _nothing(outcomes, title, "variable that any world has")
    figure, axes = _panels(len(variables), 2.4, 3, sharey=True)
    for variable, axis in zip(variables, axes, strict=True):
        part = table[table["variable"] == variable]
        line = {"x": "layer", "hue": "step", "ax": axis}
        # Of all worlds: their range is the spread.
        spread = {"errorbar": ("pi", 100), "err_kws": {"alpha": 0.12}}
        sns.lineplot(part, y="probe_score", marker="o", markersize=3, legend=axis is axes[0], **spread, **line)
        sns.lineplot(part, y="probe_control", linestyle="--", errorbar=None, legend=False, **line)
        worlds = part["world"].nunique()
        axis.set(
            title=f"{variable} ({worlds} world{'s' * (worlds > 1)})",
            xlabel="layer",
            ylabel="balanced accuracy",
            ylim=(0, 1.04),
        )
        _whole(axis)
    axes[0].legend(frameon=False, fontsize="x-small", title="step", handlelength=3)
    figure.suptitle(title)
    drawn = {name: each.isel(case=chosen[each["family"].values].values == name) for name, each in outcomes.items()}
    return caption(
        figure,
        f"{_counts(drawn)}; mean over worlds, bands: lowest to highest;\ndashed: fitted with other cases' labels",
    )


def layer_similarity(outcomes: Outcomes) -> Figure:
    """Debiased CKA of each pair of blocks, by step."""
    outcome = next(iter(outcomes.values()))
    steps = outcome["observed_step"].values
    figure, axes = _panels(len(steps), 1.6, 4, sharex=False)
    for step, axis in zip(steps, axes, strict=True):
        part = outcome["similarity"].sel(observed_step=step).mean("world").to_pandas()
        sns.heatmap(part, cmap="cividis", vmin=0, vmax=1, square=True, ax=axis, cbar=False)
        axis.invert_yaxis()
        axis.set(title=f"step {step}", xlabel="layer", ylabel="layer" if axis is axes[0] else "")
        axis.tick_params(axis="both", rotation=0)
    figure.colorbar(axes[-1].collections[0], ax=axes, label="CKA", shrink=0.8)
    figure.suptitle("How alike blocks' outputs are: debiased linear CKA")
    return caption(figure, f"{_counts({'drawn': outcome})}; mean over worlds")


FIGURES: dict[str, dict[str, Callable[[Outcomes], Figure]]] = {
    "erasure": {
        each.__name__: each for each in (damage_by_dose, same_by_step, propagation, damage_grid, damage_direction)
    },
    "plant": {"plant_outcome": plant_outcome},
    "swap": {"swap_flips": swap_flips},
    "ensemble": {"ensemble_gain": ensemble_gain},
    "orders": {each.__name__: each for each in (success_by_order, fewer_frames_and_steps)},
    "layers": {each.__name__: each for each in (layer_energy, layer_probes, layer_similarity)},
}
