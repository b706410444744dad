"""
Judges the claims of config/claims.yaml on the features of all families.

REQUIRED INPUTS: {results}/features/{model}/{experiment}/{family}.nc, config/claims.yaml
OUTPUTS: {results}/statistics/verdicts.csv, {results}/statistics/metrics.json
"""


rule judge_claims:
    input:
        claims="config/claims.yaml",
        features=expand(rules.extract_features.output, model=config["model"], experiment=EXPERIMENTS, family=FAMILIES),
        modules=get_modules("workflow/scripts/judge_claims.py"),
    output:
        verdicts=report(RESULTS / "statistics" / "verdicts.csv", caption="../report/verdicts.rst", category="Verdicts"),
        metrics=RESULTS / "statistics" / "metrics.json",
    log:
        LOGS / "statistics" / "verdicts.log",
    conda:
        "../../environment.yml"
    params:
        statistics=config["statistics"],
    message:
        "Judge the claims"
    script:
        "../scripts/judge_claims.py"
