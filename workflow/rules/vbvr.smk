"""
Takes the cases of VBVR-Bench or VBVR-Pro-Bench through a model, on request (`snakemake vbvr`): what is sampled, erased,
planted, and made with fewer steps and frames, read by motion since there is no symbolic truth. `snakemake vbvr_scores`
gives the finished videos to others' scorers, with controls. Shards of cases are joined to the same bytes.

REQUIRED INPUTS: the folder that `vbvr` of the configuration names, the model's folder or its place on the hub
OUTPUTS: {results}/bench/{model}/ (never made by the default target)
"""

ASKED_OF_BENCH = config["bench"]
BENCH = RESULTS / "bench" / ASKED_OF_BENCH["model"]
BENCH_LOGS = LOGS / "bench" / ASKED_OF_BENCH["model"]
BENCH_AT_ONCE = cases_a_batch(ASKED_OF_BENCH["batch"], len(ASKED_OF_BENCH["seeds"]))


wildcard_constraints:
    sampled="|".join(ASKED_OF_BENCH["experiments"]),
    bench_kind="interventions|orders",


rule read_bench_cases:
    input:
        index=rules.index_bench.output,
        weights=lambda wildcards: get_shipped(ASKED_OF_BENCH["model"]),
        modules=get_modules("workflow/scripts/read_bench_cases.py"),
    output:
        BENCH / "cases.nc",
    log:
        BENCH_LOGS / "cases.log",
    retries: 0
    conda:
        "../../environment.yml"
    params:
        root=config["vbvr"],
        state=get_bench_state,
        model=get_entry(ASKED_OF_BENCH["model"]),
        tasks=ASKED_OF_BENCH["tasks"],
        case_count=ASKED_OF_BENCH["count"],
    message:
        "Read the cases of the bench for a model"
    script:
        "../scripts/read_bench_cases.py"


rule sample_bench:
    input:
        cases=rules.read_bench_cases.output,
        weights=lambda wildcards: get_shipped(ASKED_OF_BENCH["model"]),
        modules=get_modules("workflow/scripts/sample_bench.py"),
    output:
        features=BENCH / "features_{sampled}.nc",
        videos=directory(BENCH / "videos_{sampled}"),
    log:
        BENCH_LOGS / "features_{sampled}.log",
    benchmark:
        BENCH_LOGS / "features_{sampled}.tsv"
    conda:
        "../../environment.yml"
    params:
        root=config["vbvr"],
        model=get_entry(ASKED_OF_BENCH["model"]),
        name=ASKED_OF_BENCH["model"],
        experiment=lambda wildcards: ASKED_OF_BENCH["experiments"][wildcards.sampled],
        seeds=ASKED_OF_BENCH["seeds"],
        grid=ASKED_OF_BENCH["grid"],
        batch=ASKED_OF_BENCH["batch"],
    message:
        "Sample the bench, {wildcards.sampled}"
    script:
        "../scripts/sample_bench.py"


rule intervene_in_bench:
    input:
        cases=rules.read_bench_cases.output,
        weights=lambda wildcards: get_shipped(ASKED_OF_BENCH["model"]),
        modules=get_modules("workflow/scripts/intervene_in_bench.py"),
    output:
        BENCH / "{bench_kind}.nc",
    log:
        BENCH_LOGS / "{bench_kind}.log",
    benchmark:
        BENCH_LOGS / "{bench_kind}.tsv"
    conda:
        "../../environment.yml"
    params:
        root=config["vbvr"],
        model=get_entry(ASKED_OF_BENCH["model"]),
        name=ASKED_OF_BENCH["model"],
        settings=get_bench_settings,
        seeds=ASKED_OF_BENCH["seeds"],
        grid=ASKED_OF_BENCH["grid"],
        batch=ASKED_OF_BENCH["batch"],
    message:
        "Intervene in the bench: {wildcards.bench_kind}"
    script:
        "../scripts/intervene_in_bench.py"


if SHARDS > 1:

    use rule sample_bench as sample_bench_shard with:
        output:
            features=BENCH / "features_{sampled}" / "shard_{shard}.nc",
            videos=directory(BENCH / "features_{sampled}" / "videos_{shard}"),
        log:
            BENCH_LOGS / "features_{sampled}" / "shard_{shard}.log",
        benchmark:
            BENCH_LOGS / "features_{sampled}" / "shard_{shard}.tsv"
        params:
            root=config["vbvr"],
            model=get_entry(ASKED_OF_BENCH["model"]),
            name=ASKED_OF_BENCH["model"],
            experiment=lambda wildcards: ASKED_OF_BENCH["experiments"][wildcards.sampled],
            seeds=ASKED_OF_BENCH["seeds"],
            grid=ASKED_OF_BENCH["grid"],
            batch=ASKED_OF_BENCH["batch"],
            shard=lambda wildcards: get_bench_shards(BENCH_AT_ONCE)[int(wildcards.shard)],
        message:
            "Sample shard {wildcards.shard} of the bench, {wildcards.sampled}"

    use rule intervene_in_bench as intervene_in_bench_shard with:
        output:
            BENCH / "{bench_kind}" / "shard_{shard}.nc",
        log:
            BENCH_LOGS / "{bench_kind}" / "shard_{shard}.log",
        benchmark:
            BENCH_LOGS / "{bench_kind}" / "shard_{shard}.tsv"
        params:
            root=config["vbvr"],
            model=get_entry(ASKED_OF_BENCH["model"]),
            name=ASKED_OF_BENCH["model"],
            settings=get_bench_settings,
            seeds=ASKED_OF_BENCH["seeds"],
            grid=ASKED_OF_BENCH["grid"],
            batch=ASKED_OF_BENCH["batch"],
            shard=lambda wildcards: get_bench_shards(1)[int(wildcards.shard)],
        message:
            "Intervene in shard {wildcards.shard} of the bench: {wildcards.bench_kind}"

    ruleorder: join_bench_features > sample_bench
    ruleorder: join_bench_interventions > intervene_in_bench

    rule join_bench_features:
        input:
            shards=get_shards_of_bench(rules.sample_bench_shard.output.features, BENCH_AT_ONCE),
            videos=get_shards_of_bench(rules.sample_bench_shard.output.videos, BENCH_AT_ONCE),
            modules=get_modules("workflow/scripts/join_shards.py"),
        output:
            features=rules.sample_bench.output.features,
            videos=directory(BENCH / "videos_{sampled}"),
        log:
            BENCH_LOGS / "features_{sampled}" / "join.log",
        conda:
            "../../environment.yml"
        params:
            schema="bench_features",
        message:
            "Join the shards of the bench, {wildcards.sampled}"
        script:
            "../scripts/join_shards.py"

    use rule join_trajectories as join_bench_interventions with:
        input:
            shards=get_shards_of_bench(rules.intervene_in_bench_shard.output, 1),
            modules=get_modules("workflow/scripts/join_shards.py"),
        output:
            rules.intervene_in_bench.output,
        log:
            BENCH_LOGS / "{bench_kind}" / "join.log",
        params:
            schema="bench_{bench_kind}",
        message:
            "Join the shards of the bench: {wildcards.bench_kind}"


rule tabulate_bench:
    input:
        features=expand(rules.sample_bench.output.features, sampled=ASKED_OF_BENCH["experiments"]),
        interventions=expand(rules.intervene_in_bench.output, bench_kind="interventions"),
        orders=expand(rules.intervene_in_bench.output, bench_kind="orders"),
        modules=get_modules("workflow/scripts/tabulate_bench.py"),
    output:
        table=BENCH / "estimands.csv",
        figure=BENCH / "estimands.png",
    log:
        BENCH_LOGS / "estimands.log",
    conda:
        "../../environment.yml"
    params:
        statistics=config["statistics"],
    message:
        "Tabulate and draw what the bench says"
    script:
        "../scripts/tabulate_bench.py"


rule score_bench:
    input:
        cases=rules.read_bench_cases.output,
        scorers=get_scorers,
        videos=expand(rules.sample_bench.output.videos, sampled=ASKED_OF_BENCH["experiments"]),
        modules=get_modules("workflow/scripts/score_bench.py"),
    output:
        scores=BENCH / "scores.nc",
        table=BENCH / "scores.csv",
    log:
        BENCH_LOGS / "scores.log",
    conda:
        "../../environment.yml"
    params:
        root=config["vbvr"],
        model=get_entry(ASKED_OF_BENCH["model"]),
        name=ASKED_OF_BENCH["model"],
        sampled=list(ASKED_OF_BENCH["experiments"]),
        seeds=ASKED_OF_BENCH["seeds"],
    message:
        "Score the videos of the bench, and its controls"
    script:
        "../scripts/score_bench.py"


rule vbvr:
    input:
        rules.tabulate_bench.output,


rule vbvr_scores:
    input:
        rules.score_bench.output,
