"""
Holds score and reader against what is known, and judges the claims of config/claims.yaml on features, experiments and
controls.

REQUIRED INPUTS: {results}/features/{model}/{experiment}/{family}.nc, {results}/interventions/{model}/{intervention}.nc,
{results}/statistics/registered_{block}_{first}.json, config/claims.yaml
OUTPUTS: {results}/score_controls/{family}.nc, {results}/statistics/{verdicts,by_family,variance,dictionary}.csv, metrics.json
beside them
"""


rule check_scores:
    input:
        cases=lambda wildcards: get_scored(wildcards.family),
        modules=lambda wildcards: get_modules("workflow/scripts/check_scores.py", wildcards.family),
    output:
        RESULTS / "score_controls" / "{family}.nc",
    log:
        LOGS / "score_controls" / "{family}.log",
    conda:
        "../../environment.yml"
    message:
        "Check score and reader of {wildcards.family}"
    script:
        "../scripts/check_scores.py"


rule judge_claims:
    input:
        claims="config/claims.yaml",
        registrations=[file for block in FIRST for file in get_registration(block)],
        features=expand(rules.extract_features.output, model=config["model"], experiment=SAMPLED, family=FAMILIES),
        scores=lambda wildcards: expand(rules.check_scores.output, family=get_scored_families()),
        interventions=lambda wildcards: get_claimed(),
        cases=lambda wildcards: [*expand(rules.draw_cases.output, world=FAMILIES), *get_worlds(*INTERVENING)],
        modules=get_modules("workflow/scripts/judge_claims.py"),
    output:
        verdicts=report(RESULTS / "statistics" / "verdicts.csv", caption="../report/verdicts.rst", category="Verdicts"),
        by_family=RESULTS / "statistics" / "by_family.csv",
        metrics=RESULTS / "statistics" / "metrics.json",
        variance=RESULTS / "statistics" / "variance.csv",
        dictionary=RESULTS / "statistics" / "dictionary.csv",
    log:
        LOGS / "statistics" / "verdicts.log",
    priority: 30  # the chapters wait for it
    conda:
        "../../environment.yml"
    params:
        statistics=config["statistics"],
        hashes=get_hashes(),
        # All that were asked, whichever of them the data can answer.
        tests=count_tests(),
        kinds={name: given["kind"] for name, given in INTERVENING.items()},
    message:
        "Judge the claims"
    script:
        "../scripts/judge_claims.py"
