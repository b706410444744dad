"""
Asks what the statistics do on data whose truth is known, made from the run's own features (`snakemake calibration`).

REQUIRED INPUTS: {results}/features/{model}/{experiment}/{family}.nc, config/claims.yaml
OUTPUTS: {results}/calibration/{null,values,{family}}.csv, {results}/figures/{false_positives,coverage_and_power}.png (never made
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
        experiments=EXPERIMENTS,
        tests=count_tests(),
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
        experiments=EXPERIMENTS,
        # A family alone is corrected for the tests of the whole table.
        tests=count_tests(),
    message:
        "Judge {wildcards.family} drawn anew, and with known effects"
    script:
        "../scripts/calibrate_family.py"


rule calibrate_values:
    input:
        claims="config/claims.yaml",
        features=expand(rules.extract_features.output, model=config["model"], experiment=EXPERIMENTS, family=FAMILIES),
        interventions=lambda wildcards: get_claimed(),
        modules=get_modules("workflow/scripts/calibrate_values.py"),
    output:
        CALIBRATION / "values.csv",
    log:
        LOGS / "calibration" / "values.log",
    conda:
        "../../environment.yml"
    params:
        settings={key: config["calibration"][key] for key in ("datasets", "curve_datasets", "draws", "seed")},
        experiments=EXPERIMENTS,
        kinds={name: given["kind"] for name, given in INTERVENING.items()},
        tests=count_tests(),
    message:
        "Judge values drawn anew"
    script:
        "../scripts/calibrate_values.py"


rule plot_calibration:
    input:
        null=rules.calibrate_null.output,
        values=rules.calibrate_values.output,
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
