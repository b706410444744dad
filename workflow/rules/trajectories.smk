"""
Samples every case under every experiment and keeps the decoded clean estimate of each step.

REQUIRED INPUTS: {results}/cases/{family}.nc, the model's folder
OUTPUTS: {results}/trajectories/{model}/{experiment}/{family}.nc
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
