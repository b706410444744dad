"""
Writes the report: papermill notebooks, a chapter each, executed and joined behind the verdicts as one HTML page. On request,
another page on the cases that were not solved (`snakemake results/report/failures.html`).

REQUIRED INPUTS: {results}/{cases,trajectories,features,statistics}/, figures of the experiments
OUTPUTS: {results}/report/{index,failures,chapters/*}.html, {results}/figures/*.png; the executed notebooks are logs
"""

CHAPTERS = {
    "steps": "Steps, frames or one pass",
    "erasure": "Erasure",
    "plant": "Plants",
    "layers": "Layers",
    "orders": "Orders, steps, frames",
    "limits": "Limits",
}
# Kinds of experiments whose figures a chapter shows.
SHOWN = {
    "erasure": ["erasure"],
    "plant": ["plant"],
    "layers": ["layers", "swap", "ensemble"],
    "orders": ["orders"],
    "limits": [],
}


wildcard_constraints:
    chapter="|".join(SHOWN),


def get_shown(wildcards):
    """Figures of a chapter by name."""
    return {
        f"{figure}_{model}": str(FIGURES / f"{figure}_{model}.png")
        for figure, kind in KIND_OF.items()
        if kind in SHOWN[wildcards.chapter]
        for model in get_intervening()
        if get_interventions(model, kind)
    }


rule write_steps:
    input:
        notebook="notebooks/steps.ipynb",
        cases=expand(rules.draw_cases.output, world=FAMILIES),
        trajectories=expand(
            rules.sample_trajectories.output, model=config["model"], experiment=EXPERIMENTS, family=FAMILIES
        ),
        features=expand(rules.extract_features.output, model=config["model"], experiment=EXPERIMENTS, family=FAMILIES),
        verdicts=rules.judge_claims.output.verdicts,
        modules=get_modules("workflow/scripts/write_chapter.py"),
        notebook_modules=get_modules("notebooks/steps.ipynb"),
    output:
        chapter=RESULTS / "report" / "chapters" / "steps.html",
        success=report(FIGURES / "success_by_step.png", caption="../report/success.rst", category="Figures"),
        difficulty=report(
            FIGURES / "success_by_difficulty.png",
            caption="../report/difficulty.rst",
            category="Figures",
        ),
        commitment=report(FIGURES / "commitment_by_frame.png", caption="../report/commitment.rst", category="Figures"),
        maps=report(
            expand(FIGURES / "correctness_{family}.png", family=FAMILIES),
            caption="../report/correctness.rst",
            category="Figures",
        ),
        strips=report(
            expand(FIGURES / "strip_{family}_{experiment}.png", family=FAMILIES, experiment=EXPERIMENTS),
            caption="../report/strip.rst",
            category="Figures",
        ),
    log:
        notebook=LOGS / "report" / "steps.ipynb",
        text=LOGS / "report" / "steps.log",
    conda:
        "../../environment.yml"
    params:
        notebook=lambda wildcards, input, output: {
            "cases": list(input.cases),
            "trajectories": list(input.trajectories),
            "features": list(input.features),
            "verdicts": str(input.verdicts),
            "figures": str(Path(output.success).parent),
        },
    message:
        "Write the chapter on steps"
    script:
        "../scripts/write_chapter.py"


rule write_chapter:
    input:
        notebook="notebooks/{chapter}.ipynb",
        figures=lambda wildcards: list(get_shown(wildcards).values()),
        verdicts=rules.judge_claims.output.verdicts,
        modules=get_modules("workflow/scripts/write_chapter.py"),
        notebook_modules=lambda wildcards: get_modules(f"notebooks/{wildcards.chapter}.ipynb"),
    output:
        chapter=RESULTS / "report" / "chapters" / "{chapter}.html",
    log:
        notebook=LOGS / "report" / "{chapter}.ipynb",
        text=LOGS / "report" / "{chapter}.log",
    conda:
        "../../environment.yml"
    params:
        notebook=lambda wildcards, input: {"figures": get_shown(wildcards), "verdicts": str(input.verdicts)},
    message:
        "Write the chapter on {wildcards.chapter}"
    script:
        "../scripts/write_chapter.py"


rule write_report:
    input:
        notebook="notebooks/report.ipynb",
        fingerprint=expand(rules.fingerprint_model.output, model=config["model"]),
        features=rules.write_steps.input.features,
        verdicts=rules.judge_claims.output.verdicts,
        chapters=expand(RESULTS / "report" / "chapters" / "{chapter}.html", chapter=CHAPTERS),
        modules=get_modules("workflow/scripts/write_page.py"),
        notebook_modules=get_modules("notebooks/report.ipynb"),
    output:
        page=report(RESULTS / "report" / "index.html", caption="../report/page.rst", category="Report"),
    log:
        notebook=LOGS / "report" / "report.ipynb",
        text=LOGS / "report" / "report.log",
    conda:
        "../../environment.yml"
    params:
        title="Do denoising steps reason?",
        chapters=list(CHAPTERS.values()),
        notebook=lambda wildcards, input: {
            "features": list(input.features),
            "verdicts": str(input.verdicts),
            "fingerprint": str(input.fingerprint[0]),
        },
    message:
        "Write the report"
    script:
        "../scripts/write_page.py"


rule write_failures:
    input:
        notebook="notebooks/failures.ipynb",
        cases=rules.write_steps.input.cases,
        trajectories=rules.write_steps.input.trajectories,
        features=rules.write_steps.input.features,
        modules=get_modules("workflow/scripts/write_page.py"),
        notebook_modules=get_modules("notebooks/failures.ipynb"),
    output:
        page=RESULTS / "report" / "failures.html",
    log:
        notebook=LOGS / "report" / "failures.ipynb",
        text=LOGS / "report" / "failures.log",
    conda:
        "../../environment.yml"
    params:
        title="What went wrong",
        notebook=lambda wildcards, input: {
            "cases": list(input.cases),
            "trajectories": list(input.trajectories),
            "features": list(input.features),
            "worst": config["failures"],
        },
    message:
        "Write the page on failures"
    script:
        "../scripts/write_page.py"
