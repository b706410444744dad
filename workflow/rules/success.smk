"""
Measures what each model solves, by family, level, order and step, on pilot cases (`snakemake success`).

REQUIRED INPUTS: the models' folders (config/models.yaml)
OUTPUTS: {results}/success/{model}.csv, {results}/figures/success_by_level.png (never made by the default target)
"""

SUCCESS = config["success"]


rule measure_success:
    input:
        weights=get_weights,
        modules=lambda wildcards: get_modules("workflow/scripts/measure_success.py", wildcards.family),
    output:
        RESULTS / "success" / "{model}" / "{family}.csv",
    log:
        LOGS / "success" / "{model}" / "{family}.log",
    conda:
        "../../environment.yml"
    threads: 2
    params:
        model=get_model,
        orders=get_orders,
        settings={key: SUCCESS[key] for key in ("first", "count", "followed")},
        batch=config["batch"],
    message:
        "Measure success in {wildcards.family} of {wildcards.model}"
    script:
        "../scripts/measure_success.py"


rule plot_success:
    input:
        tables=expand(rules.measure_success.output, model=SUCCESS["models"], family=SUCCESS["families"]),
        modules=get_modules("workflow/scripts/plot_success.py"),
    output:
        tables=expand(RESULTS / "success" / "{model}.csv", model=SUCCESS["models"]),
        figure=FIGURES / "success_by_level.png",
    log:
        LOGS / "success" / "plot.log",
    conda:
        "../../environment.yml"
    params:
        models=SUCCESS["models"],
        orders={model: MODELS[model]["orders"] for model in SUCCESS["models"]},
    message:
        "Plot success by level"
    script:
        "../scripts/plot_success.py"


rule success:
    input:
        rules.plot_success.output,
