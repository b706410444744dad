"""Sample the cases of a family, or a shard of them; see chainofsteps.datasets for the variables made."""

from chainofsteps.collector import uncollected
from chainofsteps.refusal import at_the_door

with uncollected():
    import torch

    from chainofsteps import datasets
    from chainofsteps.models.placement import opened, revision_of
    from chainofsteps.sampling.parts import Parts, file_hashes, write_shard
    from chainofsteps.sampling.trajectories import sample_trajectories

with at_the_door(snakemake.log[0]):
    torch.set_num_threads(snakemake.threads)
    model, experiment = snakemake.params.model, snakemake.params.experiment
    shard = snakemake.params.get("shard")
    cases = datasets.read(snakemake.input.cases[0], "cases").isel(case=slice(*(shard or (0, experiment["count"]))))
    files = [*snakemake.input.cases, *snakemake.input.weights, *snakemake.input.modules]
    with opened(model, experiment["seed"] if experiment["weights"] == "untrained" else None) as pipe:
        basis = [dict(snakemake.params.items()), file_hashes(files), snakemake.threads, str(pipe._execution_device)]
        parts = Parts(f"{snakemake.output[0]}.parts", basis)
        trajectories = sample_trajectories(
            pipe, cases, model, experiment, experiment["seeds"], snakemake.params.batch, parts
        )
        trajectories.attrs |= {
            "model_id": snakemake.wildcards.model,
            "model_revision": revision_of(model),
            "experiment": snakemake.wildcards.experiment,
        }
        if shard:
            write_shard(trajectories, snakemake.output[0])
        else:
            datasets.write(trajectories, snakemake.output[0], "trajectories")
        parts.remove()
