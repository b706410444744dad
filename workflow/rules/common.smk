"""
Refuses a bad configuration, model or claim before any work, and holds what all rules share.

REQUIRED INPUTS: config/*.yaml, workflow/schemas/*.yaml, the model's folder
OUTPUTS: none
"""

import functools
import hashlib
import os
import re
from pathlib import Path

from chainofsteps import worlds
from chainofsteps.configuration import load_yaml
from chainofsteps.doors import (
    BLOCK_REACH,
    COMPARING,
    check_bench,
    check_blocks,
    check_claims,
    check_config,
    check_interventions,
    check_models,
    check_orders,
    check_sampled,
    check_shape,
    check_space,
    check_stability,
    check_success,
    check_weights,
    kinds_of,
    leave_out,
    vae_source,
)
from chainofsteps.ledger.sources import LOCK, module_files
from chainofsteps.models.check import MANIFEST
from chainofsteps.readout.bench_scores import check_scorable
from chainofsteps.readout.scorers import find_scorers
from chainofsteps.refusal import Refused, or_exit
from chainofsteps.sampling.parts import case_groups, cases_a_batch, file_hashes, shard_bounds, share_out
from chainofsteps.statistics.registration import NONE, entry_hashes, read_registration
from chainofsteps.videos.bench_cases import chosen
from chainofsteps.videos.vbvr import list_cases

HERE = Path.cwd()
OVERLAYS = [path.relative_to(HERE) if path.is_relative_to(HERE) else path for path in workflow.overwrite_configfiles]
VALUES = ["--config"] if workflow.config_settings.config else []
CONFIG_FILES = " + ".join(map(str, ["config/config.yaml", *OVERLAYS, *VALUES]))

with or_exit():
    LEFT_OUT = leave_out(config, load_yaml("config/config.yaml"), CONFIG_FILES)
    check_config(config, CONFIG_FILES)
    MODELS = check_models("config/models.yaml", config["model"], CONFIG_FILES)
    check_success(config["success"], MODELS, CONFIG_FILES)
    INTERVENING = check_interventions(config, MODELS, CONFIG_FILES)
    ASKED = config["experiments"], config["controls"], config["cases"]["count"], config["seeds"]
    SAMPLED = check_sampled(*ASKED, CONFIG_FILES)
    CLAIMS, MISSED = check_claims("config/claims.yaml", kinds_of(config, INTERVENING), MODELS, LEFT_OUT)
    check_stability(config, MODELS, CONFIG_FILES)
    check_orders(config, SAMPLED, INTERVENING, MODELS, CONFIG_FILES)
    check_bench(config["bench"], MODELS, CONFIG_FILES)
    if "hub" not in MODELS[config["model"]]:
        check_space(config, MODELS[config["model"]])

MODEL = MODELS[config["model"]]
FAMILIES = config["cases"]["families"]
EXPERIMENTS = list(config["experiments"])
SHARDS = config["shards"]
RESULTS = Path(config["results"])
LOGS = Path("logs") / RESULTS
FIRST = {"cases": config["cases"]["first"], "interventions": config["interventions"]["first"]}
FIGURES = RESULTS / "figures"
USED = {config["model"], config["bench"]["model"], *(name for each in INTERVENING.values() for name in each["models"])}
SOLVED = "solved_"  # before the name of a family: its cases when all is done

# Jobs inherit it. Long ones would keep what they have freed, in pieces: memory would grow with the cases (docs/large_models.md).
if any("hub" in MODELS[name] for name in USED):
    os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", "65536")
    # diffusers asks for a GPU when it is imported. CUDA would then see all of them, whatever a job claims later.
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")


# A dry run plans what this machine could not hold.
onstart:
    with or_exit():
        for name in dict.fromkeys([config["model"], *get_intervening()]):
            if "hub" in MODELS[name]:
                check_shape("config/models.yaml", name, MODELS[name])
        if "hub" in MODEL:
            check_space(config, MODEL)


wildcard_constraints:
    family="|".join(worlds.families()),
    experiment="|".join(SAMPLED),
    model="|".join(map(re.escape, MODELS)),
    vae="shipped|trained",
    shard="[0-9]+",
    intervention="|".join(INTERVENING),
    world=f"({SOLVED})?({'|'.join(worlds.families())})",


def get_modules(source, *families):
    """Modules that a script or notebook uses, those of families, which are imported by name, and the pinned versions."""
    worlds_of = [f"src/chainofsteps/worlds/{name}.py" for name in families]
    imported = [module for world in worlds_of for module in module_files(world, "src")]
    return list(dict.fromkeys([*module_files(source, "src"), *worlds_of, *imported, LOCK.as_posix()]))


def get_weights(wildcards):
    """Files of a model's folder, once they are known to be whole and unchanged."""
    return get_shipped(wildcards.model)


@or_exit()
def get_shipped(model):
    """As get_weights, of a model by name; of a model of the hub its manifest, which is made when it is fetched."""
    if "hub" in MODELS[model]:
        return expand(rules.fetch_model.output, model=dict.fromkeys([get_base(model), model]))
    return check_weights("config/models.yaml", model)


def get_model(wildcards):
    """What a model is, without how it is made and measured."""
    return get_entry(wildcards.model)


def get_entry(model):
    """As get_model, of a model by name; one of the hub with the folder that it is fetched to, and that of LoRA weights."""
    entry = {key: value for key, value in MODELS[model].items() if key not in ("training", "orders")}
    cache = Path(config["hub"]["cache"])
    if "hub" in entry:
        entry["path"] = str(cache / get_base(model))
    if "lora" in entry:
        entry["lora"] = entry["lora"] | {"path": str(cache / model)}
    return entry


def get_base(model):
    """Entry whose weights a model has: its own, but of LoRA weights."""
    return MODELS[model].get("lora", {}).get("base", model)


@or_exit()
def get_orders(wildcards):
    """Sampling orders that a model's success is measured in."""
    if "orders" not in MODELS[wildcards.model]:
        raise Refused("config/models.yaml", f"{wildcards.model}.orders", "nothing", "orders and their steps by name")
    return MODELS[wildcards.model]["orders"]


def get_bench_state(wildcards):
    """Names, sizes and times of a bench's files: another tree under the same name is another input."""
    files = sorted(path for path in Path(config["vbvr"] or "none").rglob("*") if path.is_file())
    states = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(repr(states).encode()).hexdigest()


@functools.cache
@or_exit()
def get_bench_cases():
    """Names of the bench's cases that are asked for, as its folders are now: how many there are decides the shards."""
    if not config["vbvr"]:
        raise Refused("config/config.yaml", "vbvr", "nothing", "the folder of VBVR-Bench or VBVR-Pro-Bench")
    names, asked = list_cases(config["vbvr"]), config["bench"]
    return [names[number] for number in chosen(names, asked["tasks"], asked["count"])]


def get_bench_shards(at_once):
    """First group of so many cases of the bench, and the one behind the last, of each shard."""
    return share_out(len(case_groups(len(get_bench_cases()), at_once)), SHARDS)


def get_shards_of_bench(output, at_once):
    """An output of all shards of the bench, in the order of their cases."""
    return lambda wildcards: expand(output, shard=range(len(get_bench_shards(at_once))), **wildcards)


def get_bench_settings(wildcards):
    """What is changed on the way, or made with fewer steps and frames."""
    kinds = {"interventions": ("erasure", "plant"), "orders": ("orders",)}
    given = {kind: config["bench"][kind] for kind in kinds[wildcards.bench_kind]}
    return given["orders"] if wildcards.bench_kind == "orders" else given


@or_exit()
def get_scorers(wildcards):
    """No file: whether scorers are installed, and have a score for each case, is asked before anything is sampled."""
    check_scorable(config["vbvr"], get_bench_cases(), find_scorers())
    return []


@or_exit()
def get_hub(wildcards):
    """Where a model is on the hub, pinned; of a model with LoRA weights, where these are."""
    model, key = MODELS[wildcards.model], "lora" if "lora" in MODELS[wildcards.model] else "hub"
    field = f"{wildcards.model}.{key}"
    if key not in model:
        raise Refused("config/models.yaml", field, "nothing", "repository and commit of a model on the hub")
    if "commit" not in model[key]:
        raise Refused("config/models.yaml", f"{field}.commit", "nothing", "40 hexadecimal digits of a commit you trust")
    named = {"names": sorted(model["lora"]["files"].values())} if key == "lora" else {}
    return {"repository": model[key]["repository"], "commit": model[key]["commit"], **named}


@or_exit()
def get_training(wildcards):
    """Training settings of a model, where this repository trains it."""
    if "training" not in MODELS[wildcards.model]:
        trained = ", ".join(name for name, model in MODELS.items() if "training" in model) or "no model here"
        raise Refused("config/models.yaml", f"{wildcards.model}.training", "nothing", f"settings, as of {trained}")
    return MODELS[wildcards.model]["training"]


def get_training_of(*keys):
    """Some training settings of a model: a rule that takes no others is not run again when the others change."""
    return lambda wildcards: {key: get_training(wildcards)[key] for key in keys}


def choose_vae(wildcards):
    """Whose VAE, and videos encoded by it, a model is trained on."""
    get_training(wildcards)  # refuses a model that is not trained here
    return vae_source(MODELS, wildcards.model)


def get_vae(model, vae):
    """Files of a model's VAE, as `choose_vae` names it."""
    if vae == "shipped":
        return [name for name in get_shipped(model) if Path(name).parent.name == "vae"]
    return expand(rules.train_vae.output.vae, model=model)


def get_start(wildcards):
    """Manifest of the model that a training starts from: as shipped, or else as trained here."""
    start = get_training(wildcards).get("starts_from", [])
    if start and "revision" in MODELS[start]:
        return [name for name in get_shipped(start) if Path(name).name == MANIFEST]
    return expand(rules.train_reasoner.output.manifest, model=start)


@or_exit()
def get_vae_training(wildcards):
    """What decides the VAE: seed, its own settings and the families' difficulties, not their shares."""
    training = get_training(wildcards)
    if "vae" not in training:
        raise Refused("config/models.yaml", f"{wildcards.model}.training.vae", "nothing", training["vae_of"])
    families = {family: {"difficulties": given["difficulties"]} for family, given in training["families"].items()}
    return {"seed": training["seed"], "families": families, "vae": training["vae"]}


def family_of(world):
    """Family of a world of the experiments."""
    return world.removeprefix(SOLVED)


def worlds_of(intervention):
    """Worlds that an experiment is made in, and cases of each: its families and, of an erasure, where all is done."""
    given = INTERVENING[intervention]
    solved = given.get("solved", {"families": [], "count": 0})
    done = {f"{SOLVED}{family}": solved["count"] for family in solved["families"]}
    return dict.fromkeys(given["families"], given["count"]) | done


def get_cases_at_once(wildcards):
    """Cases of a world that an experiment takes through the loop together; 0 all of them, where it compares cases."""
    compares = INTERVENING[wildcards.intervention]["kind"] in COMPARING
    return 0 if compares else config["interventions"]["cases_at_once"]


def get_intervention_shards(wildcards):
    """First group of cases, and the one behind the last, of each shard of an experiment."""
    counts = worlds_of(wildcards.intervention).values()
    return share_out(sum(len(case_groups(count, get_cases_at_once(wildcards))) for count in counts), SHARDS)


def get_sampled_shards(wildcards):
    """First case, and the one behind the last, of each shard of a sampling condition."""
    experiment = SAMPLED[wildcards.experiment]
    return shard_bounds(experiment["count"], len(experiment["seeds"]), config["batch"], SHARDS)


def get_experiment_modules(source, *interventions):
    """As get_modules, with those of the experiments' kinds and worlds."""
    families = dict.fromkeys(family_of(world) for name in interventions for world in worlds_of(name))
    kinds = dict.fromkeys(INTERVENING[name]["kind"] for name in interventions)
    own = [f"src/chainofsteps/experiments/{kind}.py" for kind in kinds]
    imported = [module for each in own for module in module_files(each, "src")]
    return list(dict.fromkeys([*get_modules(source, *families), *own, *imported]))


def get_worlds(*interventions):
    """Cases of the experiments' worlds."""
    names = dict.fromkeys(world for intervention in interventions for world in worlds_of(intervention))
    return expand(rules.draw_worlds.output, world=names)


def get_intervening():
    """Models that experiments are made with."""
    return list(dict.fromkeys(model for given in INTERVENING.values() for model in given["models"]))


def get_interventions(model, kind):
    """Experiments of a kind that are made with a model."""
    return [name for name, given in INTERVENING.items() if given["kind"] == kind and model in given["models"]]


def get_figures(*kinds):
    """Figures of the experiments of some kinds, one a model that they are made with."""
    return [
        path
        for kind in kinds
        for figure in KIND_OF
        if KIND_OF[figure] == kind
        for model in get_intervening()
        if get_interventions(model, kind)
        for path in expand(rules.plot_intervention.output, figure=figure, model=model)
    ]


def get_cases(wildcards):
    """Cases that an experiment samples: as drawn, or solved in the first frame."""
    return expand(rules.draw_cases.output, world=get_world(wildcards))


def get_block_cases(wildcards):
    """The same of a block of `snakemake stability`."""
    return expand(rules.draw_block.output, block=wildcards.block, world=get_world(wildcards))


def get_world(wildcards):
    """A family, or what is solved of it in the first frame, whichever an experiment samples."""
    solved = SAMPLED[wildcards.experiment]["cases"] == "solved"
    return f"{SOLVED if solved else ''}{wildcards.family}"


def get_repeated(wildcards):
    """A sampling condition of a block: other seeds than those of any other block and of the run."""
    sampled = SAMPLED[wildcards.experiment]
    seeds = [(int(wildcards.block) + 1) * REPEATED["seeds_apart"] + seed for seed in sampled["seeds"]]
    count = REPEATED["count"] if wildcards.experiment in EXPERIMENTS else min(sampled["count"], REPEATED["count"])
    return {**sampled, "count": count, "seeds": seeds}


@or_exit()
def get_first_case(wildcards):
    """Index of the first case of a block, once no block can hold a case of the run."""
    check_blocks(config, CONFIG_FILES)
    return REPEATED["first"] + BLOCK_REACH * REPEATED["count"] * int(wildcards.block)


def get_targets():
    """What a run makes: verdicts and report, or what comes before them where it leaves out what claims need."""
    sampled = {"model": config["model"], "experiment": SAMPLED, "family": FAMILIES}
    # Features are read shard by shard, so that nothing else asks for whole trajectories: a run leaves the same files.
    joined = expand(rules.join_trajectories.output, **sampled) if SHARDS > 1 else []
    if MISSED:
        return [*joined, *expand(rules.extract_features.output, **sampled)]
    return [*joined, *rules.judge_claims.output, *rules.write_report.output]


def get_registration(block):
    """Registration that confirmatory cases of a block are drawn under; pilot cases need none."""
    if config["cases"]["purpose"] != "confirmatory":
        return []
    return expand(rules.register_claims.output, block=block, first=FIRST[block])


def count_tests():
    """Confirmatory rows of the table: an entry a family, or one where families are pooled."""
    tested = [claim for claim in CLAIMS if claim["role"] == "confirmatory"]
    return sum(len(FAMILIES) if claim["population"] == "families" else 1 for claim in tested)


def get_scored_families():
    """Families whose score and reader are held against what is known: those of the run and of the experiments."""
    return list(dict.fromkeys([*FAMILIES, *(family for given in INTERVENING.values() for family in given["families"])]))


def get_scored(family):
    """Cases that score and reader of a family are held against."""
    if family in FAMILIES:
        return expand(rules.draw_cases.output, world=family)
    return expand(rules.draw_worlds.output, world=family)


@or_exit()
def get_claimed():
    """Datasets of the experiments that claims name, with each of their models."""
    if MISSED:
        raise Refused(CONFIG_FILES, MISSED[0], "null", "an experiment: without it claims cannot be judged")
    pairs = [
        (name, model)
        for claim in CLAIMS
        for name in claim.get("experiments", [])
        if name in INTERVENING
        for model in claim.get("models", [config["model"]])
        if model in INTERVENING[name]["models"]
    ]
    return [
        file
        for name, model in dict.fromkeys(pairs)
        for file in expand(rules.run_intervention.output, intervention=name, model=model)
    ]


def get_hashes():
    """Hashes of the entries of the claims by block, as they and their settings are now."""
    revisions = {
        name: model.get("revision", model.get("hub", {}).get("commit", NONE)) + str(model.get("lora", ""))
        for name, model in MODELS.items()
    }
    return entry_hashes(CLAIMS, config, {**SAMPLED, **INTERVENING}, revisions)


@or_exit()
def get_registered(wildcards):
    """What a registration holds: once it is made, nothing else, so that changed claims do not ask for it anew.

    Snakemake 9.27 would stop there: where a job has to run of which another's input is `ancient`, it forgets the other.
    """
    path = Path(rules.register_claims.output[0].format(**wildcards))
    return read_registration(path)[0] if path.exists() else dict(sorted(get_hashes()[wildcards.block].items()))


def get_shown(wildcards):
    """Figures that a chapter shows."""
    features = list(rules.plot_features.output) if wildcards.chapter == "steps" else []
    return features + get_figures(*CHAPTERS[wildcards.chapter])


def get_on_request(wildcards):
    """What a chapter shows of calibration and stability, where it is there: as an input it would be made, in an hour."""
    figures = [*rules.plot_calibration.output, rules.tally_verdicts.output.figure]
    tables = [*rules.calibrate_values.output, *expand(rules.calibrate_family.output, family=FAMILIES)]
    whole = wildcards.chapter == "verdicts"
    made = {
        "figures": figures if whole else [],
        "calibration": tables,
        "stability": [rules.tally_verdicts.output.stability] if whole else [],
    }
    return {name: [str(path) for path in paths if Path(path).exists()] for name, paths in made.items()}


def get_state_on_request(wildcards):
    """What these files hold: made anew, they are another page's."""
    return file_hashes(path for paths in get_on_request(wildcards).values() for path in paths)
