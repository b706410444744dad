"""
Asks how often each verdict comes out, over disjoint blocks of cases and seeds and over models (`snakemake stability`).

REQUIRED INPUTS: the models' folders (config/models.yaml), config/claims.yaml
OUTPUTS: {results}/stability/{block}/..., {results}/stability/{verdicts,stability}.csv, {results}/figures/stability.png
(never made by the default target)
"""

STABILITY = RESULTS / "stability"
REPEATED = config["stability"]


wildcard_constraints:
    block="[0-9]+",


use rule draw_cases as draw_block with:
    output:
        STABILITY / "{block}" / "cases" / "{world}.nc",
    log:
        LOGS / "stability" / "{block}" / "cases" / "{world}.log",
    params:
        family=lambda wildcards: family_of(wildcards.world),
        solved=lambda wildcards: wildcards.world.startswith(SOLVED),
        purpose=config["cases"]["purpose"],
        first_case=get_first_case,
        case_count=REPEATED["count"],
        field="stability.count",
    message:
        "Draw {wildcards.world} cases of block {wildcards.block}"


use rule sample_trajectories as sample_block with:
    input:
        cases=get_block_cases,
        fingerprint=rules.fingerprint_model.output,
        weights=get_weights,
        modules=get_modules("workflow/scripts/sample_trajectories.py"),
    output:
        temp(STABILITY / "{block}" / "trajectories" / "{model}" / "{experiment}" / "{family}.nc"),
    log:
        LOGS / "stability" / "{block}" / "trajectories" / "{model}" / "{experiment}" / "{family}.log",
    benchmark:
        LOGS / "stability" / "{block}" / "trajectories" / "{model}" / "{experiment}" / "{family}.tsv"
    params:
        model=get_model,
        experiment=get_repeated,
        batch=config["batch"],
    message:
        "Sample {wildcards.family}, {wildcards.experiment}, block {wildcards.block}, with {wildcards.model}"


use rule extract_features as extract_block with:
    input:
        cases=get_block_cases,
        trajectories=rules.sample_block.output,
        modules=lambda wildcards: get_modules("workflow/scripts/extract_features.py", wildcards.family),
    output:
        STABILITY / "{block}" / "features" / "{model}" / "{experiment}" / "{family}.nc",
    log:
        LOGS / "stability" / "{block}" / "features" / "{model}" / "{experiment}" / "{family}.log",
    message:
        "Read {wildcards.family}, {wildcards.experiment}, block {wildcards.block}, {wildcards.model}"


rule tally_verdicts:
    input:
        claims="config/claims.yaml",
        features=expand(
            rules.extract_block.output,
            block=range(REPEATED["blocks"]),
            model=REPEATED["models"],
            experiment=SAMPLED,
            family=FAMILIES,
        ),
        # Of the run's own cases: what score and reader can tell is a matter of the family.
        scores=expand(rules.check_scores.output, family=FAMILIES),
        modules=get_modules("workflow/scripts/tally_verdicts.py"),
    output:
        verdicts=STABILITY / "verdicts.csv",
        stability=STABILITY / "stability.csv",
        figure=FIGURES / "stability.png",
    log:
        LOGS / "stability" / "stability.log",
    conda:
        "../../environment.yml"
    params:
        statistics=config["statistics"],
        experiments=list(SAMPLED),
        tests=count_tests(),
    message:
        "Judge every block and count the verdicts"
    script:
        "../scripts/tally_verdicts.py"


rule stability:
    input:
        rules.tally_verdicts.output,
