"""
Asks what the statistics do on data whose truth is known, made from the run's own features (`snakemake calibration`).

REQUIRED INPUTS: {results}/features/{model}/{experiment}/{family}.nc, config/claims.yaml
OUTPUTS: {results}/calibration/{null,{family}}.csv, {results}/figures/{false_positives,coverage_and_power}.png (never made
by the default target)
"""

CALIBRATION = RESULTS / "calibration"


rule calibrate_null:
    input:
        claims="config/claims.yaml",
        features=expand(rules.extract_features.output, model=config["model"], experiment=EXPERIMENTS, family=FAMILIES),
        modules=get_modules("workflow/scripts/calibrate_null.py"),
    output:
        CALIBRATION / "null.csv",
    log:
        LOGS / "calibration" / "null.log",
    conda:
        "../../environment.yml"
    params:
        settings={key: config["calibration"][key] for key in ("datasets", "draws", "seed")},
    message:
        "Judge data without an effect"
    script:
        "../scripts/calibrate_null.py"


rule calibrate_family:
    input:
        claims="config/claims.yaml",
        features=lambda wildcards: expand(
            rules.extract_features.output, model=config["model"], experiment=EXPERIMENTS, family=wildcards.family
        ),
        modules=get_modules("workflow/scripts/calibrate_family.py"),
    output:
        CALIBRATION / "{family}.csv",
    log:
        LOGS / "calibration" / "{family}.log",
    conda:
        "../../environment.yml"
    params:
        settings=config["calibration"],
        # A family alone is corrected for the tests of the whole table.
        families=len(FAMILIES),
    message:
        "Judge {wildcards.family} drawn anew, and with known effects"
    script:
        "../scripts/calibrate_family.py"


rule plot_calibration:
    input:
        null=rules.calibrate_null.output,
        families=expand(rules.calibrate_family.output, family=FAMILIES),
        modules=get_modules("workflow/scripts/plot_calibration.py"),
    output:
        false_positives=FIGURES / "false_positives.png",
        coverage_and_power=FIGURES / "coverage_and_power.png",
    log:
        LOGS / "calibration" / "plot.log",
    conda:
        "../../environment.yml"
    params:
        cases=config["cases"]["count"],
    message:
        "Plot false positives, coverage and power"
    script:
        "../scripts/plot_calibration.py"


rule calibration:
    input:
        rules.plot_calibration.output,
