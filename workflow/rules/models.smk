"""
Fingerprints the model that a run uses, and trains the mini reasoner anew on request (`snakemake train`).

REQUIRED INPUTS: the model's folder (config/models.yaml)
OUTPUTS: {results}/models/{model}.json; {results}/training/{model}/ (never made by the default target)
"""

TRAINING = RESULTS / "training" / "{model}"
VAE_FILES = ["config.json", "diffusion_pytorch_model.safetensors"]


rule fingerprint_model:
    input:
        weights=get_weights,
        modules=get_modules("workflow/scripts/fingerprint_model.py"),
    output:
        RESULTS / "models" / "{model}.json",
    log:
        LOGS / "models" / "{model}.log",
    conda:
        "../../environment.yml"
    params:
        model=get_model,
    message:
        "Fingerprint {wildcards.model}"
    script:
        "../scripts/fingerprint_model.py"


rule train_vae:
    input:
        modules=lambda wildcards: get_modules("workflow/scripts/train_vae.py", *get_training(wildcards)["families"]),
    output:
        vae=[TRAINING / "vae" / name for name in VAE_FILES],
        log=TRAINING / "vae_log.csv",
    log:
        LOGS / "training" / "{model}" / "vae.log",
    conda:
        "../../environment.yml"
    threads: 2
    params:
        training=get_vae_training,
        folder=lambda wildcards, output: str(Path(output.vae[0]).parent),
    message:
        "Train the VAE of {wildcards.model}"
    script:
        "../scripts/train_vae.py"


rule encode_training_set:
    input:
        vae=lambda wildcards: get_vae(wildcards.model, wildcards.vae),
        modules=lambda wildcards: get_modules("workflow/scripts/encode_training_set.py", wildcards.family),
    output:
        TRAINING / "latents" / "{vae}" / "{family}.safetensors",
    log:
        LOGS / "training" / "{model}" / "encode_{vae}_{family}.log",
    conda:
        "../../environment.yml"
    threads: 2
    params:
        vae=lambda wildcards, input: str(Path(input.vae[0]).parent),
        # Without its share, which only the reasoner's training takes.
        family=lambda wildcards: {
            key: get_training(wildcards)["families"][wildcards.family][key] for key in ("cases", "difficulties")
        },
    message:
        "Encode {wildcards.family} training videos by the {wildcards.vae} VAE of {wildcards.model}"
    script:
        "../scripts/encode_training_set.py"


rule train_reasoner:
    input:
        vae=lambda wildcards: get_vae(**choose_vae(wildcards)),
        latents=lambda wildcards: expand(
            rules.encode_training_set.output,
            family=get_training(wildcards)["families"],
            **choose_vae(wildcards),
        ),
        start=get_start,
        modules=lambda wildcards: get_modules(
            "workflow/scripts/train_reasoner.py", *get_training(wildcards)["families"]
        ),
    output:
        manifest=TRAINING / "pipeline" / "SHA256SUMS",
        log=TRAINING / "log.csv",
    log:
        LOGS / "training" / "{model}" / "reasoner.log",
    conda:
        "../../environment.yml"
    threads: 2
    params:
        training=get_training_of("seed", "families", "text_encoder", "transformer"),
        model=get_model,
        orders=get_orders,
        vae=lambda wildcards, input: str(Path(input.vae[0]).parent),
        # Not an output: Snakemake deletes outputs of a job that fails, and a killed training goes on from here.
        folder=lambda wildcards, output: str(Path(output.log).parent / "checkpoint"),
    message:
        "Train {wildcards.model}; progress and checkpoints in {params.folder}"
    script:
        "../scripts/train_reasoner.py"


rule plot_training:
    input:
        # Where the VAE is another's, its curve stands in the other's figure.
        vae_log=lambda wildcards: [rules.train_vae.output.log] if "vae" in get_training(wildcards) else [],
        log=rules.train_reasoner.output.log,
        modules=get_modules("workflow/scripts/plot_training.py"),
    output:
        TRAINING / "training.png",
    log:
        LOGS / "training" / "{model}" / "plot.log",
    conda:
        "../../environment.yml"
    params:
        held_out=lambda wildcards: get_training(wildcards)["transformer"]["evaluate_cases"],
        orders=get_orders,
    message:
        "Plot the training of {wildcards.model}"
    script:
        "../scripts/plot_training.py"


rule train:
    input:
        expand(rules.plot_training.output, model=config["model"]),
        expand(rules.train_reasoner.output, model=config["model"]),
