"""
Reads the plan, its mass and its commitment from every clean estimate.

REQUIRED INPUTS: {results}/cases/{family}.nc, {results}/trajectories/{model}/{experiment}/{family}.nc
OUTPUTS: {results}/features/{model}/{experiment}/{family}.nc
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
    conda:
        "../../environment.yml"
    message:
        "Read {wildcards.family}, {wildcards.experiment}, {wildcards.model}"
    script:
        "../scripts/extract_features.py"
