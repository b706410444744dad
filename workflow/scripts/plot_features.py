"""Draw what the features say of success, correctness and commitment, and the clean estimates of one case."""

from pathlib import Path

from chainofsteps import datasets
from chainofsteps.figures.commitment import commitment_by_frame
from chainofsteps.figures.correctness import correctness_map, success_by_difficulty, success_by_step
from chainofsteps.figures.strips import clean_estimate_strip
from chainofsteps.refusal import at_the_door

with at_the_door(snakemake.log[0]):
    cases = {ds.attrs["family"]: ds for ds in (datasets.read(path, "cases") for path in snakemake.input.cases)}
    by_family = {family: {} for family in cases}
    for path in snakemake.input.features:
        ds = datasets.read(path, "features")
        by_family[ds.attrs["family"]][ds.attrs["experiment"]] = ds
    joint = {
        family: next(run for run in runs.values() if run.attrs["order"] == "joint")
        for family, runs in by_family.items()
    }
    success_by_step(by_family).savefig(snakemake.output.success)
    success_by_difficulty(joint).savefig(snakemake.output.difficulty)
    commitment_by_frame(by_family).savefig(snakemake.output.commitment)

    figures = Path(snakemake.output.success).parent
    for family, runs in by_family.items():
        correctness_map(runs).savefig(figures / f"correctness_{family}.png")
    for path in snakemake.input.trajectories:
        # Only the stream that is drawn.
        ds = datasets.read(path, "trajectories", case=slice(1), seed=slice(1))
        family, experiment = ds.attrs["family"], ds.attrs["experiment"]
        clean_estimate_strip(cases[family], ds).savefig(figures / f"strip_{family}_{experiment}.png")
