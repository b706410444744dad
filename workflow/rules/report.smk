"""
Draws the figures of the features and writes the report: a papermill notebook a chapter, executed, joined to one HTML page.
On request, another page on the cases that were not solved (`snakemake results/report/failures.html`).

REQUIRED INPUTS: {results}/{cases,trajectories,features,statistics}/, figures of the experiments
OUTPUTS: {results}/report/{index,failures}.html, {results}/report/chapters/{chapter}.html, {results}/figures/*.png; the
executed notebooks are logs
"""

# Chapters in the page's order, and the kinds of experiments whose figures each shows.
CHAPTERS = {
    "verdicts": [],
    "steps": [],
    "erasure": ["erasure"],
    "plant": ["plant"],
    "layers": ["layers", "swap", "ensemble"],
    "orders": ["orders"],
    "limits": [],
}


wildcard_constraints:
    chapter="|".join(CHAPTERS),


rule plot_features:
    input:
        cases=expand(rules.draw_cases.output, world=FAMILIES),
        trajectories=expand(
            rules.sample_trajectories.output, model=config["model"], experiment=EXPERIMENTS, family=FAMILIES
        ),
        features=expand(rules.extract_features.output, model=config["model"], experiment=EXPERIMENTS, family=FAMILIES),
        modules=get_modules("workflow/scripts/plot_features.py"),
    output:
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
        LOGS / "report" / "figures.log",
    conda:
        "../../environment.yml"
    message:
        "Plot the features"
    script:
        "../scripts/plot_features.py"


rule write_chapter:
    input:
        notebook="notebooks/{chapter}.ipynb",
        verdicts=rules.judge_claims.output.verdicts,
        # Notebooks find these two beside the verdicts.
        by_family=rules.judge_claims.output.by_family,
        variance=rules.judge_claims.output.variance,
        figures=get_shown,
        modules=get_modules("workflow/scripts/write_chapter.py"),
        notebook_modules=lambda wildcards: get_modules(f"notebooks/{wildcards.chapter}.ipynb"),
    output:
        RESULTS / "report" / "chapters" / "{chapter}.html",
    log:
        notebook=LOGS / "report" / "{chapter}.ipynb",
        text=LOGS / "report" / "{chapter}.log",
    conda:
        "../../environment.yml"
    params:
        on_request=get_on_request,
        state=get_state_on_request,
    message:
        "Write the chapter on {wildcards.chapter}"
    script:
        "../scripts/write_chapter.py"


rule write_report:
    input:
        chapters=expand(rules.write_chapter.output, chapter=CHAPTERS),
        verdicts=rules.judge_claims.output.verdicts,
        fingerprints=expand(rules.fingerprint_model.output, model=dict.fromkeys([config["model"], *get_intervening()])),
        modules=get_modules("workflow/scripts/write_report.py"),
    output:
        page=report(RESULTS / "report" / "index.html", caption="../report/page.rst", category="Report"),
    log:
        LOGS / "report" / "report.log",
    conda:
        "../../environment.yml"
    params:
        title="Do denoising steps reason?",
    message:
        "Join the chapters to the report"
    script:
        "../scripts/write_report.py"


rule write_failures:
    input:
        notebook="notebooks/failures.ipynb",
        cases=rules.plot_features.input.cases,
        trajectories=rules.plot_features.input.trajectories,
        features=rules.plot_features.input.features,
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
