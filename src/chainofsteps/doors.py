"""All that is refused before the first job starts. Imports no torch: the Snakefile asks while it is parsed."""

from __future__ import annotations

import functools
import math
import shutil
from pathlib import Path

from chainofsteps import worlds
from chainofsteps.configuration import check_choice, check_schema, load_yaml
from chainofsteps.models.check import MANIFEST, check_fit, check_folder, read_manifest
from chainofsteps.refusal import Refused
from chainofsteps.statistics.claims import check_entries

SCHEMAS = Path("workflow/schemas")


def check_config(config: dict, where: object) -> None:
    """Hold the merged configuration against its schema and the families that there are.

    Raises
    ------
    Refused
    """
    check_schema(config, load_yaml(SCHEMAS / "config.schema.yaml"), where)
    for family in config["cases"]["families"]:
        check_choice(where, "cases.families", family, worlds.families())


def check_models(path: str | Path, name: str, where: object) -> dict:
    """Read the models file; the chosen model must be in it and make videos of the worlds' shape.

    Its training, where it has one, must know its families and share out all of the samples.

    Returns
    -------
    dict
        Entries by name.

    Raises
    ------
    Refused
    """
    models = check_schema(load_yaml(path), load_yaml(SCHEMAS / "models.schema.yaml"), path)
    check_choice(where, "model", name, models)
    model = models[name]
    if model["frames"] != worlds.FRAMES or {model["height"], model["width"]} != {worlds.SIZE}:
        given = f"{model['frames']} frames of {model['height']} x {model['width']}"
        raise Refused(path, f"{name}.frames", given, f"{worlds.FRAMES} frames of {worlds.SIZE} x {worlds.SIZE}")
    if "training" in model:
        _check_training(path, f"{name}.training", model["training"])
    return models


def _check_training(path: str | Path, field: str, training: dict) -> None:
    """What a schema cannot say: names that agree, shares that sum to 1."""
    families, transformer = training["families"], training["transformer"]
    for family in families:
        check_choice(path, f"{field}.families", family, worlds.families())
    _check_shares(path, f"{field}.families", families)
    if set(transformer["cases"]) != set(families):
        raise Refused(path, f"{field}.transformer.cases", ", ".join(transformer["cases"]), ", ".join(families))
    if training["vae"]["scenes"] < len(families):
        raise Refused(path, f"{field}.vae.scenes", training["vae"]["scenes"], f"at least {len(families)}, one a family")
    _check_shares(path, f"{field}.transformer.noise_levels", transformer["noise_levels"])
    every = transformer["checkpoint_every"]
    if transformer["evaluate_every"] % every:
        raise Refused(
            path, f"{field}.transformer.evaluate_every", transformer["evaluate_every"], f"a multiple of {every}"
        )


def _check_shares(path: str | Path, field: str, shares: dict[str, float]) -> None:
    total = math.fsum(shares.values())
    if not math.isclose(total, 1, rel_tol=0, abs_tol=1e-9):
        raise Refused(path, field, f"shares that sum to {total:.10g}", "shares that sum to 1")


@functools.cache
def check_weights(path: str | Path, name: str) -> tuple[str, ...]:
    """Hold a model's folder against its manifest and its own video shape; asked only when a job needs the model.

    Returns
    -------
    tuple of str
        The files of the folder that its manifest names, and the manifest.

    Raises
    ------
    Refused
    """
    model = load_yaml(path)[name]
    folder = Path(model["path"])
    hashes = read_manifest(folder, model["revision"])
    check_folder(folder, hashes)
    check_fit(folder, model["frames"], model["height"], model["width"])
    return (str(folder / MANIFEST), *(str(folder / name) for name in hashes))


def check_claims(path: str | Path, experiments: dict) -> dict:
    """Read the claims; each must be one that can be judged, and name experiments of the configuration.

    Raises
    ------
    Refused
    """
    claims = check_schema(load_yaml(path), load_yaml(SCHEMAS / "claims.schema.yaml"), path)
    check_entries(claims["claims"], path)
    for claim in claims["claims"]:
        for experiment in claim["experiments"]:
            check_choice(path, f"{claim['id']}.experiments", experiment, experiments)
    return claims


def evaluations(experiment: dict, latent_frames: int) -> int:
    """Network evaluations of a stream."""
    return experiment["steps"] * (latent_frames - 1 if experiment["order"] == "frame_by_frame" else 1)


def check_space(config: dict, model: dict) -> None:
    """Refuse a run whose decoded clean estimates (uncompressed) would not fit on the disk.

    Trajectories that are there already take no more space: a finished run is never refused.

    Raises
    ------
    Refused
    """
    frame = model["height"] * model["width"] * 3
    streams = config["cases"]["count"] * len(config["seeds"])
    folder = Path(config["results"])
    made = folder / "trajectories" / config["model"]
    steps = sum(
        evaluations(experiment, model["frames"])
        for name, experiment in config["experiments"].items()
        for family in config["cases"]["families"]
        if not (made / name / f"{family}.nc").exists()
    )
    needed = streams * steps * model["frames"] * frame
    standing = next(path for path in [folder, *folder.absolute().parents] if path.exists())
    free = shutil.disk_usage(standing).free
    if free < needed:
        raise Refused(folder, "disk", f"{free / 1e9:.3g} GB free", f"at least {needed / 1e9:.3g} GB for this run")
