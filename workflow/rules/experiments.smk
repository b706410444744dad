"""
Runs the experiments: cases of their own, what is changed on the way from noise to video, and a figure of each.
`snakemake plan` says beforehand what they take.

REQUIRED INPUTS: the models' folders (config/models.yaml)
OUTPUTS: {results}/interventions/{cases/{world},plan,{model}/{intervention}}, {results}/figures/{figure}_{model}.png
"""

INTERVENTIONS = RESULTS / "interventions"
COMMON = config["interventions"]
KIND_OF = {
    "damage_by_dose": "erasure",
    "same_by_step": "erasure",
    "propagation": "erasure",
    "damage_grid": "erasure",
    "damage_direction": "erasure",
    "plant_outcome": "plant",
    "swap_flips": "swap",
    "ensemble_gain": "ensemble",
    "success_by_order": "orders",
    "fewer_frames_and_steps": "orders",
    "layer_energy": "layers",
    "layer_probes": "layers",
    "layer_similarity": "layers",
}


wildcard_constraints:
    figure="|".join(KIND_OF),


rule draw_worlds:
    input:
        registration=ancient(get_registration("interventions")),
        modules=lambda wildcards: get_modules("workflow/scripts/draw_cases.py", family_of(wildcards.world)),
    output:
        INTERVENTIONS / "cases" / "{world}.nc",
    log:
        LOGS / "interventions" / "cases" / "{world}.log",
    priority: 100  # what waits for it is long
    conda:
        "../../environment.yml"
    params:
        family=lambda wildcards: family_of(wildcards.world),
        solved=lambda wildcards: wildcards.world.startswith(SOLVED),
        purpose=config["cases"]["purpose"],
        first_case=COMMON["first"],
        case_count=COMMON["scored"],
        field="interventions.scored",
    message:
        "Draw {wildcards.world} cases of the experiments"
    script:
        "../scripts/draw_cases.py"


# Not an input of what it plans: a changed setting of one experiment would then run all of them again.
rule plan_interventions:
    input:
        cases=lambda wildcards: get_worlds(*INTERVENING),
        weights=lambda wildcards: [file for model in get_intervening() for file in get_shipped(model)],
        modules=lambda wildcards: get_experiment_modules("workflow/scripts/plan_interventions.py", *INTERVENING),
    output:
        INTERVENTIONS / "plan.csv",
    log:
        LOGS / "interventions" / "plan.log",
    priority: 100
    conda:
        "../../environment.yml"
    params:
        models={model: get_entry(model) for model in get_intervening()},
        interventions={name: {**given, "worlds": worlds_of(name)} for name, given in INTERVENING.items()},
        batch=COMMON["batch"],
    message:
        "Plan the experiments"
    script:
        "../scripts/plan_interventions.py"


rule run_intervention:
    input:
        cases=lambda wildcards: get_worlds(wildcards.intervention),
        fingerprint=rules.fingerprint_model.output,
        weights=get_weights,
        modules=lambda wildcards: get_experiment_modules("workflow/scripts/run_intervention.py", wildcards.intervention),
    output:
        INTERVENTIONS / "{model}" / "{intervention}.nc",
    log:
        LOGS / "interventions" / "{model}" / "{intervention}.log",
    benchmark:
        LOGS / "interventions" / "{model}" / "{intervention}.tsv"
    priority: 50  # the longest job of a run is one of these: started last, it is waited for
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=3000,
    params:
        model=get_model,
        intervention=lambda wildcards: INTERVENING[wildcards.intervention],
        worlds=lambda wildcards: worlds_of(wildcards.intervention),
        batch=COMMON["batch"],
        cases_at_once=get_cases_at_once,
    message:
        "Run {wildcards.intervention} with {wildcards.model}"
    script:
        "../scripts/run_intervention.py"


if SHARDS > 1:

    use rule run_intervention as run_shard with:
        output:
            INTERVENTIONS / "{model}" / "{intervention}" / "shard_{shard}.nc",
        log:
            LOGS / "interventions" / "{model}" / "{intervention}" / "shard_{shard}.log",
        benchmark:
            LOGS / "interventions" / "{model}" / "{intervention}" / "shard_{shard}.tsv"
        params:
            model=get_model,
            intervention=lambda wildcards: INTERVENING[wildcards.intervention],
            worlds=lambda wildcards: worlds_of(wildcards.intervention),
            batch=COMMON["batch"],
            cases_at_once=get_cases_at_once,
            shards=get_intervention_shards,
        message:
            "Run shard {wildcards.shard} of {wildcards.intervention} with {wildcards.model}"

    ruleorder: join_intervention > run_intervention

    rule join_intervention:
        input:
            shards=lambda wildcards: expand(
                rules.run_shard.output, shard=range(len(get_intervention_shards(wildcards))), **wildcards
            ),
            modules=get_modules("workflow/scripts/join_shards.py"),
        output:
            rules.run_intervention.output,
        log:
            LOGS / "interventions" / "{model}" / "{intervention}" / "join.log",
        conda:
            "../../environment.yml"
        params:
            schema=lambda wildcards: INTERVENING[wildcards.intervention]["kind"],
        message:
            "Join the shards of {wildcards.intervention} of {wildcards.model}"
        script:
            "../scripts/join_shards.py"


rule plot_intervention:
    input:
        datasets=lambda wildcards: expand(
            rules.run_intervention.output,
            model=wildcards.model,
            intervention=get_interventions(wildcards.model, KIND_OF[wildcards.figure]),
        ),
        modules=get_modules("workflow/scripts/plot_intervention.py"),
    output:
        report(FIGURES / "{figure}_{model}.png", caption="../report/intervention.rst", category="Experiments"),
    log:
        LOGS / "interventions" / "figures" / "{figure}_{model}.log",
    conda:
        "../../environment.yml"
    params:
        kind=lambda wildcards: KIND_OF[wildcards.figure],
    message:
        "Plot {wildcards.figure} of {wildcards.model}"
    script:
        "../scripts/plot_intervention.py"


rule plan:
    input:
        rules.plan_interventions.output,


rule interventions:
    input:
        rules.plan_interventions.output,
        get_figures(*dict.fromkeys(KIND_OF.values())),
