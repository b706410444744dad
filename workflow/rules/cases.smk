"""
Draws the cases: first frame, exact solution and ground-truth video of each.

REQUIRED INPUTS: none
OUTPUTS: {results}/cases/{family}.nc
"""


rule draw_cases:
    input:
        modules=lambda wildcards: get_modules("workflow/scripts/draw_cases.py", wildcards.family),
    output:
        RESULTS / "cases" / "{family}.nc",
    log:
        LOGS / "cases" / "{family}.log",
    conda:
        "../../environment.yml"
    params:
        purpose=config["cases"]["purpose"],
        first_case=config["cases"]["first"],
        case_count=config["cases"]["count"],
    message:
        "Draw {wildcards.family} cases"
    script:
        "../scripts/draw_cases.py"
