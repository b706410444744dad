"""Say what the experiments will take, before they do: network evaluations, videos, disk, and time on this machine."""

import sys
from pathlib import Path

from chainofsteps.collector import uncollected
from chainofsteps.refusal import at_the_door

with uncollected():
    import pandas as pd
    import torch

    from chainofsteps import datasets
    from chainofsteps.experiments.arms import cases_in
    from chainofsteps.experiments.plan import check_disk, measure_rates, plan_rows, time_line
    from chainofsteps.models.placement import opened

terminal = sys.stderr  # all else goes to the log
with at_the_door(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    batch, rows, lines = snakemake.params.batch, [], []
    drawn = {Path(path).stem: datasets.read(path, "cases") for path in snakemake.input.cases}
    for name, model in snakemake.params.models.items():
        with opened(model) as pipe:
            of_model = []
            for intervention, given in snakemake.params.interventions.items():
                if name in given["models"]:
                    cases = {world: drawn[world].isel(case=slice(count)) for world, count in given["worlds"].items()}
                    of_model += plan_rows(pipe, name, model, intervention, given, cases, batch)
            first, *_ = cases_in(next(iter(drawn.values())).isel(case=slice(1)))
            lines.append(time_line(name, of_model, measure_rates(pipe, first, model, batch)))
        rows += of_model
    plan = pd.DataFrame(rows)
    check_disk(int(plan["bytes"].sum()), snakemake.output[0])
    plan.to_csv(snakemake.output[0], index=False)
    sums = plan.drop(columns="world").groupby(["model", "intervention"], sort=False).sum()
    for file in (sys.stdout, terminal):
        print(sums.to_string(), *lines, sep="\n", file=file)
