"""
Draws the figures and writes the report: a papermill notebook, executed, as one HTML page.

REQUIRED INPUTS: {results}/{cases,trajectories,features,statistics}/
OUTPUTS: {results}/report/index.html, {results}/figures/*.png; the executed notebook is a log
"""

FIGURES = RESULTS / "figures"


rule write_report:
    input:
        notebook="notebooks/report.ipynb",
        cases=expand(rules.draw_cases.output, family=FAMILIES),
        fingerprint=expand(rules.fingerprint_model.output, model=config["model"]),
        trajectories=expand(
            rules.sample_trajectories.output, model=config["model"], experiment=EXPERIMENTS, family=FAMILIES
        ),
        features=rules.judge_claims.input.features,
        verdicts=rules.judge_claims.output.verdicts,
        modules=get_modules("workflow/scripts/write_report.py"),
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
        figures=lambda wildcards, output: str(Path(output.success).parent),
    message:
        "Write the report"
    script:
        "../scripts/write_report.py"
