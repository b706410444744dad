"""Run one experiment in all of its worlds, or in a shard of them; see chainofsteps.datasets for the variables made."""

import math
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
    from chainofsteps.sampling.parts import Parts, case_groups, file_hashes, unfinished, write_shard

with at_the_door(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    model, given, batch = (snakemake.params[name] for name in ("model", "intervention", "batch"))
    shards = snakemake.params.get("shards")
    run = experiment(given["kind"]).run
    groups_of = {}
    for path in snakemake.input.cases:
        drawn = datasets.read(path, "cases").isel(case=slice(snakemake.params.worlds[Path(path).stem]))
        for first, end in case_groups(drawn.sizes["case"], snakemake.params.cases_at_once):
            groups_of[Path(path).stem, first] = drawn.isel(case=slice(first, end))
    part_names = [f"{world}_{first:06d}" for world, first in groups_of]
    own = range(*shards[int(snakemake.wildcards.shard)]) if shards else range(len(groups_of))
    left = unfinished(part_names, snakemake.output[0], shards)
    files = [*snakemake.input.cases, *snakemake.input.weights, *snakemake.input.modules]
    with opened(model) as pipe:
        names = (snakemake.wildcards.model, model, snakemake.wildcards.intervention)
        groups = [(world, cases) for (world, _), cases in groups_of.items()]
        rows = [
            row
            for world, cases in (groups[place] for place in own)
            for row in plan_rows(pipe, *names, given, {world: cases}, batch)
        ]
        plan = pd.DataFrame(rows)
        print(plan.to_string())
        # What other shards are still to write is not taken from them. All cases take alike: theirs need no plan.
        own_cases, cases_left = (sum(groups[place][1].sizes["case"] for place in places) for places in (own, left))
        check_disk(math.ceil(plan["bytes"].sum() * cases_left / own_cases), snakemake.output[0])
        basis = [dict(snakemake.params.items()), file_hashes(files), snakemake.threads, str(pipe._execution_device)]
        parts = Parts(f"{snakemake.output[0]}.parts", basis)
        made = {}
        for place in own:
            world, cases = groups[place]

            def make(cases=cases):
                return run(pipe, cases, model, given["settings"], given["seeds"], batch)

            made.setdefault(world, []).append(parts.part(part_names[place], make))
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
        if shards:
            write_shard(
                outcome, snakemake.output[0], {name: each.attrs["config_hash"] for name, each in worlds.items()}
            )
        else:
            datasets.write(outcome, snakemake.output[0], given["kind"])
        parts.remove()
