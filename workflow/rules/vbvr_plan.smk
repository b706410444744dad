"""
Says what `snakemake vbvr` will take, on request (`snakemake plan_vbvr`): network evaluations, hours, disk, and whether the
weights fit. Nothing is fetched and no model is opened, so that a laptop can ask for a large one.

REQUIRED INPUTS: none (config/models.yaml)
OUTPUTS: {results}/bench/{model}/plan.csv (never made by the default target)
"""


rule plan_vbvr:
    input:
        modules=get_modules("workflow/scripts/plan_vbvr.py"),
    output:
        BENCH / "plan.csv",
    log:
        BENCH_LOGS / "plan.log",
    conda:
        "../../environment.yml"
    params:
        model=get_entry(ASKED_OF_BENCH["model"]),
        bench=ASKED_OF_BENCH,
    message:
        "Plan the bench"
    script:
        "../scripts/plan_vbvr.py"
