"""
Samples every case under every experiment and keeps the decoded clean estimate of each step.

REQUIRED INPUTS: {results}/cases/{family}.nc, the model's folder
OUTPUTS: {results}/trajectories/{model}/{experiment}/{family}.nc, and {family}/shard_{shard}.nc beside it where there are
shards
"""


rule sample_trajectories:
    input:
        cases=get_cases,
        fingerprint=rules.fingerprint_model.output,
        weights=get_weights,
        modules=get_modules("workflow/scripts/sample_trajectories.py"),
    output:
        RESULTS / "trajectories" / "{model}" / "{experiment}" / "{family}.nc",
    log:
        LOGS / "trajectories" / "{model}" / "{experiment}" / "{family}.log",
    benchmark:
        LOGS / "trajectories" / "{model}" / "{experiment}" / "{family}.tsv"
    priority: 40  # short jobs, figures above all, fill what is left of the cores at the end, while claims are judged
    conda:
        "../../environment.yml"
    resources:
        mem_mb=3000,
    params:
        model=get_model,
        experiment=lambda wildcards: SAMPLED[wildcards.experiment],
        batch=config["batch"],
    message:
        "Sample {wildcards.family}, {wildcards.experiment}, with {wildcards.model}"
    script:
        "../scripts/sample_trajectories.py"


if SHARDS > 1:

    use rule sample_trajectories as sample_shard with:
        output:
            RESULTS / "trajectories" / "{model}" / "{experiment}" / "{family}" / "shard_{shard}.nc",
        log:
            LOGS / "trajectories" / "{model}" / "{experiment}" / "{family}" / "shard_{shard}.log",
        benchmark:
            LOGS / "trajectories" / "{model}" / "{experiment}" / "{family}" / "shard_{shard}.tsv"
        params:
            model=get_model,
            experiment=lambda wildcards: SAMPLED[wildcards.experiment],
            batch=config["batch"],
            shard=lambda wildcards: get_sampled_shards(wildcards)[int(wildcards.shard)],
        message:
            "Sample shard {wildcards.shard} of {wildcards.family}, {wildcards.experiment}, with {wildcards.model}"

    ruleorder: join_trajectories > sample_trajectories

    rule join_trajectories:
        input:
            shards=lambda wildcards: expand(
                rules.sample_shard.output, shard=range(len(get_sampled_shards(wildcards))), **wildcards
            ),
            modules=get_modules("workflow/scripts/join_shards.py"),
        output:
            rules.sample_trajectories.output,
        log:
            LOGS / "trajectories" / "{model}" / "{experiment}" / "{family}" / "join.log",
        conda:
            "../../environment.yml"
        params:
            schema="trajectories",
        message:
            "Join the shards of {wildcards.family}, {wildcards.experiment}, of {wildcards.model}"
        script:
            "../scripts/join_shards.py"
