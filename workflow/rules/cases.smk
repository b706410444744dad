"""
Registers what is claimed, then draws the cases: first frame, exact solution and ground-truth video of each.

REQUIRED INPUTS: none
OUTPUTS: {results}/statistics/registered_{block}_{first}.json, {results}/cases/{world}.nc
"""


# Written once for a block of cases: claims that change afterwards are no input of it, and do not write it anew.
rule register_claims:
    output:
        update(RESULTS / "statistics" / "registered_{block}_{first}.json"),
    log:
        LOGS / "statistics" / "registered_{block}_{first}.log",
    wildcard_constraints:
        block="cases|interventions",
        first="[0-9]+",
    conda:
        "../../environment.yml"
    params:
        hashes=get_registered,
    message:
        "Register the claims on {wildcards.block} from {wildcards.first}"
    script:
        "../scripts/register_claims.py"


rule draw_cases:
    input:
        registration=ancient(get_registration("cases")),
        modules=lambda wildcards: get_modules("workflow/scripts/draw_cases.py", family_of(wildcards.world)),
    output:
        RESULTS / "cases" / "{world}.nc",
    log:
        LOGS / "cases" / "{world}.log",
    conda:
        "../../environment.yml"
    params:
        family=lambda wildcards: family_of(wildcards.world),
        solved=lambda wildcards: wildcards.world.startswith(SOLVED),
        purpose=config["cases"]["purpose"],
        first_case=config["cases"]["first"],
        case_count=config["cases"]["count"],
        field="cases.count",
    message:
        "Draw {wildcards.world} cases"
    script:
        "../scripts/draw_cases.py"
