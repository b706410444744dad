"""The experiments' figures: a function each, over datasets of one kind by name.

For models of two networks, the place where one takes over from the other is drawn over steps and σ.
"""

from __future__ import annotations

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from chainofsteps.figures.style import COLUMN_INCHES, INTERVAL, caption, label, use_style

Outcomes = dict[str, xr.Dataset]

SOLVED = ", solved"
TASKS, FLOOR = "worlds with a task", "solved: nothing to do"
_COLUMNS = 4


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
    """The n of a caption."""
    first = next(iter(outcomes.values()))
    families = pd.Series(first["family"].values).value_counts()
    return f"{first.attrs['purpose']} cases, {families.max()} a family x {first.sizes['seed']} seeds"


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


def _draw_boundary(axis: Axes, outcome: xr.Dataset, over: str) -> None:
    """Where a model of two networks passes from one to the other, over ``step`` or ``sigma``."""
    if outcome.attrs["boundary"] == "none":
        return
    level = float(outcome.attrs["boundary"])
    before = int((outcome["sigma"].max("latent_frame") >= level).sum())
    axis.axvline(level if over == "sigma" else before - 0.5, color="0.4", linestyle="-.", linewidth=1)


_MEAN = "mean over cases, 95 % bootstrap over cases"


def damage_by_dose(outcomes: Outcomes) -> Figure:
    """E2, C1, C2: what one erased step and one erased frame cost, and sets of k of them, by kind.

    Above, the score of the whole plan; below, the share of right frames among those not erased at every step.

    Parameters
    ----------
    outcomes : dict
        Name -> ``erasure`` dataset.
    """
    outcome = outcomes[next(name for name, each in outcomes.items() if "step" in each["scope"].values)]
    erased = outcome["erased"]
    grid = int(erased.any(("arm", "latent_frame")).sum() * erased.any(("arm", "step")).sum())
    dose = (100 * erased.sum(("step", "latent_frame")) / grid).round().astype(int)
    some = outcome["scope"].isin(["step", "frame", "steps", "frames"]).values
    kinds = list(dict.fromkeys(outcome["kind"].values[some]))
    figure, axes = _panels(2 * len(kinds), 2.1, len(kinds), sharey=True)
    measures = {"correct": "score lost", "others_correct": "other frames lost"}
    for row, (name, words) in enumerate(measures.items()):
        lost = (outcome[name].isel(arm=0, drop=True) - outcome[name]).assign_coords(dose=dose).isel(arm=some)
        table = _table(lost, "lost")
        table["what"] = np.where(table["scope"].str.startswith("step"), "steps", "frames")
        table["what"] += np.where(table["world"] == FLOOR, ", solved", "")
        # Arms of one kind and dose ask the same at several places: a case has one value of them.
        table = table.groupby(["case", "kind", "what", "dose"], as_index=False)["lost"].mean()
        order = [what for what in ("steps", "frames", "steps, solved", "frames, solved") if what in set(table["what"])]
        for kind, axis in zip(kinds, axes[row * len(kinds) :], strict=False):
            sns.pointplot(
                table[table["kind"] == kind],
                x="dose",
                y="lost",
                hue="what",
                order=sorted(table["dose"].unique()),
                hue_order=order,
                markers=["o", "s", "o", "s"][: len(order)],
                linestyles=["-", "-", ":", ":"][: len(order)],
                palette=[sns.color_palette()[what.startswith("frames")] for what in order],
                dodge=0.3,
                markersize=4,
                linewidth=1.2,
                ax=axis,
                **INTERVAL,
            )
            handles, labels = axis.get_legend_handles_labels()
            axis.get_legend().remove()
            axis.axhline(0, color="0.7", linewidth=0.8, zorder=0)
            axis.set(title=kind if row == 0 else "", xlabel="erased (% of the grid)", ylabel=words)
    figure.legend(handles, labels, frameon=False, fontsize="x-small", loc="outside right upper", title="erased")
    figure.suptitle("What erased steps and erased frames cost, at equal dose")
    return caption(
        figure,
        f"{_counts(outcomes)}; {_MEAN}; arms of one dose averaged in their case;\n"
        "other frames: free ones not erased at every step; solved: nothing to do, the clean-up floor",
    )


def same_by_step(outcomes: Outcomes) -> Figure:
    """Sensitivity over step and σ (C3, E6): what stays right, and what stays the same, after erasing one step."""
    outcome = next(iter(_with_scope(outcomes, "step").values()))
    names = {"correct": "share of the score kept", "same_as_clean": "share with the clean run's plan"}
    figure, axes = _panels(4, 2.1, 2, sharey=True, sharex=False)
    places = _place(outcome, "step")
    sigma = outcome["sigma"].max("latent_frame").values
    for row, (name, words) in enumerate(names.items()):
        values = outcome[name].astype(float).assign_coords(at=("arm", places), level=("arm", sigma[places]))
        table = _table(values, "kept")
        for axis, x, words_x in zip(
            axes[2 * row :], ("at", "level"), ("erased step", "σ of the erased step"), strict=False
        ):
            line = {"hue": "kind", "style": "world", "style_order": [TASKS, FLOOR], "markers": True, "markersize": 4}
            sns.lineplot(table, x=x, y="kept", legend=axis is axes[1], ax=axis, **line, **INTERVAL)
            axis.set(xlabel=words_x, ylabel=words, ylim=(-0.04, 1.04))
            if x == "at":
                _whole(axis)
            else:
                axis.invert_xaxis()
            _draw_boundary(axis, outcome, "step" if x == "at" else "sigma")
    axes[1].legend(frameon=False, fontsize="x-small", loc="lower left")
    figure.suptitle("After erasing all frames at one step")
    return caption(figure, f"{_counts(outcomes)}; {_MEAN}")


def propagation(outcomes: Outcomes, debiased: bool = False) -> Figure:
    """C3's matrix: unlikeness to the clean run at each later step, over the erased step; dashed, the score lost."""
    outcome = next(iter(_with_scope(outcomes, "step").values()))
    outcome = outcome.isel(case=[not family.endswith(SOLVED) for family in outcome["family"].values])
    measure = "dissimilarity_debiased" if debiased else "dissimilarity"
    kinds = list(dict.fromkeys(outcome["kind"].values))
    figure, axes = _panels(len(kinds), 2.4, sharey=True)
    whole = outcomes[next(iter(_with_scope(outcomes, "step")))]
    lost = _damage(whole).isel(case=[not family.endswith(SOLVED) for family in whole["family"].values])
    for kind, axis in zip(kinds, axes, strict=True):
        part = outcome.isel(arm=outcome["kind"].values == kind)
        steps = _place(part, "step")
        matrix = part[measure].mean(("case", "seed")).transpose("arm", "step").values
        matrix = np.where(np.arange(matrix.shape[1]) >= steps[:, None], matrix, np.nan)
        last = axis is axes[-1]
        axis.set_facecolor("0.9")
        image = axis.imshow(
            matrix,
            origin="lower",
            aspect="auto",
            cmap="cividis",
            vmin=0,
            vmax=1,
            extent=(-0.5, matrix.shape[1] - 0.5, steps[0] - 0.5, steps[-1] + 0.5),
        )
        for (place, step), value in np.ndenumerate(matrix):
            if np.isfinite(value):
                axis.text(
                    step,
                    steps[place],
                    f"{value:.2f}"[1 if value < 1 else 0 :],
                    fontsize=5,
                    ha="center",
                    va="center",
                    color="0.5",
                )
        curve = lost.sel(arm=part["arm"]).mean(("case", "seed")).values
        beside = axis.twiny()
        beside.plot(curve, steps, linestyle="--", color=sns.color_palette()[1], linewidth=1.8)
        beside.set(xlim=(-0.1, 1))
        beside.set_xlabel("score lost (dashed)", fontsize="x-small")
        beside.tick_params(labelsize="x-small")
        axis.set(title=kind, xlabel="step", ylabel="erased step" if axis is axes[0] else "")
        _draw_boundary(axis, outcome, "step")
        _whole(axis, "xy")
        if last:
            figure.colorbar(image, ax=axis, label="1 - CKA")
    figure.suptitle("Does an erased step come back? 1 - CKA to the clean run")
    return caption(figure, f"{_counts(outcomes)}; mean over cases of worlds with a task; grey: before the erasure")


def damage_grid(outcomes: Outcomes) -> Figure:
    """E3: share of videos whose plan is no longer the clean run's, for each erased cell of the step x frame grid."""
    outcome = next(each for each in _with_scope(outcomes, "cell").values() if each.attrs["order"] == "joint")
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
            annot=True,
            fmt=".2f",
            annot_kws={"fontsize": 6},
            cbar=False,
        )
        axis.invert_yaxis()
        axis.set_title(label(family), fontsize="small")
        axis.set(
            xlabel="erased step",
            ylabel="erased frame" if axis.get_subplotspec().is_first_col() else "",
        )
        axis.tick_params(axis="both", rotation=0)
    figure.suptitle("Share of plans changed by erasing one latent frame at one step")
    return caption(figure, f"{_counts(outcomes)}; kind: {', '.join(dict.fromkeys(outcome['kind'].values))}")


def damage_direction(outcomes: Outcomes) -> Figure:
    """E4: change of the frames before and after an erased one, by order."""
    rows = []
    for outcome in _with_scope(outcomes, "cell").values():
        task = outcome.isel(case=[not family.endswith(SOLVED) for family in outcome["family"].values])
        frames = _place(task, "latent_frame")
        change = _table(task["frame_change"].assign_coords(at=("arm", frames)), "change")
        change["distance"] = change["latent_frame"] - change["at"]
        moved = change[(change["distance"] != 0) & (change["latent_frame"] > 0)].assign(
            order=label(outcome.attrs["order"])
        )
        rows.append(moved.groupby(["case", "order", "distance"], as_index=False)["change"].mean())
    table = pd.concat(rows)
    figure, (axis,) = _panels(1, 2.6)
    for side in (table["distance"] < 0, table["distance"] > 0):
        sns.lineplot(
            table[side],
            x="distance",
            y="change",
            hue="order",
            style="order",
            markers=True,
            dashes=False,
            legend=bool(side.iloc[-1]),
            ax=axis,
            **INTERVAL,
        )
    axis.axvline(0, color="0.7", linewidth=0.8)
    axis.set(xlabel="frame - erased frame", ylabel="change of the finished latents\n(relative to the clean frame)")
    axis.legend(frameon=False, title=None)
    _whole(axis)
    figure.suptitle("Which way damage goes: before and after an erased cell")
    return caption(figure, f"{_counts(outcomes)}; {_MEAN}; worlds with a task")


def plant_outcome(outcomes: Outcomes) -> Figure:
    """E5: share of frames that follow a planted plan where it differs from the clean run's, before, in and after it."""
    figure, axes = _panels(len(outcomes), 2.5, 2, sharey=True, sharex=False)
    places = ("earlier frames", "planted frame", "later frames")
    for outcome, axis in zip(outcomes.values(), axes, strict=True):
        planted = outcome.isel(arm=outcome["planted"].values >= 0)
        follows = planted["follows"].where(planted["differs"] == 1)
        table = follows.rename("follows").assign_coords(side=planted["side"]).to_dataframe().reset_index()
        table = table.dropna(subset="follows")
        table = table[table["frame"] > 0]
        table["place"] = table["side"].map(dict(zip((-1, 0, 1), places, strict=True)))
        table = table.groupby(["case", "place", "planted_step"], as_index=False)["follows"].mean()
        sns.lineplot(
            table,
            x="planted_step",
            y="follows",
            hue="place",
            hue_order=places,
            style="place",
            style_order=places,
            markers=True,
            dashes=False,
            legend=axis is axes[0],
            ax=axis,
            **INTERVAL,
        )
        axis.set(
            title=label(outcome.attrs["order"]),
            xlabel="step planted before (the frame's own)",
            ylabel="share that follows the plant",
            ylim=(-0.04, 1.04),
        )
        _whole(axis)
    axes[0].legend(frameon=False, fontsize="x-small", title=None)
    figure.suptitle("A plan planted in one latent frame: which frames follow it")
    return caption(
        figure, f"{_counts(outcomes)}; {_MEAN};\nframes in which the planted plan differs from the clean run's"
    )


def swap_flips(outcomes: Outcomes) -> Figure:
    """C9: flip rate by layer and steps swapped, with a donor of another answer and, as control, of the same."""
    outcome = next(iter(outcomes.values()))
    swapped = outcome.isel(arm=outcome["swapped_layer"].values >= 0)
    spans = list(
        dict.fromkeys(zip(swapped["first_step"].values.tolist(), swapped["last_step"].values.tolist(), strict=True))
    )
    names = {"flips": "ends otherwise", "takes_donors_end": "ends as the donor"}
    figure, axes = _panels(2 * len(spans), 2.0, len(spans), sharey=True)
    for row, (name, words) in enumerate(names.items()):
        table = _table(swapped[name].astype(float), "share")
        table["donor"] = table["donor"].map(label)
        for (first, last), axis in zip(spans, axes[row * len(spans) :], strict=False):
            part = table[(table["first_step"] == first) & (table["last_step"] == last)]
            sns.lineplot(
                part,
                x="swapped_layer",
                y="share",
                hue="donor",
                style="donor",
                markers=True,
                dashes=False,
                legend=axis is axes[0],
                ax=axis,
                **INTERVAL,
            )
            title = f"step {first}" if first == last else f"steps {first} to {last}"
            axis.set(title=title if row == 0 else "", xlabel="swapped layer", ylabel=words, ylim=(-0.04, 1.04))
            _whole(axis)
    axes[0].legend(frameon=False, fontsize="x-small", title="donor with")
    figure.suptitle("One block's tokens from another scene: share of videos")
    return caption(figure, f"{_counts(outcomes)}; {_MEAN}")


def ensemble_gain(outcomes: Outcomes) -> Figure:
    """C10: success of each arm less that of one stream, with its network evaluations."""
    rows = []
    for outcome in outcomes.values():
        gain = (outcome["correct"] == 1).astype(float)
        table = _table(gain - gain.isel(arm=0, drop=True), "gain")
        rows.append(table[(table["arm"] != outcome["arm"].values[0]) & ~table["arm"].str.startswith("member")])
    table = pd.concat(rows)
    table["what"] = table["arm"] + " (" + table["evaluations"].astype(str) + ")"
    figure, (axis,) = _panels(1, 0.24 * table["what"].nunique() + 0.4)
    sns.pointplot(table, x="gain", y="what", linestyle="none", markersize=4, ax=axis, **INTERVAL)
    axis.axvline(0, color="0.7", linewidth=0.8, zorder=0)
    base = float((next(iter(outcomes.values()))["correct"].isel(arm=0) == 1).mean())
    axis.set(xlabel=f"share solved, less that of one stream ({base:.2f})", ylabel="")
    figure.suptitle("Averages over seeds at the first step, and what costs as much")
    return caption(figure, f"in brackets: network evaluations; {_counts(outcomes)}; {_MEAN}")


def success_by_order(outcomes: Outcomes) -> Figure:
    """E13: share solved over network evaluations, by order, in the easier and the harder half of each family."""
    outcome = next(iter(outcomes.values()))
    whole = outcome.isel(arm=outcome["frames_made"].values == outcome["frames_made"].values.max())
    table = _table((whole["correct"] == 1).astype(float), "solved")
    middle = table.groupby("family")["difficulty"].transform("median")
    table["half"] = np.where(table["difficulty"] > middle, "harder half", "easier half")
    families = list(dict.fromkeys(table["family"]))
    figure, axes = _panels(len(families), 1.7, sharey=True)
    for family, axis in zip(families, axes, strict=True):
        part = table[table["family"] == family]
        sns.lineplot(
            part.assign(order=part["sampling_order"].map(label)),
            x="evaluations",
            y="solved",
            hue="order",
            style="half",
            style_order=["easier half", "harder half"],
            markers=True,
            markersize=4,
            errorbar=None,
            legend=axis is axes[-1],
            ax=axis,
        )
        axis.set(xscale="log", ylim=(-0.04, 1.04), xlabel="evaluations", ylabel="share solved")
        axis.set_xticks([1, 4, 16], ["1", "4", "16"])
        axis.minorticks_off()
        axis.set_title(label(family), fontsize="small")
    handles, labels = axes[-1].get_legend_handles_labels()
    axes[-1].get_legend().remove()
    figure.legend(handles, labels, frameon=False, fontsize="x-small", loc="outside right upper")
    figure.suptitle(f"Success by order and network evaluations, {label(outcome.attrs['model_id'])}")
    return caption(
        figure, f"{_counts(outcomes)}; harder: above the family's median difficulty; intervals in the dataset's cases"
    )


def fewer_frames_and_steps(outcomes: Outcomes) -> Figure:
    """E14, C11, C12: beginnings of right answers by frames made; success by steps in joint order."""
    outcome = next(iter(outcomes.values()))
    joint = outcome.isel(arm=outcome["sampling_order"].values == "joint")
    most = joint["steps"].values.max()
    figure, axes = _panels(2, 2.5, 2, sharex=False)
    halves = (
        (
            joint.isel(arm=joint["steps"].values == most)["beginning_correct"],
            "frames_made",
            "video frames made",
            "share that begins right",
        ),
        (
            joint.isel(arm=joint["frames_made"].values == joint["frames_made"].values.max())["correct"] == 1,
            "steps",
            "denoising steps",
            "share solved",
        ),
    )
    for (values, x, words, share), axis in zip(halves, axes, strict=True):
        table = _table(values.astype(float), "share")
        sns.lineplot(
            table,
            x=x,
            y="share",
            hue="family",
            errorbar=None,
            marker="o",
            markersize=3,
            linewidth=1,
            legend=axis is axes[1],
            ax=axis,
        )
        sns.lineplot(
            table,
            x=x,
            y="share",
            color="black",
            linewidth=2,
            marker="s",
            label="all",
            ax=axis,
            legend=axis is axes[1],
            **INTERVAL,
        )
        axis.set(xlabel=words, ylabel=share, ylim=(-0.04, 1.04))
        _whole(axis)
    handles, labels = axes[1].get_legend_handles_labels()
    axes[1].get_legend().remove()
    figure.legend(handles, map(label, labels), frameon=False, fontsize="x-small", loc="outside right upper")
    figure.suptitle(f"Fewer frames, fewer steps: {label(outcome.attrs['model_id'])}, joint order")
    return caption(figure, f"{_counts(outcomes)}; black: {_MEAN}")


def layer_energy(outcomes: Outcomes) -> Figure:
    """C8: energy of each block's tokens by latent frame, and of the mover's tokens over all others."""
    outcome = next(iter(outcomes.values()))
    steps = outcome["observed_step"].values
    figure, axes = _panels(len(steps) + 1, 2.0, 3, sharex=False)
    energy = outcome["energy"].mean(("case", "seed"))
    relative = energy / energy.mean("latent_frame")
    low, high = float(relative.min()), float(relative.max())
    for step, axis in zip(steps, axes, strict=False):
        part = relative.sel(observed_step=step).transpose("layer", "latent_frame").to_pandas()
        sns.heatmap(part, cmap="cividis", vmin=low, vmax=high, ax=axis, cbar=True)
        axis.invert_yaxis()
        axis.set(title=f"step {step}", xlabel="latent frame", ylabel="layer")
        axis.tick_params(axis="both", rotation=0)
    ratio = _table(outcome["object_ratio"], "ratio")
    ratio["step"] = ratio["observed_step"].astype(str)
    sns.lineplot(ratio, x="layer", y="ratio", hue="step", ax=axes[-1], **INTERVAL)
    axes[-1].axhline(1, color="0.7", linewidth=0.8, zorder=0)
    axes[-1].set(title="mover over the rest", xlabel="layer", ylabel="ratio of energies")
    axes[-1].legend(frameon=False, fontsize="x-small", title="step")
    _whole(axes[-1])
    figure.suptitle("Energy of block outputs (L2 norm of tokens), relative to each layer's mean over frames")
    return caption(figure, f"{_counts(outcomes)}; {_MEAN}")


def layer_probes(outcomes: Outcomes) -> Figure:
    """E10, E11: what linear probes read off each block, beside the same with shuffled labels."""
    outcome = next(iter(outcomes.values()))
    asked = outcome[["probe_score", "probe_control"]].where(outcome["probe_score"] >= 0)
    table = asked.to_dataframe().reset_index().dropna(subset="probe_score")
    table["step"] = table["observed_step"].astype(str)
    variables = list(dict.fromkeys(table["variable"]))
    figure, axes = _panels(len(variables), 2.4, 3, sharey=True)
    for variable, axis in zip(variables, axes, strict=True):
        part = table[table["variable"] == variable]
        line = {"x": "layer", "hue": "step", "errorbar": None, "ax": axis}
        sns.lineplot(part, y="probe_score", marker="o", markersize=3, legend=axis is axes[0], **line)
        sns.lineplot(part, y="probe_control", linestyle=":", legend=False, **line)
        worlds = part["world"].nunique()
        axis.set(
            title=f"{variable} ({worlds} world{'s' * (worlds > 1)})",
            xlabel="layer",
            ylabel="balanced accuracy",
            ylim=(0, 1.04),
        )
        _whole(axis)
    axes[0].legend(frameon=False, fontsize="x-small", title="step")
    figure.suptitle("What linear probes read off each block, on held-out cases")
    return caption(figure, f"{_counts(outcomes)}; mean over worlds; dotted: labels shuffled")


def layer_similarity(outcomes: Outcomes) -> Figure:
    """Debiased CKA of each pair of blocks, by step."""
    outcome = next(iter(outcomes.values()))
    steps = outcome["observed_step"].values
    figure, axes = _panels(len(steps), 1.9, 4, sharex=False)
    for step, axis in zip(steps, axes, strict=True):
        part = outcome["similarity"].sel(observed_step=step).mean("world").to_pandas()
        sns.heatmap(part, cmap="cividis", vmin=0, vmax=1, square=True, ax=axis, cbar=False)
        axis.invert_yaxis()
        axis.set(title=f"step {step}", xlabel="layer", ylabel="layer" if axis is axes[0] else "")
        axis.tick_params(axis="both", rotation=0)
    figure.colorbar(axes[-1].collections[0], ax=axes, label="CKA")
    figure.suptitle("How alike blocks' outputs are: debiased linear CKA")
    return caption(figure, f"{_counts(outcomes)}; mean over worlds")


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
