"""All that is refused before the first job starts. Imports no torch: the Snakefile asks while it is parsed."""

from __future__ import annotations

import functools
import itertools
import math
import shutil
from collections.abc import Collection
from pathlib import Path

from chainofsteps import worlds
from chainofsteps.configuration import check_choice, check_schema, load_yaml
from chainofsteps.models.check import (
    FORM_LAYERS,
    MANIFEST,
    NETWORKS,
    TEMPORAL_FACTOR,
    check_entry,
    check_fit,
    check_folder,
    factors_of,
    network_size,
    read_manifest,
    refuse_shape,
)
from chainofsteps.refusal import Refused
from chainofsteps.sampling.orders import build_order
from chainofsteps.statistics.claims import FEATURES, check_entries, check_experiments

SCHEMAS = Path("workflow/schemas")
EXPERIMENTS = "interventions.experiments"
BLOCK_REACH = 10  # indices that a case may take
COMPARING = ("layers",)  # kinds of experiments that ask about the cases of a world together
BENCH_KINDS = ("erasure", "orders")  # of the kinds of experiments, those that need no symbolic truth
OVERRIDES = ("models", "families", "count", "seeds")
FLOORED = "erasure"  # kind of experiment that is also made where all is done in the first frame


def check_config(config: dict, where: object) -> None:
    """Hold the merged configuration against its schemas and the families that there are.

    Raises
    ------
    Refused
    """
    check_schema(config, load_yaml(SCHEMAS / "config.schema.yaml"), where)
    schemas = load_yaml(SCHEMAS / "interventions.schema.yaml")["properties"]
    for name, given in config["interventions"]["experiments"].items():
        field = f"{EXPERIMENTS}.{name}"
        check_schema(_nested(field, own_settings(given)), _nested(field, schemas[given["kind"]], "properties"), where)
    for kind in BENCH_KINDS:
        field = f"bench.{kind}"
        check_schema(_nested(field, config["bench"][kind]), _nested(field, schemas[kind], "properties"), where)
    for family in config["cases"]["families"]:
        check_choice(where, "cases.families", family, worlds.families())


def leave_out(config: dict, default: dict, where: object) -> list[str]:
    """Take away the experiments that an overlay sets to null; a configuration laid over another cannot do it otherwise.

    Parameters
    ----------
    config : dict
        Changed in place.
    default : dict
        The configuration that others are laid over: it says which experiments there are.
    where : object
        The configuration, for the message.

    Returns
    -------
    list of str
        Their names.

    Raises
    ------
    Refused
        Null for an experiment that the default does not have.
    """
    left_out = []
    for place in ("", "controls", "interventions"):
        part, known = (each.get(place) if place else each for each in (config, default))
        experiments = part.get("experiments") if isinstance(part, dict) else None
        if not isinstance(experiments, dict):
            continue
        for name in [name for name, given in experiments.items() if given is None]:
            if name not in known["experiments"]:
                field = f"{place}.experiments.{name}".removeprefix(".")
                raise Refused(where, field, "null", ", ".join(known["experiments"]))
            left_out.append(name)
            del experiments[name]
    return left_out


def check_orders(config: dict, sampled: dict[str, dict], interventions: dict, models: dict, where: object) -> None:
    """Refuse an order in which frames take turns where a model of the hub gives all frames one timestep.

    Parameters
    ----------
    config : dict
        Valid by its schema.
    sampled : dict
        As `check_sampled` gives them.
    interventions : dict
        As `check_interventions` gives them.
    models : dict
        As `check_models` gives them.
    where : object
        The configuration, for the message.

    Raises
    ------
    Refused
    """
    controls = config["controls"]["experiments"]
    asked = [
        (f"{'controls.' * (name in controls)}experiments.{name}.order", given["order"], config["model"])
        for name, given in sampled.items()
    ]
    for name, given in interventions.items():
        settings, field = given["settings"], f"{EXPERIMENTS}.{name}"
        orders = [(f"{field}.order", settings["order"])] if "order" in settings else []
        orders += [(f"{field}.orders", order) for order in settings.get("orders", ())]
        asked += [(*each, model) for each in orders for model in given["models"]]
    for field, order, model in asked:
        form = models[model].get("form", "ti2v")
        if order != "joint" and form != "ti2v":
            accepted = f"joint, with {model} of form {form}; null leaves the experiment out"
            raise Refused(where, field, order, accepted)


def own_settings(experiment: dict) -> dict:
    """Settings of an experiment that its kind gives a meaning to."""
    own = ("kind", *OVERRIDES, *(["solved"] if experiment["kind"] == FLOORED else []))
    return {key: value for key, value in experiment.items() if key not in own}


def _nested(field: str, content: dict, *between: str) -> dict:
    """What stands at a dotted field, so that messages name the whole of it; ``between`` stands before each key."""
    for key in reversed(field.split(".")):
        content = {key: content}
        for each in between:
            content = {each: content}
    return content


def check_models(path: str | Path, name: str, where: object) -> dict:
    """Read the models file; the chosen model must be in it and make videos of the worlds' shape.

    A training must know its families and share out all of the samples.

    Returns
    -------
    dict
        Entries by name.

    Of a model on the hub the shape is asked when a run starts (`check_shape`): its plan can be made without its cases.

    Raises
    ------
    Refused
    """
    models = check_schema(load_yaml(path), load_yaml(SCHEMAS / "models.schema.yaml"), path)
    check_choice(where, "model", name, models)
    for each, model in models.items():
        _check_place(path, each, model)
        if "lora" in model:
            _check_lora(path, each, models)
    if "hub" not in models[name]:
        check_shape(path, name, models[name])
    for name, model in models.items():
        if "training" in model:
            _check_training(path, name, models)
    return models


_OF_HUB = ("form", "parameters", "placement", "steps", "shift")
_OF_FORM = ("boundary", "guidance_scale_2")
_OF_FOLDER = ("revision", "orders", "training")


def _check_place(path: str | Path, name: str, model: dict) -> None:
    """A model lies in a folder or on the hub; of the latter all is said that a plan needs before it is fetched."""
    if ("hub" in model) == ("path" in model):
        raise Refused(path, name, f"{'both' if 'hub' in model else 'neither'} of path and hub", "one of them")
    for key in _OF_FOLDER if "hub" in model else (*_OF_HUB, *_OF_FORM):
        if key in model:
            raise Refused(
                path, f"{name}.{key}", "given", f"of a model {'with path' if 'hub' in model else 'on the hub'}"
            )
    if "hub" not in model:
        return
    for key in _OF_HUB:
        if key not in model:
            raise Refused(path, f"{name}.{key}", "nothing", "needed of a model on the hub")
    two = model["form"] == "two_networks"
    given = {"boundary": "boundary" in model, "parameters.transformer_2": "transformer_2" in model["parameters"]}
    for key, there in given.items():
        if there != two:
            said = f"{'one' if there else 'none'} in form {model['form']}"
            raise Refused(path, f"{name}.{key}", said, "one in form two_networks, none in others")
    if "guidance_scale_2" in model and not two:
        raise Refused(path, f"{name}.guidance_scale_2", f"one in form {model['form']}", "none but in form two_networks")
    shape = {key: model[key] for key in ("frames", "height", "width")}
    refuse_shape(f"{path}: {name}", **factors_of(model), **shape)


def _check_lora(path: str | Path, name: str, models: dict) -> None:
    """LoRA weights lie on those of another entry, which the two agree on, and belong to networks that it has."""
    model, field = models[name], f"{name}.lora"
    if "hub" not in model:
        raise Refused(path, field, "one of a model with path", "one of a model on the hub")
    bases = [other for other, entry in models.items() if "hub" in entry and "lora" not in entry]
    check_choice(path, f"{field}.base", model["lora"]["base"], bases)
    base = models[model["lora"]["base"]]
    for key in ("hub", "form", "parameters"):
        if model[key] != base[key]:
            raise Refused(path, f"{name}.{key}", model[key], f"that of {model['lora']['base']}: {base[key]}")
    for part in model["lora"]["files"]:
        check_choice(path, f"{field}.files", part, [part for part in model["parameters"] if part in NETWORKS])


def check_shape(path: str | Path, name: str, model: dict) -> None:
    """Refuse a model whose videos have not the shape of the worlds' pictures.

    Raises
    ------
    Refused
    """
    if model["frames"] != worlds.FRAMES or {model["height"], model["width"]} != {worlds.SIZE}:
        given = f"{model['frames']} frames of {model['height']} x {model['width']}"
        raise Refused(path, f"{name}.frames", given, f"{worlds.FRAMES} frames of {worlds.SIZE} x {worlds.SIZE}")


def check_success(success: dict, models: dict, where: object) -> None:
    """Hold what `snakemake success` is to measure against the families and models that there are.

    Parameters
    ----------
    success : dict
        ``success`` of the configuration.
    models : dict
        As `check_models` gives them.
    where : object
        The configuration, for the message.

    Raises
    ------
    Refused
    """
    for family in success["families"]:
        check_choice(where, "success.families", family, worlds.families())
    for name in success["models"]:
        check_choice(where, "success.models", name, [name for name, model in models.items() if "orders" in model])
        check_shape("config/models.yaml", name, models[name])
    if success["followed"] > success["count"]:
        raise Refused(where, "success.followed", success["followed"], f"at most success.count, {success['count']}")


def check_interventions(config: dict, models: dict, where: object) -> dict[str, dict]:
    """Hold the experiments against the families and the models, and say what each is.

    Parameters
    ----------
    config : dict
        Valid by its schema.
    models : dict
        As `check_models` gives them.
    where : object
        The configuration, for the message.

    Returns
    -------
    dict
        Experiment by name: ``kind``, ``models``, ``families``, ``count``, ``seeds``, and its own ``settings``; of
        erasures ``solved``, where they name any: ``families`` and ``count`` of cases in which all is done.

    Raises
    ------
    Refused
    """
    common = config["interventions"]
    experiments = {}
    for name, given in common["experiments"].items():
        settings, field = own_settings(given), f"{EXPERIMENTS}.{name}"
        experiment = {key: given.get(key, common[key]) for key in OVERRIDES}
        for family in experiment["families"]:
            check_choice(where, f"{field}.families", family, worlds.families())
        for model in experiment["models"]:
            check_choice(where, f"{field}.models", model, models)
            if "hub" not in models[model]:
                check_shape("config/models.yaml", model, models[model])
            _check_reach(where, field, given["kind"], settings, models[model])
        taken = {"count": experiment["count"]}
        if given["kind"] == FLOORED and "solved" in given:
            experiment["solved"] = given["solved"]
            taken["solved.count"] = given["solved"]["count"]
            for family in given["solved"]["families"]:
                check_choice(where, f"{field}.solved.families", family, worlds.families())
        for key, count in taken.items():
            if count > common["scored"]:
                raise Refused(where, "interventions.scored", common["scored"], f"at least {count}, the {key} of {name}")
        experiments[name] = {"kind": given["kind"], "settings": settings, **experiment}
    return experiments


def _check_reach(where: object, field: str, kind: str, settings: dict, model: dict) -> None:
    """Steps, frames and layers that there are: of the settings' own number of steps, and of the model's network."""
    layers, latent_frames = _size_of(model)
    cells, doses = settings.get("cells", {}), settings.get("doses", {})
    within = [
        ("at_frames", settings.get("at_frames", ()), 1, latent_frames - 1),
        ("frames_after", settings.get("frames_after", ()), 0, latent_frames - 3),
        ("cells.frames", cells.get("frames", ()), 1, latent_frames - 1),
        ("layers", settings.get("layers", ()), 0, layers - 1),
        ("windows", itertools.chain(*settings.get("windows", ())), 0, layers - 1),
        ("frames", settings.get("frames", ()), 2, model["frames"] - 1),
    ]
    if "steps" in settings:
        last = settings["steps"] - 1
        # Where frames take turns, a frame may be written once it is finished.
        finished = kind == "plant" and settings["order"] != "joint"
        # A plan that is planted where there is nothing but noise is not planted.
        within.append(("at_steps", settings.get("at_steps", ()), int(kind == "plant"), last + finished))
        within.append(("spans", itertools.chain(*settings.get("spans", ())), 0, last))
        within.append(("cells.steps", cells.get("steps", ()), 0, last))
        within.append(("doses.counts", doses.get("counts", ()), 2, min(settings["steps"], latent_frames - 2)))
    for key, given, least, most in within:
        for number in given:
            if not least <= number <= most:
                raise Refused(where, f"{field}.{key}", number, f"{least} to {most}")
    for key, what in (("windows", "layer"), ("spans", "step")):
        for first, last in settings.get(key, ()):
            if first > last:
                raise Refused(where, f"{field}.{key}", f"{first} to {last}", f"first {what}, last {what}")
    acts = {"plant": ("at_steps",), "ensemble": ("at_steps",), "layers": ("at_steps",)}
    for key in acts.get(kind, ()):
        if not settings[key]:
            raise Refused(where, f"{field}.{key}", "none", "at least one")


def _size_of(model: dict) -> tuple[int, int]:
    """Layers and latent frames."""
    if "hub" in model:
        return FORM_LAYERS[model["form"]], (model["frames"] - 1) // TEMPORAL_FACTOR + 1
    return network_size(model["path"], model["frames"])


def check_bench(bench: dict, models: dict, where: object) -> None:
    """Hold what `snakemake vbvr` is to do against the models that there are; asked whatever is made.

    Parameters
    ----------
    bench : dict
        ``bench`` of the configuration, valid by its schema.
    models : dict
        As `check_models` gives them.
    where : object
        The configuration, for the message.

    Raises
    ------
    Refused
        No such model; steps or frames that it does not have; another order than joint of a model that takes one
        timestep for all frames; a decoded step or frame beyond the last, frames that do not go up from the given one; a
        grid of more cells than pixels.
    """
    check_choice(where, "bench.model", bench["model"], models)
    model = models[bench["model"]]
    for kind in BENCH_KINDS:
        _check_reach(where, f"bench.{kind}", kind, bench[kind], model)
    planted = bench["plant"] | {"steps": bench["erasure"]["steps"], "order": bench["erasure"]["order"]}
    _check_reach(where, "bench.plant", "plant", planted | {"frames_after": []}, model)
    _check_bench_orders(bench, model, where)
    _check_decoded(bench, model, where)
    for number, side in zip(bench["grid"], ("height", "width"), strict=True):
        if number > model[side]:
            raise Refused(where, "bench.grid", number, f"at most {model[side]}, {side} of {bench['model']}")
    for frames in bench["orders"]["frames"]:
        if "hub" in model and (frames - 1) % TEMPORAL_FACTOR:
            raise Refused(where, "bench.orders.frames", frames, f"1 + a multiple of {TEMPORAL_FACTOR}")


def _check_decoded(bench: dict, model: dict, where: object) -> None:
    _, latent_frames = _size_of(model)
    for name, given in bench["experiments"].items():
        for step in given.get("decoded_steps", ()):
            if step > (last := evaluations(given, latent_frames) - 1):
                raise Refused(where, f"bench.experiments.{name}.decoded_steps", step, f"0 to {last}")
        frames, last = given.get("decoded_frames", [0, 1]), model["frames"] - 1
        # Maps are held against the given frame, and motion needs another one.
        if frames != sorted({0, *frames}) or not 1 <= frames[-1] <= last:
            accepted = f"0 and at least one of 1 to {last}, ascending"
            raise Refused(where, f"bench.experiments.{name}.decoded_frames", frames, accepted)


def _check_bench_orders(bench: dict, model: dict, where: object) -> None:
    if model.get("form") not in ("single", "two_networks"):
        return
    asked = {f"experiments.{name}.order": given["order"] for name, given in bench["experiments"].items()}
    asked |= {"erasure.order": bench["erasure"]["order"]}
    asked |= {f"orders.orders.{order}": order for order in bench["orders"]["orders"]}
    for field, order in asked.items():
        if order != "joint":
            raise Refused(where, f"bench.{field}", order, f"joint: {bench['model']} takes one timestep for all frames")


def _check_training(path: str | Path, name: str, models: dict) -> None:
    """What a schema cannot say: names that agree, shares that sum to 1, a VAE of its own or of another."""
    training, field = models[name]["training"], f"{name}.training"
    families, transformer = training["families"], training["transformer"]
    if ("vae" in training) == ("vae_of" in training):
        given = "both" if "vae" in training else "neither"
        raise Refused(path, field, f"{given} of vae and vae_of", "one of them")
    if "vae_of" in training:
        trainings = {other: entry["training"] for other, entry in models.items() if "training" in entry}
        owners = {other: given["families"] for other, given in trainings.items() if "vae" in given}
        check_choice(path, f"{field}.vae_of", training["vae_of"], owners)
        owned = owners[training["vae_of"]]
        for family, given in families.items():
            check_choice(path, f"{field}.families", family, owned)
            for key in ("cases", "difficulties"):
                if given[key] != owned[family][key]:
                    accepted = f"{owned[family][key]}, as {training['vae_of']} has encoded them"
                    raise Refused(path, f"{field}.families.{family}.{key}", given[key], accepted)
    elif training["vae"]["scenes"] < len(families):
        given = training["vae"]["scenes"]
        raise Refused(path, f"{field}.vae.scenes", given, f"at least {len(families)}, one a family")
    for family, given in families.items():
        check_choice(path, f"{field}.families", family, worlds.families())
        for difficulty in given["difficulties"]:
            check_choice(path, f"{field}.families.{family}.difficulties", difficulty, worlds.difficulties(family))
    _check_start(path, name, models)
    _check_widths(path, name, models)
    _check_shares(path, f"{field}.families", {family: given["share"] for family, given in families.items()})
    _check_shares(path, f"{field}.transformer.noise_levels", transformer["noise_levels"])
    every = transformer["checkpoint_every"]
    if transformer["evaluate_every"] % every:
        raise Refused(
            path, f"{field}.transformer.evaluate_every", transformer["evaluate_every"], f"a multiple of {every}"
        )


def _check_widths(path: str | Path, name: str, models: dict) -> None:
    """The transformer takes what VAE and text encoder give."""
    training = models[name]["training"]
    architecture = training["transformer"]["architecture"]
    vae = models[training.get("vae_of", name)]["training"]["vae"]["architecture"]
    accepted = {"in_channels": vae.get("z_dim"), "out_channels": vae.get("z_dim")}
    accepted["text_dim"] = training["text_encoder"]["d_model"]
    for key, width in accepted.items():
        if architecture.get(key) != width:
            field = f"{name}.training.transformer.architecture.{key}"
            raise Refused(path, field, architecture.get(key, "nothing"), f"{width}, the width it is given")


def _check_start(path: str | Path, name: str, models: dict) -> None:
    """A training starts from another of the same architecture and VAE, and no chain of them comes back to itself."""
    chain = [name]
    while "starts_from" in models[chain[-1]]["training"]:
        field, start = f"{chain[-1]}.training.starts_from", models[chain[-1]]["training"]["starts_from"]
        alike = [
            other
            for other, entry in models.items()
            if "training" in entry and _network(other, entry["training"]) == _network(name, models[name]["training"])
        ]
        check_choice(path, field, start, [other for other in alike if other not in chain])
        own = vae_source(models, chain[-1])
        fitted = own | {"vae": "shipped"} if "revision" in models[start] else vae_source(models, start)
        # One that ships was made long ago: what the others are now is no matter to it.
        if own != fitted and "revision" not in models[chain[-1]]:
            given = f"{start}, fitted to the {fitted['vae']} VAE of {fitted['model']}"
            raise Refused(path, field, given, f"a model fitted to the {own['vae']} one, which this training takes")
        chain.append(start)


def vae_source(models: dict, name: str) -> dict[str, str]:
    """Whose VAE a model is trained on, and videos encoded by it: another's as shipped, else as trained here.

    Returns
    -------
    dict
        ``model``, and ``vae``: ``shipped`` or ``trained``.
    """
    owner = models[name]["training"].get("vae_of", name)
    shipped = owner != name and "revision" in models[owner]
    return {"model": owner, "vae": "shipped" if shipped else "trained"}


def _network(name: str, training: dict) -> tuple[dict, str]:
    """What weights can be taken over between: the architecture, and whose VAE makes the latents."""
    return training["transformer"]["architecture"], training.get("vae_of", name)


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
    if "revision" not in model:
        raise Refused(path, f"{name}.revision", "nothing", f"sha256 of {model['path']}/{MANIFEST}")
    folder = Path(model["path"])
    hashes = read_manifest(folder, model["revision"])
    check_folder(folder, hashes)
    check_entry(model)
    check_fit(folder, model["frames"], model["height"], model["width"])
    return (str(folder / MANIFEST), *(str(folder / name) for name in hashes))


def check_sampled(experiments: dict, controls: dict, count: int, seeds: list[int], where: object) -> dict[str, dict]:
    """All that is sampled by name, control runs among them: each with its weights, cases, number of cases and seeds.

    Parameters
    ----------
    experiments, controls : dict
        Of the configuration.
    count : int
        Cases that are drawn a family.
    seeds : list of int
        Generation seeds of the experiments.
    where : object
        The configuration, for the message.

    Raises
    ------
    Refused
        A name twice; more cases for controls than are drawn.
    """
    for name, given in controls["experiments"].items():
        if given.get("count", controls["count"]) > count:
            field = f"controls.experiments.{name}.count" if "count" in given else "controls.count"
            raise Refused(where, field, given.get("count", controls["count"]), f"at most cases.count, {count}")
        if name in experiments:
            raise Refused(where, f"controls.experiments.{name}", "a name twice", "a name that no experiment has")
    usual = {"weights": "trained", "cases": "drawn"}
    own = {key: controls[key] for key in ("count", "seeds", "seed")}
    return {
        **{name: usual | {"count": count, "seeds": seeds} | given for name, given in experiments.items()},
        **{name: usual | own | given for name, given in controls["experiments"].items()},
    }


def check_stability(config: dict, models: dict, where: object) -> None:
    """Hold the models that verdicts are repeated with against those that there are.

    Raises
    ------
    Refused
    """
    for model in config["stability"]["models"]:
        check_choice(where, "stability.models", model, models)
        check_shape("config/models.yaml", model, models[model])


def check_blocks(config: dict, where: object) -> None:
    """Hold the blocks of cases that verdicts are repeated on against the run's own; asked only when one is drawn.

    Raises
    ------
    Refused
        Blocks that may hold a case of the run.
    """
    repeated, cases = config["stability"], config["cases"]
    for own in (cases["first"], config["interventions"]["first"]):
        # A world that skips pictures it had reaches further than its count.
        reach = BLOCK_REACH * max(cases["count"], repeated["count"] * repeated["blocks"])
        if abs(repeated["first"] - own) < reach:
            raise Refused(where, "stability.first", repeated["first"], f"at least {reach} away from {own}")


def kinds_of(config: dict, interventions: dict[str, dict]) -> dict[str, str]:
    """Kind of every experiment by name, ``features`` for those that only sample, controls among them.

    Parameters
    ----------
    config : dict
        Valid by its schema.
    interventions : dict
        As `check_interventions` gives them.
    """
    sampled = dict.fromkeys([*config["experiments"], *config["controls"]["experiments"]], FEATURES)
    return sampled | {name: given["kind"] for name, given in interventions.items()}


def check_claims(
    path: str | Path, kinds: dict[str, str], models: Collection[str], left_out: Collection[str] = ()
) -> tuple[list[dict], list[str]]:
    """Read the claims; each must be one that can be judged, and name experiments and models that there are.

    Parameters
    ----------
    path : path
    kinds : dict
        As `kinds_of` gives them.
    models : collection of str
    left_out : collection of str
        Experiments that this run does without.

    Returns
    -------
    list of dict
        Entries that can be judged: neither they nor a control of theirs names what is left out.
    list of str
        What is left out and named by an entry.

    Raises
    ------
    Refused
    """
    claims = check_schema(load_yaml(path), load_yaml(SCHEMAS / "claims.schema.yaml"), path)["claims"]
    check_entries(claims, path)
    named = {name for each in claims for name in each.get("experiments", ())}
    missing = [each["id"] for each in claims if set(left_out) & set(each.get("experiments", ()))]
    claims = [each for each in claims if not set(missing) & {each["id"], *each.get("controls", ())}]
    check_experiments(claims, kinds, path)
    for claim in claims:
        for model in claim.get("models", []):
            check_choice(path, f"{claim['id']}.models", model, models)
    return claims, [name for name in left_out if name in named]


def evaluations(experiment: dict, latent_frames: int) -> int:
    """Network evaluations of a stream."""
    return len(build_order(experiment["order"], latent_frames, experiment["steps"]).active)


def _missing(output: Path, size: int) -> int:
    """Bytes that an output is still to get, of so many uncompressed: what its job has kept until now it has."""
    kept = Path(f"{output}.parts", "clean_estimate.array")
    # It has its full length from the start, and takes room on the disk block by block.
    held = kept.stat().st_blocks * 512 if kept.exists() else 0
    return 0 if output.exists() else max(0, size - held)


def check_space(config: dict, model: dict) -> None:
    """Refuse a run whose decoded clean estimates (uncompressed) would not fit on the disk.

    What is there already takes no more space: a finished run is never refused, and of one that was interrupted shards
    and finished parts count as done. To join shards takes a whole family's space, though nothing else be missing.

    Raises
    ------
    Refused
    """
    from chainofsteps.sampling.parts import shard_bounds  # with it comes xarray, which other doors do without

    frame = model["height"] * model["width"] * 3
    cases, seeds = config["cases"]["count"], len(config["seeds"])
    bounds = shard_bounds(cases, seeds, config["batch"], config["shards"])
    folder = Path(config["results"])
    made = folder / "trajectories" / config["model"]
    missing, joined = 0, 0
    for name, experiment in config["experiments"].items():
        size = seeds * evaluations(experiment, model["frames"]) * model["frames"] * frame  # of a case
        for family in config["cases"]["families"]:
            whole = made / name / f"{family}.nc"
            if whole.exists():
                continue
            if config["shards"] == 1:
                missing += _missing(whole, cases * size)
                continue
            for number, (first, end) in enumerate(bounds):
                missing += _missing(whole.with_suffix("") / f"shard_{number}.nc", (end - first) * size)
            joined = max(joined, cases * size)
    needed = max(missing, joined)
    standing = next(path for path in [folder, *folder.absolute().parents] if path.exists())
    free = shutil.disk_usage(standing).free
    if free < needed:
        raise Refused(folder, "disk", f"{free / 1e9:.3g} GB free", f"at least {needed / 1e9:.3g} GB for this run")
