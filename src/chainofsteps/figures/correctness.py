"""When and where is the plan right: by step and frame, and as a whole."""

from __future__ import annotations

import matplotlib.pyplot as plt
import seaborn as sns
import xarray as xr
from matplotlib.figure import Figure

from chainofsteps.figures.style import COLUMN_INCHES, INTERVAL, caption, share_panels, use_style
from chainofsteps.figures.words import label


def counts(features: xr.Dataset) -> str:
    """The n of a caption."""
    return f"{features.sizes['case']} cases x {features.sizes['seed']} seeds"


def correctness_map(by_experiment: dict[str, xr.Dataset]) -> Figure:
    """Share of streams whose frame is right in the clean estimate, over step and frame, one panel an experiment.

    Frames that still wait have no clean estimate, hence no share.

    Parameters
    ----------
    by_experiment : dict
        Experiment -> features dataset of one family.
    """
    use_style()
    figure, axes = plt.subplots(
        1, len(by_experiment), figsize=(COLUMN_INCHES, 3.2), squeeze=False, gridspec_kw={"wspace": 0.1}
    )
    for axis, (experiment, features) in zip(axes[0], by_experiment.items(), strict=True):
        share = features["frame_correct"].where(features["plan"] >= 0).mean(("case", "seed"))
        share = share.transpose("frame", "step").to_pandas()
        axis.set_facecolor("0.9")
        sns.heatmap(
            share,
            vmin=0,
            vmax=1,
            cmap="cividis",
            ax=axis,
            cbar=axis is axes[0, -1],
            cbar_kws={"label": "share of streams right"},
            xticklabels=max(1, share.shape[1] // 5),
        )
        axis.invert_yaxis()
        axis.set(title=label(experiment), xlabel="step (network evaluation)", ylabel="frame")
        axis.tick_params(axis="both", rotation=0)
    first = next(iter(by_experiment.values()))
    figure.suptitle(f"{first.attrs['family']}: where the clean estimate holds the right state")
    return caption(figure, f"{counts(first)}; frame 0 is given; grey: the frame still waits")


def success_by_step(by_family: dict[str, dict[str, xr.Dataset]]) -> Figure:
    """Share of cases solved in the clean estimate of each step, over the share of the run, a line an experiment.

    Parameters
    ----------
    by_family : dict
        Family -> experiment -> features dataset.
    """
    figure, axes = share_panels(by_family)
    for family, by_experiment in by_family.items():
        for experiment, features in by_experiment.items():
            solved = (features["correct"] == 1).mean("seed").rename("solved").to_dataframe().reset_index()
            solved["evaluation"] = solved["step"] + 1
            line = {"label": label(experiment), "legend": False}
            sns.lineplot(solved, x="evaluation", y="solved", ax=axes[family], **line, **INTERVAL)
        axes[family].set(xlabel="evaluations", ylabel="share solved")
    lines = next(iter(axes.values())).get_legend_handles_labels()
    figure.legend(*lines, frameon=False, loc="outside right upper", fontsize="small")  # no panel has room in every run
    figure.suptitle("Success read from the clean estimate")
    first = next(iter(next(iter(by_family.values())).values()))
    return caption(
        figure, f"{counts(first)} a family; over evaluations of the network; mean, 95 % bootstrap over cases"
    )


def success_by_difficulty(by_family: dict[str, xr.Dataset]) -> Figure:
    """Share of cases solved in the first clean estimate and at the last step, over difficulty, a panel a family.

    Parameters
    ----------
    by_family : dict
        Family -> features dataset of the joint order.
    """
    figure, axes = share_panels(by_family)
    first_panel = next(iter(axes.values()))
    for family, features in by_family.items():
        axis = axes[family]
        solved = (features["correct"] == 1).mean("seed").isel(step=[0, -1]).rename("solved")
        table = solved.to_dataframe().reset_index()
        table["estimate"] = table["step"].map({0: "first"}).fillna("last")
        points = {"hue": "estimate", "dodge": 0.25, "legend": axis is first_panel}
        sns.pointplot(table, x="difficulty", y="solved", ax=axis, **points, **INTERVAL)
        axis.set(xlabel="difficulty", ylabel="share solved")
    sns.move_legend(first_panel, "lower left", title="clean estimate", frameon=False, fontsize="small")
    figure.suptitle("Solved in the first pass, and after all steps")
    return caption(
        figure, f"{counts(next(iter(by_family.values())))} a family; mean over cases, 95 % bootstrap over cases"
    )
