"""Refuse a model folder before any work. No torch here: a Snakefile asks these questions while it is parsed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

from chainofsteps.refusal import Refused

MANIFEST = "SHA256SUMS"
CARD = "README.md"
TABLE = "success.csv"
BESIDE = (MANIFEST, CARD, TABLE)  # what a manifest does not name
INDEX = "model_index.json"
ORIGIN = "hub.json"  # in a folder of the hub: where it came from
PIPELINE = "WanImageToVideoPipeline"
NETWORKS = ("transformer", "transformer_2")
WEIGHTED = (*NETWORKS, "vae", "text_encoder", "image_encoder")
NEEDED = ("scheduler", "text_encoder", "tokenizer", "vae")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
CONFIG_NAMES = {
    "scheduler": "scheduler_config.json",
    "tokenizer": "tokenizer_config.json",
    "image_processor": "preprocessor_config.json",
}

# The defaults of AutoencoderKLWan and WanTransformer3DModel: older folders do not write these fields.
TEMPORAL_FACTOR = 4
SPATIAL_FACTOR = 8
PATCH_SIZE = (1, 2, 2)
# WanAttnProcessor takes what stands before the last 512 context tokens for the image: shorter texts would mix with it.
IMAGE_CONTEXT_TEXT_LENGTH = 512
FLOW_MATCHING = "FlowMatchEulerDiscreteScheduler"  # whose every configuration is of flow matching
FORM_LAYERS = {"single": 40, "two_networks": 40, "ti2v": 30}  # of Wan's large networks, by form


def check_folder(folder: str | Path, hashes: dict[str, str] | None = None) -> None:
    """Refuse a folder that is not a whole, safe diffusers Wan image-to-video pipeline.

    Only headers are read, except where `hashes` asks for whole files.

    Parameters
    ----------
    folder : path
        A folder in diffusers layout, with ``model_index.json``.
    hashes : dict, optional
        sha256 (hexadecimal) by path relative to `folder`, as `hash_folder` gives: finds swapped, edited and added
        files.

    Raises
    ------
    Refused
        No such folder; ``model_index.json`` missing, unreadable or of another pipeline; a part missing; a part without
        safetensors weights; a pickle anywhere; a safetensors file cut short; a scheduler that the sampling loop cannot
        follow; a file whose sha256 differs; a file that `hashes` does not name, unless it is in `BESIDE`.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise Refused(folder, "model folder", "no such folder", "a diffusers folder with model_index.json")
    _refuse_pickles(folder)
    for part in named_parts(folder):
        _check_part(folder, part)
    _check_scheduler(folder)
    if hashes is not None:
        check_hashes(folder, hashes)


def check_hashes(folder: str | Path, hashes: dict[str, str]) -> None:
    """Refuse a folder with another file than its hashes name, beside those of `BESIDE`, or another content.

    Raises
    ------
    Refused
    """
    folder = Path(folder)
    for name in _file_names(folder):
        if name not in hashes and name not in BESIDE:
            raise Refused(folder / name, "file", f"not named in {MANIFEST}", f"named files, {', '.join(BESIDE)}")
    for name, accepted in sorted(hashes.items()):
        _check_hash(folder, name, accepted)


def check_entry(model: Mapping) -> None:
    """Refuse a model whose folder its entry does not fit; of the hub: one of another commit, or with other networks.

    Parameters
    ----------
    model : mapping
        Entry of config/models.yaml with the ``path`` where it lies; one without ``hub`` has a revision of its files.

    Raises
    ------
    Refused
        Another repository or commit than the entry's, of its LoRA weights, too, or none stated; networks that the
        entry's form does not have; a form whose first frame is given where the entry's is not, or the other way round;
        a text length that is not the one a network beside an image encoder takes.
    """
    if "hub" in model:
        _check_hub_entry(model)
    folder, length = Path(model["path"]), model["max_sequence_length"]
    network = folder / next(name for name in NETWORKS if name in named_parts(folder)) / "config.json"
    if _read_json(network).get("image_dim") is not None and length != IMAGE_CONTEXT_TEXT_LENGTH:
        accepted = f"{IMAGE_CONTEXT_TEXT_LENGTH}, since {network} has an image_dim"
        raise Refused(_name(model), "max_sequence_length", length, accepted)


def _name(model: Mapping) -> str:
    return model["hub"]["repository"] if "hub" in model else str(model["path"])


def _check_hub_entry(model: Mapping) -> None:
    for folder, place in ((model["path"], model["hub"]), *((each["path"], each) for each in _lora(model))):
        wanted = {key: place[key] for key in ("repository", "commit")}
        if (origin := read_origin(folder)) != wanted:
            raise Refused(Path(folder) / ORIGIN, "origin", origin, f"{wanted}, as config/models.yaml says")
    path, form = Path(model["path"]) / INDEX, model["form"]
    networks = [name for name in NETWORKS if name in named_parts(path.parent)]
    accepted = list(NETWORKS if form == "two_networks" else NETWORKS[:1])
    if networks != accepted:
        raise Refused(path, "networks", ", ".join(networks), f"{', '.join(accepted)}, of form {form}")
    given_first = bool(_read_json(path).get("expand_timesteps", False))
    if given_first != (form == "ti2v"):
        raise Refused(path, "expand_timesteps", given_first, f"{form == 'ti2v'}, of form {form}")


def _lora(model: Mapping) -> list[Mapping]:
    return [model["lora"]] if "lora" in model else []


def read_origin(folder: str | Path) -> dict | None:
    """Repository and commit that a folder was fetched from; None where nothing says so."""
    path = Path(folder) / ORIGIN
    return _read_json(path) if path.is_file() else None


def check_fit(folder: str | Path, frames: int, height: int, width: int) -> None:
    """Refuse a video shape that the model in `folder` cannot take.

    Parameters
    ----------
    folder : path
        A folder that `check_folder` accepts.
    frames, height, width : int
        Video frames and pixels.

    Raises
    ------
    Refused
        See `refuse_shape`; also where a config is unreadable.
    """
    refuse_shape(folder, **_factors_in(Path(folder)), frames=frames, height=height, width=width)


def _factors_in(folder: Path) -> dict:
    parts = named_parts(folder)
    vae = _read_json(folder / "vae" / "config.json")
    network = _read_json(folder / next(part for part in NETWORKS if part in parts) / "config.json")
    return {
        "temporal_factor": vae.get("scale_factor_temporal", TEMPORAL_FACTOR),
        "spatial_factor": vae.get("scale_factor_spatial", SPATIAL_FACTOR),
        "patch_size": network.get("patch_size", PATCH_SIZE),
    }


def factors_of(model: Mapping) -> dict:
    """Of a model by its entry, what `refuse_shape` holds a video's shape against; of the hub's nothing is read."""
    if "hub" not in model:
        return _factors_in(Path(model["path"]))
    spatial_factor = SPATIAL_FACTOR * (2 if model["form"] == "ti2v" else 1)
    return {"temporal_factor": TEMPORAL_FACTOR, "spatial_factor": spatial_factor, "patch_size": PATCH_SIZE}


def outline(model: Mapping) -> SimpleNamespace:
    """What a timetable asks of a pipeline, from the model's entry alone: stands in for it where none is loaded.

    Parameters
    ----------
    model : mapping
        Entry of config/models.yaml; of one with ``path`` the configurations in its folder are read, no weights.

    Returns
    -------
    SimpleNamespace
        Takes the pipeline's place in :func:`chainofsteps.sampling.loop.prepare_order`.

    Raises
    ------
    Refused
        A folder that is not in diffusers layout.
    """
    factors = factors_of(model)
    if "hub" in model:
        ti2v, boundary = model["form"] == "ti2v", model.get("boundary")
    else:
        index = _read_json(Path(model["path"]) / "model_index.json")
        ti2v, boundary = index.get("expand_timesteps", False), index.get("boundary_ratio")
    return SimpleNamespace(
        name_or_path=_name(model),
        vae_scale_factor_temporal=factors["temporal_factor"],
        vae_scale_factor_spatial=factors["spatial_factor"],
        transformer=SimpleNamespace(config=SimpleNamespace(patch_size=tuple(factors["patch_size"]))),
        config=SimpleNamespace(expand_timesteps=ti2v, boundary_ratio=boundary),
    )


def network_size(folder: str | Path, frames: int) -> tuple[int, int]:
    """Layers of the network in a folder (the fewer, of two), and latent frames of so many video frames.

    Raises
    ------
    Refused
        Not a folder in diffusers layout, or one whose configuration says nothing of layers.
    """
    folder = Path(folder)
    parts = [part for part in NETWORKS if part in named_parts(folder)]
    configs = {part: _read_json(folder / part / "config.json") for part in parts}
    for part, config in configs.items():
        if not _whole(config.get("num_layers")):
            raise Refused(
                folder / part / "config.json", "num_layers", config.get("num_layers", "nothing"), "an integer"
            )
    factor = _read_json(folder / "vae" / "config.json").get("scale_factor_temporal", TEMPORAL_FACTOR)
    return min(config["num_layers"] for config in configs.values()), (frames - 1) // factor + 1


def refuse_shape(
    where: object,
    *,
    temporal_factor: int,
    spatial_factor: int,
    patch_size: tuple[int, int, int],
    frames: int,
    height: int,
    width: int,
) -> None:
    """Refuse a video shape that a VAE and a patch size cannot hold; the pipeline itself would round it in silence.

    Parameters
    ----------
    where : object
        Named in the message: the model.
    temporal_factor, spatial_factor : int
        Video frames a latent frame (after the first), pixels a latent cell.
    patch_size : tuple of int
        Latent (frames, rows, columns) a token.
    frames, height, width : int
        Video frames and pixels.

    Raises
    ------
    Refused
        ``frames`` is not 1 plus a multiple of the temporal factor, or a side is not a multiple of spatial factor times
        patch.
    """
    if not _whole(frames) or frames < 1 or (frames - 1) % temporal_factor:
        raise Refused(where, "frames", frames, f"1 + a multiple of {temporal_factor}")
    for field, size, patch in (("height", height, patch_size[1]), ("width", width, patch_size[2])):
        multiple = spatial_factor * patch
        if not _whole(size) or size < 1 or size % multiple:
            raise Refused(where, field, size, f"a multiple of {multiple}")


def hash_folder(folder: str | Path) -> dict[str, str]:
    """sha256 of every file in a folder.

    Parameters
    ----------
    folder : path
        Any folder.

    Returns
    -------
    dict
        Hexadecimal sha256 by posix path relative to `folder`, sorted by path.
    """
    folder = Path(folder)
    return {name: _sha256(folder / name) for name in _file_names(folder)}


def _file_names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _whole(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_json(path: Path) -> dict:
    if not path.is_file():
        raise Refused(path, "file", "missing", "a JSON file")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Refused(path, "content", error, "a JSON object") from None
    if not isinstance(content, dict):
        raise Refused(path, "content", type(content).__name__, "a JSON object")
    return content


def _refuse_pickles(folder: Path) -> None:
    # A pickle runs code when it is loaded, wherever in the folder it lies.
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in PICKLES:
            raise Refused(path, "weight format", f"*{path.suffix}", "*.safetensors")


def named_parts(folder: Path) -> list[str]:
    """Parts that ``model_index.json`` names: ``name: [library, class]``, where ``[null, null]`` is an absent part.

    Raises
    ------
    Refused
        No such file, another pipeline, or a part that every pipeline needs is not named.
    """
    index_path = folder / INDEX
    index = _read_json(index_path)
    if index.get("_class_name") != PIPELINE:
        raise Refused(index_path, "_class_name", index.get("_class_name"), PIPELINE)
    parts = [name for name, value in index.items() if isinstance(value, list) and all(value)]
    for name in NEEDED:
        if name not in parts:
            raise Refused(index_path, name, "not named", "[library, class]")
    if not any(name in parts for name in NETWORKS):
        raise Refused(index_path, "transformer", "not named", f"[library, class] for one of {', '.join(NETWORKS)}")
    return parts


def _check_part(folder: Path, part: str) -> None:
    if not (folder / part).is_dir():
        raise Refused(folder / part, "part", "missing", "the folder that model_index.json names")
    _read_json(folder / part / CONFIG_NAMES.get(part, "config.json"))
    if part not in WEIGHTED:
        return
    shards = {
        shard
        for index in sorted((folder / part).glob("*.safetensors.index.json"))
        for shard in _read_json(index).get("weight_map", {}).values()
    }
    weights = sorted({path.name for path in (folder / part).glob("*.safetensors")} | shards)
    if not weights:
        raise Refused(folder / part, "weights", "no *.safetensors", "at least one *.safetensors file")
    for name in weights:
        check_safetensors(folder / part / name)


def _check_scheduler(folder: Path) -> None:
    """Refuse by its configuration what the sampling loop would refuse of a scheduler that is loaded."""
    _, name = _read_json(folder / INDEX)["scheduler"]
    path = folder / "scheduler" / CONFIG_NAMES["scheduler"]
    config = _read_json(path)
    flow = config.get("use_flow_sigmas") is True and config.get("prediction_type") == "flow_prediction"
    if name != FLOW_MATCHING and not flow:
        given = f"{config.get('prediction_type', 'none')} of {name}"
        raise Refused(path, "prediction_type", given, f"flow_prediction with use_flow_sigmas, or {FLOW_MATCHING}")
    if config.get("stochastic_sampling", False):
        raise Refused(path, "stochastic_sampling", True, "False: its noise follows no stream's seed")


def check_safetensors(path: Path) -> None:
    """Compare a file's size with what its header promises; refuse what is no whole safetensors file.

    Format: 8 bytes little-endian header length, a JSON header with ``data_offsets`` a tensor, the data
    (https://github.com/huggingface/safetensors#format).
    """
    if not path.is_file():
        raise Refused(path, "weights", "missing", "the shard that the index names")
    size = path.stat().st_size
    with path.open("rb") as file:
        header_size = int.from_bytes(file.read(8), "little")
        if size < 8 or header_size > size - 8:
            raise Refused(path, "size", f"{size} bytes, cut inside the header", "a whole safetensors file")
        try:
            header = json.loads(file.read(header_size))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, AttributeError, KeyError, IndexError, TypeError):
            raise Refused(path, "header", "unreadable", "a safetensors header") from None
    promised = 8 + header_size + max(ends, default=0)
    if size != promised:
        raise Refused(path, "size", f"{size} bytes", f"{promised} bytes, as its header says")


def _check_hash(folder: Path, name: str, accepted: str) -> None:
    path = folder / name
    if not path.is_file():
        raise Refused(path, "file", "missing", f"sha256 {accepted}")
    given = _sha256(path)
    if given != accepted:
        raise Refused(path, "sha256", given, accepted)


def read_manifest(folder: str | Path, revision: str | None = None) -> dict[str, str]:
    """Hashes that a model states for its own files, held against the revision that the configuration pins.

    Parameters
    ----------
    folder : path
        Holds ``SHA256SUMS``, in the format of ``sha256sum``.
    revision : str, optional
        sha256 of that file. Without it the manifest is taken as it is: of a model from the hub, whose commit is pinned
        and whose files were held to the hub's hashes when they came.

    Returns
    -------
    dict
        sha256 by path relative to `folder`, for `check_folder`.

    Raises
    ------
    Refused
        No manifest, another revision, or a line that is none.
    """
    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise Refused(path, "file", "missing", "the hashes of the model's files")
    if revision is not None:
        _check_hash(Path(folder), MANIFEST, revision)
    lines = [line.split("  ", 1) for line in path.read_text().splitlines()]
    if any(len(line) != 2 or len(line[0]) != 64 for line in lines):
        raise Refused(path, "line", "not 'sha256  path'", "the output of sha256sum")
    return {name: digest for digest, name in lines}


def write_manifest(folder: str | Path, hashes: dict[str, str] | None = None) -> str:
    """Write ``SHA256SUMS`` for a model folder's files but those of `BESIDE`; returns the revision, its sha256.

    Parameters
    ----------
    folder : path
    hashes : dict, optional
        As `hash_folder` gives them, where they are known: hashing a large model takes minutes.
    """
    path = Path(folder) / MANIFEST
    hashes = hash_folder(folder) if hashes is None else hashes
    path.write_text("".join(f"{digest}  {name}\n" for name, digest in sorted(hashes.items()) if name not in BESIDE))
    return _sha256(path)
