"""
Fetches a model, or the LoRA weights of one, from the Hugging Face hub or a mirror, on request
(`snakemake resources/hub/{model}/SHA256SUMS`).

REQUIRED INPUTS: none
OUTPUTS: {hub.cache}/{model}/ (never made by the default target)
"""


# Not taken away before the rule runs: what is there is replaced once the hub has said by what.
rule fetch_model:
    output:
        update(Path(config["hub"]["cache"]) / "{model}" / MANIFEST),
    log:
        LOGS / "models" / "fetch_{model}.log",
    # It tries its network again by itself; what the hub refuses is said once.
    retries: 0
    conda:
        "../../environment.yml"
    params:
        hub=get_hub,
        mirror=config["hub"]["mirror"],
    message:
        "Fetch {wildcards.model} from the hub"
    script:
        "../scripts/fetch_model.py"
