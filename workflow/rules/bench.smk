"""
Looks at the tree of VBVR-Bench or VBVR-Pro-Bench and lists its cases, on request (`snakemake bench`).

REQUIRED INPUTS: the folder that `vbvr` of the configuration names
OUTPUTS: {results}/bench/vbvr.nc (never made by the default target)
"""


rule index_bench:
    input:
        modules=get_modules("workflow/scripts/index_bench.py"),
    output:
        RESULTS / "bench" / "vbvr.nc",
    log:
        LOGS / "bench" / "vbvr.log",
    retries: 0
    conda:
        "../../environment.yml"
    params:
        root=config["vbvr"],
        state=get_bench_state,
    message:
        "List the cases of the bench"
    script:
        "../scripts/index_bench.py"


rule bench:
    input:
        rules.index_bench.output,
