"""Say which model a run used: its settings, the hash of each of its files, its revision and its size."""

import json
import math
from pathlib import Path

from safetensors import safe_open

from chainofsteps.models.check import check_entry, check_folder, read_manifest
from chainofsteps.refusal import at_the_door

with at_the_door(snakemake.log[0]):
    model = snakemake.params.model
    check_entry(model)
    hashes = read_manifest(model["path"], model.get("revision"))
    check_folder(model["path"], hashes)
    parameters = {}
    for name in hashes:
        if name.endswith(".safetensors"):
            with safe_open(Path(model["path"]) / name, "numpy") as weights:
                shapes = [weights.get_slice(key).get_shape() for key in weights.keys()]  # noqa: SIM118
            parameters[name] = sum(math.prod(shape) for shape in shapes)
    fingerprint = {"model_id": snakemake.wildcards.model, **model, "parameters": parameters, "files": hashes}
    Path(snakemake.output[0]).write_text(json.dumps(fingerprint, indent=1, sort_keys=True) + "\n")
