"""Run one experiment in all of its worlds, or in a shard of them; see chainofsteps.datasets for the variables made."""

from pathlib import Path

from chainofsteps.collector import uncollected
from chainofsteps.refusal import at_the_door

with uncollected():
    import pandas as pd
    import torch

    from chainofsteps import datasets
    from chainofsteps.experiments.arms import join_groups, join_worlds
    from chainofsteps.experiments.plan import check_disk, plan_rows
    from chainofsteps.experiments.registry import experiment
    from chainofsteps.models.placement import opened, precision, revision_of
    from chainofsteps.sampling.parts import Parts, case_groups, file_hashes, write_shard

with at_the_door(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    model, given, batch = (snakemake.params[name] for name in ("model", "intervention", "batch"))
    shard = snakemake.params.get("shard")
    run = experiment(given["kind"]).run
    groups_of = {}
    for path in snakemake.input.cases:
        drawn = datasets.read(path, "cases").isel(case=slice(snakemake.params.worlds[Path(path).stem]))
        for first, end in case_groups(drawn.sizes["case"], snakemake.params.cases_at_once):
            groups_of[Path(path).stem, first] = drawn.isel(case=slice(first, end))
    if shard:
        groups_of = dict(list(groups_of.items())[slice(*shard)])
    files = [*snakemake.input.cases, *snakemake.input.weights, *snakemake.input.modules]
    with opened(model) as pipe:
        names = (snakemake.wildcards.model, model, snakemake.wildcards.intervention)
        rows = [plan_rows(pipe, *names, given, {key[0]: cases}, batch) for key, cases in groups_of.items()]
        plan = pd.DataFrame([row for each in rows for row in each])
        print(plan.to_string())
        check_disk(plan, snakemake.output[0])
        basis = [dict(snakemake.params.items()), file_hashes(files), snakemake.threads, str(pipe._execution_device)]
        parts = Parts(f"{snakemake.output[0]}.parts", basis)
        made = {}
        for (world, first), cases in groups_of.items():

            def make(cases=cases):
                return run(pipe, cases, model, given["settings"], given["seeds"], batch)

            made.setdefault(world, []).append(parts.part(f"{world}_{first:06d}", make))
        worlds = {world: join_groups(each) for world, each in made.items()}
        outcome = join_worlds(list(worlds.values()))
        outcome.attrs |= {
            "kind": given["kind"],
            "experiment": snakemake.wildcards.intervention,
            "model_id": snakemake.wildcards.model,
            "model_revision": revision_of(model),
            # σ at which a model of two networks passes from one to the other.
            "boundary": str(pipe.config.boundary_ratio or "none"),
            "scheduler": type(pipe.scheduler).__name__,
            "dtype": precision(pipe),
        }
        if shard:
            write_shard(
                outcome, snakemake.output[0], {name: each.attrs["config_hash"] for name, each in worlds.items()}
            )
        else:
            datasets.write(outcome, snakemake.output[0], given["kind"])
        parts.remove()
