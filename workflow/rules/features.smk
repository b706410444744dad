"""
Reads the plan, its mass and its commitment from every clean estimate.

REQUIRED INPUTS: {results}/cases/{family}.nc, {results}/trajectories/{model}/{experiment}/{family}.nc, or its shards
OUTPUTS: {results}/features/{model}/{experiment}/{family}.nc, and {family}/shard_{shard}.nc beside it where there are shards
"""


rule extract_features:
    input:
        cases=get_cases,
        trajectories=rules.sample_trajectories.output,
        modules=lambda wildcards: get_modules("workflow/scripts/extract_features.py", wildcards.family),
    output:
        RESULTS / "features" / "{model}" / "{experiment}" / "{family}.nc",
    log:
        LOGS / "features" / "{model}" / "{experiment}" / "{family}.log",
    priority: 30  # the claims wait for all of them
    conda:
        "../../environment.yml"
    message:
        "Read {wildcards.family}, {wildcards.experiment}, {wildcards.model}"
    script:
        "../scripts/extract_features.py"


if SHARDS > 1:

    rule extract_shard:
        input:
            cases=get_cases,
            trajectories=rules.sample_shard.output,
            modules=lambda wildcards: get_modules("workflow/scripts/extract_shard.py", wildcards.family),
        output:
            RESULTS / "features" / "{model}" / "{experiment}" / "{family}" / "shard_{shard}.nc",
        log:
            LOGS / "features" / "{model}" / "{experiment}" / "{family}" / "shard_{shard}.log",
        conda:
            "../../environment.yml"
        message:
            "Read shard {wildcards.shard} of {wildcards.family}, {wildcards.experiment}, {wildcards.model}"
        script:
            "../scripts/extract_shard.py"

    ruleorder: join_features > extract_features

    # As the trajectories of the same cases are joined.
    use rule join_trajectories as join_features with:
        input:
            shards=lambda wildcards: expand(
                rules.extract_shard.output, shard=range(len(get_sampled_shards(wildcards))), **wildcards
            ),
            modules=get_modules("workflow/scripts/join_shards.py"),
        output:
            rules.extract_features.output,
        log:
            LOGS / "features" / "{model}" / "{experiment}" / "{family}" / "join.log",
        params:
            schema="features",
        message:
            "Join the features of {wildcards.family}, {wildcards.experiment}, of {wildcards.model}"
