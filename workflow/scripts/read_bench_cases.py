"""Choose cases of a bench and bring them to a model's size; nothing of the model is loaded but its tokenizer."""

from chainofsteps import datasets
from chainofsteps.models.check import check_entry, check_fit, check_folder, check_hashes, network_size, read_manifest
from chainofsteps.models.prompts import check_prompts
from chainofsteps.refusal import at_the_door
from chainofsteps.videos.bench_cases import check_lengths, choose_cases, model_cases

with at_the_door(snakemake.log[0]):
    model = snakemake.params.model
    folder = model["path"]
    # What takes no time first.
    check_entry(model)
    check_folder(folder)
    check_fit(folder, model["frames"], model["height"], model["width"])
    index = datasets.read(snakemake.input.index[0], "bench")
    index = choose_cases(index, snakemake.params.tasks, snakemake.params.case_count)
    _, latent_frames = network_size(folder, model["frames"])
    check_lengths(snakemake.params.root, index, latent_frames)
    prompts = dict(zip(index["case"].values.astype(str), index["prompt"].values.astype(str), strict=True))
    check_prompts(folder, prompts, model["max_sequence_length"], model["negative_prompt"])
    # The one time that all of it is read: other jobs, which all come after this one, read headers.
    check_hashes(folder, read_manifest(folder, model.get("revision")))
    cases = model_cases(snakemake.params.root, index, model["height"], model["width"])
    datasets.write(cases, snakemake.output[0], "bench_cases")
