"""
Draws the figures and writes the report: a papermill notebook, executed, as one HTML page. On request, another page on the
cases that were not solved (`snakemake results/report/failures.html`).

REQUIRED INPUTS: {results}/{cases,trajectories,features,statistics}/
OUTPUTS: {results}/report/{index,failures}.html, {results}/figures/*.png; the executed notebooks are logs
"""


rule write_report:
    input:
        notebook="notebooks/report.ipynb",
        cases=expand(rules.draw_cases.output, world=FAMILIES),
        fingerprint=expand(rules.fingerprint_model.output, model=config["model"]),
        trajectories=expand(
            rules.sample_trajectories.output, model=config["model"], experiment=EXPERIMENTS, family=FAMILIES
        ),
        features=rules.judge_claims.input.features,
        verdicts=rules.judge_claims.output.verdicts,
        modules=get_modules("workflow/scripts/write_page.py"),
        notebook_modules=get_modules("notebooks/report.ipynb"),
    output:
        page=report(RESULTS / "report" / "index.html", caption="../report/page.rst", category="Report"),
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
        notebook=LOGS / "report" / "report.ipynb",
        text=LOGS / "report" / "report.log",
    conda:
        "../../environment.yml"
    params:
        title="Do denoising steps reason?",
        notebook=lambda wildcards, input, output: {
            "cases": list(input.cases),
            "trajectories": list(input.trajectories),
            "features": list(input.features),
            "verdicts": str(input.verdicts),
            "fingerprint": str(input.fingerprint[0]),
            "figures": str(Path(output.success).parent),
        },
    message:
        "Write the report"
    script:
        "../scripts/write_page.py"


rule write_failures:
    input:
        notebook="notebooks/failures.ipynb",
        cases=rules.write_report.input.cases,
        trajectories=rules.write_report.input.trajectories,
        features=rules.write_report.input.features,
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
