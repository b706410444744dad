"""Configuration, models and claims: what is shipped is accepted; each wrong thing is refused in one line."""

from __future__ import annotations

import copy
import errno
import itertools
import json
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import yaml

from chainofsteps import doors, worlds
from chainofsteps.configuration import check_schema, load_yaml
from chainofsteps.refusal import Refused, at_the_door
from chainofsteps.sampling.orders import ORDERS

ROOT = Path(__file__).parents[2]
WHERE = "config/mine.yaml"
SCHEMAS = [load_yaml(path) for path in sorted((ROOT / "workflow/schemas").glob("*.schema.yaml"))]
Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    """The doors are asked by the Snakefile, whose working directory is the repository."""
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope="module")
def default() -> dict:
    return load_yaml(ROOT / "config/config.yaml")


@pytest.fixture(scope="module")
def models() -> dict:
    return load_yaml(ROOT / "config/models.yaml")


@pytest.fixture(scope="module")
def claims() -> dict:
    return load_yaml(ROOT / "config/claims.yaml")


@pytest.fixture
def written(tmp_path):
    """``written(content)``: the path of a YAML file of that content."""

    def write(content: object) -> Path:
        path = tmp_path / "written.yaml"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return path

    return write


def with_field(content: dict, field: str, value: object, *way: str) -> dict:
    """A copy with another value at a dotted path, below the keys of ``way``."""
    *inner, last = field.split(".")
    way = [*way, *inner]
    content = json.loads(json.dumps(content))  # what YAML anchors share is shared no more
    place = content
    for key in way:
        place = place[key]
    place[last] = value
    return content


def without_field(content: dict, field: str) -> dict:
    """A copy without what a dotted path leads to."""
    *way, last = field.split(".")
    content = json.loads(json.dumps(content))  # what YAML anchors share is shared no more
    place = content
    for key in way:
        place = place[key]
    del place[last]
    return content


def deep_merged(base: dict, overlay: dict) -> dict:
    """A mapping with another laid over it, key by key, as Snakemake lays a ``--configfile`` over the default."""
    merged = dict(base)
    for key, value in overlay.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = deep_merged(merged[key], value) if both else value
    return merged


def line_of(caught: pytest.ExceptionInfo) -> str:
    line = str(caught.value)
    assert "\n" not in line
    assert ": given " in line and "; accepted: " in line
    return line


def refusal(config: dict) -> tuple[str, str, str]:
    """Field, given and accepted of a refused configuration, which names its file."""
    with pytest.raises(Refused) as caught:
        doors.check_config(config, WHERE)
    line = line_of(caught)
    assert line.startswith(f"{WHERE}: ")
    field, rest = line.removeprefix(f"{WHERE}: ").split(": given ", 1)
    given, accepted = rest.split("; accepted: ", 1)
    return field, given, accepted


def kinds(config: dict) -> dict[str, str]:
    """Kinds of all experiments of a configuration."""
    experiments = config["interventions"]["experiments"]
    return doors.kinds_of(config, experiments)


# What is shipped


def test_default_is_accepted(default):
    doors.check_config(default, "config/config.yaml")


def trained_on(model):
    """Families of a model."""
    return load_yaml(ROOT / "config/models.yaml")[model]["training"]["families"]


def test_quick_is_accepted_over_the_default(default):
    quick = deep_merged(default, load_yaml(ROOT / "config/quick.yaml"))
    assert doors.leave_out(quick, default, "config/quick.yaml") == ["swap_tokens", "orders_in_turn", "layers_hidden"]
    doors.check_config(quick, "config/config.yaml + config/quick.yaml")
    assert quick["results"] != default["results"]
    assert set(quick["cases"]["families"]) <= set(trained_on(default["model"]))
    assert quick["experiments"]["joint"]["order"] == default["experiments"]["joint"]["order"]


def test_all_families_are_those_that_the_model_knows(default):
    every = deep_merged(default, load_yaml(ROOT / "config/all_families.yaml"))
    doors.check_config(every, "config/config.yaml + config/all_families.yaml")
    assert every["results"] != default["results"]
    assert set(every["cases"]["families"]) == set(trained_on(default["model"]))
    assert every["cases"]["purpose"] == "pilot"


def test_default_runs_every_order_on_what_the_model_was_trained_on(default):
    assert set(default["cases"]["families"]) <= set(trained_on(default["model"]))
    for model in default["success"]["models"]:
        assert set(default["success"]["families"]) <= set(trained_on(model))
    intervened = default["interventions"]["experiments"]["orders_in_turn"]["orders"]
    assert {experiment["order"] for experiment in default["experiments"].values()} < set(intervened) == set(ORDERS)
    for family in default["interventions"]["families"]:
        assert family in trained_on(default["model"])


def test_models_and_claims_are_accepted(default):
    doors.check_models("config/models.yaml", default["model"], "config/config.yaml")
    doors.check_claims("config/claims.yaml", kinds(default), ["mini", "mini_shallow"])


def test_orders_of_the_schema_are_those_of_the_sampler():
    schema = load_yaml(ROOT / "workflow/schemas/config.schema.yaml")
    order = schema["properties"]["experiments"]["additionalProperties"]["properties"]["order"]
    assert order["enum"] == list(ORDERS)


def properties(schema: dict, path: str = "") -> dict[str, dict]:
    """Each property of a schema by its dotted path, also those of free keys and items."""
    found = {f"{path}.{name}": sub for name, sub in schema.get("properties", {}).items()}
    inner = dict(found)
    for key in ("additionalProperties", "items"):
        if isinstance(schema.get(key), dict):
            inner[f"{path}.*"] = schema[key]
    return found | {name: sub for at, each in inner.items() for name, sub in properties(each, at).items()}


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema["description"].split()[0])
def test_schema_describes_and_types_every_property(schema):
    found = properties(schema)
    assert len(found) > 5
    for path, each in found.items():
        assert each.get("description"), path
        assert each.get("type"), path


def test_defaults_of_the_schema_are_those_of_the_file(default):
    def stated(schema: dict, value: object, path: str) -> None:
        if "default" in schema:
            assert value == schema["default"], path
        for name, each in schema.get("properties", {}).items():
            stated(each, value[name], f"{path}.{name}")

    stated(load_yaml(ROOT / "workflow/schemas/config.schema.yaml"), default, "config")


# Refused: the configuration


@pytest.mark.parametrize(
    ("field", "accepted"),
    [
        (
            "colour",
            "results, model, hub, vbvr, bench, cases, seeds, experiments, controls, batch, shards, interventions, "
            "statistics, failures, success, stability, calibration",
        ),
        ("cases.size", "families, purpose, first, count"),
        ("experiments.joint.shift", "order, steps"),
        ("statistics.level", "draws, seed"),
    ],
)
def test_unknown_key(default, field, accepted):
    assert refusal(with_field(default, field, 1)) == (field, "an unknown key", accepted)


@pytest.mark.parametrize(
    ("field", "value", "given", "accepted"),
    [
        ("batch", "many", "'many'", "integer"),
        ("batch", 2.5, "2.5", "integer"),
        ("batch", 20.0, "20.0", "integer"),
        ("batch", True, "True", "integer"),
        ("batch", None, "None", "integer"),
        ("batch", 0, "0", "at least 1"),
        ("batch", 5000, "5000", "at most 4096"),
        ("cases", [], "[]", "object"),
        ("cases.families", "maze", "'maze'", "array"),
        ("cases.families", [], "[]", "at least 1 of them"),
        ("cases.families", ["maze", "maze"], "['maze', 'maze']", "each value once"),
        ("cases.count", 0, "0", "at least 3"),
        ("cases.count", -5, "-5", "at least 3"),
        ("cases.first", -1, "-1", "at least 0"),
        ("cases.purpose", "training", "'training'", "pilot, confirmatory"),
        ("seeds", [1, 1], "[1, 1]", "each value once"),
        ("seeds", [], "[]", "at least 1 of them"),
        ("seeds", 3, "3", "array"),
        ("experiments", {}, "{}", "at least 1 of them"),
        ("experiments", None, "None", "object"),
        ("experiments.joint.order", "backwards", "'backwards'", "joint, frame_by_frame, shuffled, pyramid"),
        ("experiments.joint.steps", 0, "0", "at least 1"),
        ("experiments.joint.steps", "20", "'20'", "integer"),
        ("experiments.joint.steps", 20.0, "20.0", "integer"),
        ("statistics.draws", 99, "99", "at least 100"),
        ("model", 3, "3", "string"),
    ],
)
def test_wrong_value(default, field, value, given, accepted):
    assert refusal(with_field(default, field, value)) == (field, given, accepted)


def test_wrong_seed_is_named_by_its_place(default):
    assert refusal(with_field(default, "seeds", [0, -1])) == ("seeds.1", "-1", "at least 0")


@pytest.mark.parametrize("path", ["..", "../results", "results/../..", "/results", "a folder", "results/", "", "."])
def test_results_outside_the_repository(default, path):
    field, given, accepted = refusal(with_field(default, "results", path))
    assert (field, given) == ("results", repr(path))
    assert accepted.startswith("text that matches ")


@pytest.mark.parametrize("name", ["Joint", "2steps", "frame by frame", "a/b"])
def test_name_of_an_experiment(default, name):
    field, given, accepted = refusal(with_field(default, "experiments", {name: {"order": "joint", "steps": 1}}))
    assert (field, given) == ("experiments", repr(name))
    assert accepted.startswith("text that matches ")


@pytest.mark.parametrize(
    "field", ["results", "cases", "cases.purpose", "seeds", "experiments", "experiments.joint.order", "statistics.seed"]
)
def test_missing_key(default, field):
    named, given, accepted = refusal(without_field(default, field))
    assert (named, given) == (field, "nothing")
    assert accepted


def test_unknown_family(default):
    given = refusal(with_field(default, "cases.families", ["maze", "labyrinth"]))
    assert given == ("cases.families", "'labyrinth'", ", ".join(worlds.families()))


def test_every_shipped_field_is_checked(default):
    """The schema reaches all of the file: null, which no field takes, is refused wherever it stands."""

    def fields(value: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
        below = (
            [each for key, sub in value.items() for each in fields(sub, (*path, key))]
            if value.__class__ is dict
            else []
        )
        return [path, *below] if path else below

    for path in fields(default):
        field = ".".join(path)
        assert refusal(with_field(default, field, None))[0] == field


# Refused: files


@pytest.mark.parametrize(
    ("content", "given"), [("cases: [1, 2", "unreadable"), ("- a\n- list", "list"), ("", "NoneType")]
)
def test_file_that_is_no_mapping(written, content, given):
    path = written(content)
    with pytest.raises(Refused) as caught:
        load_yaml(path)
    assert line_of(caught).startswith(f"{path}: file: given {given}")


def test_missing_file(tmp_path):
    with pytest.raises(Refused) as caught:
        load_yaml(tmp_path / "nowhere.yaml")
    assert line_of(caught) == f"{tmp_path / 'nowhere.yaml'}: file: given nothing; accepted: a YAML file"


def test_file_that_is_no_text(tmp_path):
    path = tmp_path / "binary.yaml"
    path.write_bytes(b"\xff\xfe\x00model")
    with pytest.raises(Refused, match="file: given unreadable"):
        load_yaml(path)


def test_schema_of_a_whole_file_names_the_file():
    with pytest.raises(Refused, match=r"^x\.yaml: file: given \{\}; accepted: at least 1 of them$"):
        check_schema({}, {"minProperties": 1}, "x.yaml")


# Refused: models


def test_unknown_model(models):
    with pytest.raises(Refused) as caught:
        doors.check_models("config/models.yaml", "giant", WHERE)
    assert line_of(caught) == f"{WHERE}: model: given 'giant'; accepted: {', '.join(models)}"


@pytest.mark.parametrize(("field", "value"), [("frames", 17), ("height", 64), ("width", 24)])
def test_model_whose_videos_are_not_the_worlds(models, written, field, value):
    path = written(with_field(models, f"mini.{field}", value))
    with pytest.raises(Refused) as caught:
        doors.check_models(path, "mini", WHERE)
    line = line_of(caught)
    assert line.startswith(f"{path}: mini.frames: given ")
    assert str(value) in line
    assert line.endswith("; accepted: 9 frames of 32 x 32")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("path", "resources/x", "vbvr_wan2.2: given both of path and hub; accepted: one of them"),
        ("hub.repository", "VBVR", "vbvr_wan2.2.hub.repository: given 'VBVR'"),
        ("hub.commit", "main", "vbvr_wan2.2.hub.commit: given 'main'"),
        ("form", "single", "vbvr_wan2.2.boundary: given one in form single; accepted: one in form two_networks, none"),
        ("revision", "0" * 64, "vbvr_wan2.2.revision: given given; accepted: of a model with path"),
        ("frames", 80, "vbvr_wan2.2: frames: given 80; accepted: 1 + a multiple of 4"),
        ("height", 500, "vbvr_wan2.2: height: given 500; accepted: a multiple of 16"),
        ("placement.dtype", "int8", "vbvr_wan2.2.placement.dtype: given 'int8'; accepted: float32, bfloat16, float16"),
        ("boundary", 1.5, "vbvr_wan2.2.boundary: given 1.5; accepted: less than 1"),
    ],
)
def test_wrong_entry_of_a_model_on_the_hub(models, written, field, value, message):
    path = written(with_field(models, field, value, "vbvr_wan2.2"))
    with pytest.raises(Refused) as caught:
        doors.check_models(path, "mini", WHERE)
    assert message in line_of(caught)


@pytest.mark.parametrize("key", ["form", "parameters", "placement", "steps", "shift", "hub"])
def test_a_model_on_the_hub_lacks_nothing(models, written, key):
    entry = {name: value for name, value in models["wan2.2_ti2v_5b"].items() if name != key}
    with pytest.raises(Refused) as caught:
        doors.check_models(written(models | {"wan2.2_ti2v_5b": entry}), "mini", WHERE)
    given = "given neither of path and hub" if key == "hub" else f".{key}: given nothing"
    assert f"wan2.2_ti2v_5b{':' if key == 'hub' else ''}" in line_of(caught) and given in line_of(caught)


def test_what_only_a_model_on_the_hub_has(models, written):
    path = written(with_field(models, "mini.shift", 3.0))
    with pytest.raises(Refused, match=r"mini\.shift: given given; accepted: of a model on the hub"):
        doors.check_models(path, "mini", WHERE)
    path = written(with_field(models, "guidance_scale_2", 3.0, "wan2.2_ti2v_5b"))
    with pytest.raises(Refused, match=r"guidance_scale_2: given one in form ti2v"):
        doors.check_models(path, "mini", WHERE)


def test_a_run_of_the_worlds_with_a_large_model_is_refused(models, default):
    with pytest.raises(Refused, match=r"wan2\.2_i2v_a14b\.frames: given 81 frames of 480 x 832; accepted: 9 frames"):
        doors.check_shape("config/models.yaml", "wan2.2_i2v_a14b", models["wan2.2_i2v_a14b"])
    with pytest.raises(Refused, match=r"wan2\.2_i2v_a14b\.frames"):
        doors.check_stability(with_field(default, "stability.models", ["wan2.2_i2v_a14b"]), models, WHERE)


@pytest.mark.parametrize(
    ("field", "value", "accepted"),
    [
        ("revision", "main", "text that matches"),
        ("frames", "nine", "integer"),
        ("guidance_scale", 0.5, "at least 1"),
        ("negative_prompt", 3, "string"),
    ],
)
def test_wrong_entry_of_a_model(models, written, field, value, accepted):
    path = written(with_field(models, f"mini.{field}", value))
    with pytest.raises(Refused) as caught:
        doors.check_models(path, "mini", WHERE)
    assert line_of(caught).startswith(f"{path}: mini.{field}: given {value!r}; accepted: {accepted}")


def test_unknown_and_missing_entry_of_a_model(models, written):
    path = written(with_field(models, "mini.colour", "red"))
    with pytest.raises(Refused, match=r"mini\.colour: given an unknown key; accepted: path, revision"):
        doors.check_models(path, "mini", WHERE)
    path = written(without_field(models, "mini.frames"))
    with pytest.raises(Refused, match=r"mini\.frames: given nothing; accepted: Video frames"):
        doors.check_models(path, "mini", WHERE)


@pytest.mark.parametrize(
    ("field", "value", "given", "accepted"),
    [
        ("models", ["giant"], "'giant'", "mini, mini_shallow, mini_one_pass"),
        ("families", ["labyrinth"], "'labyrinth'", "bins, bounce, largest"),
        ("followed", 300, "300", "at most success.count, 256"),
    ],
)
def test_wrong_success(default, models, field, value, given, accepted):
    doors.check_success(default["success"], models, WHERE)
    with pytest.raises(Refused) as caught:
        doors.check_success(default["success"] | {field: value}, models, WHERE)
    assert line_of(caught).startswith(f"{WHERE}: success.{field}: given {given}; accepted: {accepted}")


_OF = "interventions.experiments"


@pytest.mark.parametrize(
    ("field", "value", "given", "accepted"),
    [
        ("erasure.kinds", ["blur"], "'blur'", "replace, erase, resample"),
        ("erasure.order", "backwards", "'backwards'", "joint, frame_by_frame, shuffled, pyramid"),
        ("erasure.at_steps", [8], "8", "0 to 7"),
        ("erasure.at_frames", [9], "9", "1 to 8"),
        ("erasure.at_frames", [0], "0", "at least 1"),
        ("erasure.cells.steps", [12], "12", "0 to 7"),
        ("erasure.cells.frames", [9], "9", "1 to 8"),
        ("erasure.doses.counts", [9], "9", "2 to 7"),
        ("erasure_frame_by_frame.cells.steps", [4], "4", "0 to 3"),
        ("plant.frames_after", [], "[]", "at least 1 of them"),
        ("plant.frames_after", [7], "7", "0 to 6"),
        ("plant.colour", 1, "an unknown key", "order, steps, at_steps, frames_after, seed"),
        ("swap.layers", [8], "8", "0 to 7"),
        ("swap.spans", [[0, 8]], "8", "0 to 7"),
        ("swap.spans", [[4, 2]], "4 to 2", "first step, last step"),
        ("plant.at_steps", [8], "8", "1 to 7"),
        ("plant_frame_by_frame.at_steps", [5], "5", "1 to 4"),
        ("swap.layers", [], "[]", "at least 1 of them"),
        ("swap.passes", ["both"], "'both'", "cond, uncond"),
        ("swap.part", "half", "'half'", "tokens, update"),
        ("ensemble.windows", [[2, 9]], "9", "0 to 7"),
        ("ensemble.windows", [[3, 1]], "3 to 1", "first layer, last layer"),
        ("ensemble.members", 1, "1", "at least 2"),
        ("orders.frames", [9], "9", "2 to 8"),
        ("orders.models", ["mini_shallow", "maxi"], "'maxi'", "mini, mini_shallow, mini_one_pass"),
        ("orders.families", ["labyrinth"], "'labyrinth'", ", ".join(worlds.families())),
        ("layers.held_out", 1, "1", "less than 1"),
    ],
)
def test_wrong_experiment(default, models, field, value, given, accepted):
    wrong = with_field(default, f"{_OF}.{field}", value)
    with pytest.raises(Refused) as caught:
        doors.check_config(wrong, "config.yaml")
        doors.check_interventions(wrong, models, "config.yaml")
    line = line_of(caught)
    assert line.startswith(f"config.yaml: {_OF}.{field}") and f": given {given}; accepted: {accepted}" in line


def test_experiments_take_no_cases_that_are_not_scored(default, models):
    wrong = with_field(with_field(default, f"{_OF}.plant.count", 16), "interventions.scored", 15)
    with pytest.raises(Refused) as caught:
        doors.check_interventions(wrong, models, "config.yaml")
    told = "at least 16, the solved.count of erasure"
    assert line_of(caught) == f"config.yaml: interventions.scored: given 15; accepted: {told}"
    alone = with_field(wrong, f"{_OF}.erasure.solved.count", 8)
    with pytest.raises(Refused, match=r"at least 16, the count of plant$"):
        doors.check_interventions(alone, models, "config.yaml")


@pytest.mark.parametrize(
    ("field", "value", "given", "accepted"),
    [
        ("interventions.count", 1, "1", "at least 2"),
        ("interventions.families", [], "[]", "at least 1 of them"),
        ("interventions.experiments", {}, "{}", "at least 1 of them"),
        (f"{_OF}.erasure.kind", "guess", "'guess'", "erasure, plant, swap, ensemble, orders, layers"),
        (f"{_OF}.swap.count", 0, "0", "at least 2"),
        (f"{_OF}.erasure.solved.count", 1, "1", "at least 2"),
        (f"{_OF}.erasure.solved.colour", 1, "an unknown key", "families, count"),
    ],
)
def test_wrong_interventions(default, field, value, given, accepted):
    assert refusal(with_field(default, field, value)) == (field, given, accepted)


def test_unknown_solved_family(default, models):
    wrong = with_field(default, f"{_OF}.erasure.solved.families", ["labyrinth"])
    with pytest.raises(Refused, match=r"experiments\.erasure\.solved\.families: given 'labyrinth'"):
        doors.check_interventions(wrong, models, "config.yaml")


def test_solved_cases_are_of_erasures(default, models):
    given = doors.check_interventions(default, models, "config.yaml")
    assert set(given["erasure"]["solved"]) == {"families", "count"} and "solved" not in given["erasure"]["settings"]
    assert "solved" not in given["erasure_frame_by_frame"] and "solved" not in given["swap"]
    wrong = with_field(default, f"{_OF}.swap.solved", {"families": ["maze"], "count": 2})
    with pytest.raises(Refused, match=r"experiments\.swap\.solved: given an unknown key"):
        doors.check_config(wrong, "config.yaml")


def test_each_setting_of_an_experiment_is_needed(default):
    for name, experiment in default["interventions"]["experiments"].items():
        for key in set(experiment) - {"kind", "models", "families", "count", "seeds", "solved"}:
            field = f"{_OF}.{name}.{key}"
            assert refusal(without_field(default, field))[:2] == (field, "nothing")


def test_an_experiment_may_have_its_own_models_families_count_and_seeds(default, models):
    given = doors.check_interventions(default, models, "config.yaml")
    assert given["orders"]["models"] == ["mini", "mini_shallow"] and given["erasure"]["models"] == ["mini"]
    assert set(given["swap"]["settings"]) == {"steps", "part", "layers", "spans", "passes", "donors_from"}
    own = with_field(default, f"{_OF}.swap.seeds", [7])
    assert doors.check_interventions(own, models, "config.yaml")["swap"]["seeds"] == [7]


def test_a_model_without_a_revision_may_be_trained_but_not_used(models, written):
    path = written(without_field(models, "mini.revision"))
    doors.check_models(path, "mini", WHERE)
    with pytest.raises(Refused, match=r"mini\.revision: given nothing; accepted: sha256 of resources/"):
        doors.check_weights(path, "mini")


@pytest.mark.parametrize(
    ("field", "value", "refused"),
    [
        ("vae.architecture.z_dim", 4, "in_channels: given 8; accepted: 4, "),
        ("transformer.architecture.out_channels", 16, "out_channels: given 16; accepted: 8, "),
        ("text_encoder.d_model", 128, "text_dim: given 64; accepted: 128, "),
    ],
)
def test_the_parts_of_a_trained_model_fit_together(models, written, field, value, refused):
    path = written(with_field(models, f"mini.training.{field}", value))
    with pytest.raises(Refused) as caught:
        doors.check_models(path, "mini", WHERE)
    assert line_of(caught).startswith(f"{path}: mini.training.transformer.architecture.{refused}")


def with_shared_vae(models):
    other = copy.deepcopy(models["mini"])
    del other["training"]["vae"]
    other["training"]["vae_of"] = "mini"
    return json.loads(json.dumps(models | {"other": other}))


def test_a_training_may_start_from_another(models, written):
    path = written(with_field(with_shared_vae(models), "other.training.starts_from", "mini"))
    assert "other" in doors.check_models(path, "mini", WHERE)


@pytest.mark.parametrize("start", ["other", "nobody", "narrow", "circle", "elsewhere"])
def test_a_training_starts_from_another_of_the_same_architecture_and_vae(models, written, start):
    """Not from itself, from nothing, from a narrower network, in a circle, or from one of another latent space."""
    shared = with_shared_vae(models)
    narrow = with_field(shared["other"], "training.transformer.architecture.num_layers", 3)
    circle = with_field(shared["other"], "training.starts_from", "other")
    others = {"narrow": narrow, "circle": circle, "elsewhere": copy.deepcopy(models["mini"])}
    content = with_field(shared, "other.training.starts_from", start) | others
    with pytest.raises(Refused, match=r"(other|circle)\.training\.starts_from: given "):
        doors.check_models(written(content), "mini", WHERE)


@pytest.mark.parametrize(
    ("trained_here", "start", "fitted"),
    [(["mini"], "shipped", "shipped VAE of mini"), (["mini", "start"], "start", None), (["start"], "start", None)],
)
def test_a_start_is_fitted_to_the_vae_of_the_training(models, written, trained_here, start, fitted):
    """A shipped model's weights do not go with a VAE trained here; what is trained here has the training's own VAE."""
    shared = with_shared_vae(models)
    content = shared | {"start": shared["other"], "shipped": copy.deepcopy(shared["other"])}
    for name in ["other", *trained_here]:
        content = without_field(content, f"{name}.revision")
    path = written(with_field(content, "other.training.starts_from", start))
    if fitted is None:
        assert "other" in doors.check_models(path, "other", WHERE)
        return
    with pytest.raises(Refused, match=f"other.training.starts_from: given {start}, fitted to the {fitted}; accepted: "):
        doors.check_models(path, "other", WHERE)


def test_what_ships_is_not_held_against_what_the_others_are_now(models, written):
    shared = with_shared_vae(models)
    content = without_field(shared | {"shipped": copy.deepcopy(shared["other"])}, "mini.revision")
    path = written(with_field(content, "other.training.starts_from", "shipped"))
    assert "other" in doors.check_models(path, "other", WHERE)


def test_a_vae_may_be_shared(models, written):
    assert "other" in doors.check_models(written(with_shared_vae(models)), "mini", WHERE)


@pytest.mark.parametrize(
    ("field", "value", "refused"),
    [
        ("vae_of", "nobody", "vae_of: given 'nobody'; accepted: mini"),
        ("vae_of", "other", "vae_of: given 'other'; accepted: mini"),
        ("families.maze.cases", 7, "families.maze.cases: given 7; accepted: 14000, as mini has encoded them"),
        ("families.maze.difficulties", [3], "families.maze.difficulties: given [3]; accepted: [3, 4, "),
    ],
)
def test_a_shared_vae_has_an_owner_that_encoded_the_same_cases(models, written, field, value, refused):
    path = written(with_field(with_shared_vae(models), f"other.training.{field}", value))
    with pytest.raises(Refused) as caught:
        doors.check_models(path, "mini", WHERE)
    assert line_of(caught).startswith(f"{path}: other.training.{refused}")


@pytest.mark.parametrize(
    ("field", "value", "given", "accepted"),
    [
        ("seed", -1, "-1", "at least 0"),
        ("colour", 1, "an unknown key", "seed, families, starts_from, vae_of, vae, "),
        ("vae.layers", 1, "an unknown key", "architecture, scenes, "),
        ("vae.learning_rate", 0, "0", "more than 0"),
        ("vae.learning_rate", "1e-3", "'1e-3'", "number"),
        ("vae.steps", 1600.0, "1600.0", "integer"),
        ("vae.scenes", 2, "2", "at least 11, one a family"),
        ("text_encoder.d_model", 0, "0", "at least 1"),
        ("text_encoder.heads", 4, "an unknown key", "d_model, "),
        ("transformer.ema", 1, "1", "less than 1"),
        ("transformer.prompt_dropout", 1.5, "1.5", "at most 1"),
        ("transformer.compile", "yes", "'yes'", "boolean"),
        ("families.maze.difficulties", [3, 9], "9", "3, 4, 5, 6, 7, 8"),
        ("families.maze.difficulties", [], "[]", "at least 1"),
        ("families.maze.cases", 0, "0", "at least 1"),
        ("vae_of", "mini", "both of vae and vae_of", "one of them"),
        ("transformer.noise_levels.late", 0, "an unknown key", "shared, frame_by_frame, independent"),
        ("transformer.noise_levels.shared", 0.65, "shares that sum to 1.1", "shares that sum to 1"),
        ("families.maze.share", 0.25, "shares that sum to 1.1", "shares that sum to 1"),
        ("families.maze.share", float("nan"), "shares that sum to nan", "shares that sum to 1"),
        (
            "families",
            {"labyrinth": {"share": 1.0, "cases": 1, "difficulties": [3]}},
            "'labyrinth'",
            ", ".join(worlds.families()),
        ),
    ],
)
def test_wrong_training(models, written, field, value, given, accepted):
    path = written(with_field(models, f"mini.training.{field}", value))
    with pytest.raises(Refused) as caught:
        doors.check_models(path, "mini", WHERE)
    named = field.split(".")[0] if field.endswith("share") else field.rsplit(".", 1)[0] if "sum to" in given else field
    named = "" if field == "vae_of" else f".{named}"
    assert line_of(caught).startswith(f"{path}: mini.training{named}: given {given}; accepted: {accepted}")


def test_each_setting_of_the_training_is_needed(models, written):
    for part in ("vae", "text_encoder", "transformer", "transformer.noise_levels"):
        section = models["mini"]["training"]
        for key in part.split("."):
            section = section[key]
        for key in section:
            field = f"mini.training.{part}.{key}"
            with pytest.raises(Refused, match=rf": {field}: given nothing"):
                doors.check_models(written(without_field(models, field)), "mini", WHERE)


def test_a_model_needs_no_training(models, written):
    doors.check_models(written({"mini": without_field(models, "mini.training")["mini"]}), "mini", WHERE)


def test_weights_that_are_not_there(models, written, tmp_path):
    path = written(with_field(models, "mini.path", str(tmp_path / "nowhere")))
    with pytest.raises(Refused) as caught:
        doors.check_weights(path, "mini")
    assert line_of(caught).startswith(str(tmp_path / "nowhere"))


# Refused: claims


def test_claim_about_an_experiment_that_is_not_run(default, claims, written):
    path = written(claims)
    named = claims["claims"][0]["experiments"][0]
    without = without_field(default, f"experiments.{named}")
    with pytest.raises(Refused) as caught:
        doors.check_claims(path, kinds(without), ["mini"])
    assert line_of(caught) == (
        f"{path}: {claims['claims'][0]['id']}.experiments: given {named!r}; "
        f"accepted: {', '.join([*without['experiments'], *without['controls']['experiments']])}"
    )


def test_claim_about_an_experiment_of_another_kind(default, claims, written):
    named = next(entry for entry in claims["claims"] if entry["id"] == "E5_joint")
    path = written(
        {"claims": [entry | ({"experiments": ["swap"]} if entry is named else {}) for entry in claims["claims"]]}
    )
    with pytest.raises(Refused, match=r"E5_joint\.experiments: given 'swap'; accepted: plant, "):
        doors.check_claims(path, kinds(default), ["mini", "mini_shallow"])


def test_claim_about_an_unknown_model(default, claims, written):
    with pytest.raises(Refused, match=r"E13_depth\.models: given 'mini_shallow'; accepted: mini$"):
        doors.check_claims(written(claims), kinds(default), ["mini"])


@pytest.mark.parametrize(
    ("field", "value", "given", "accepted"),
    [
        ("controls.count", 65, "65", "at most cases.count, 64"),
        ("controls.experiments.joint", {"order": "joint", "steps": 2}, "a name twice", "a name that no experiment has"),
    ],
)
def test_wrong_controls(default, field, value, given, accepted):
    wrong = with_field(default, field, value)
    doors.check_config(wrong, WHERE)
    with pytest.raises(Refused) as caught:
        doors.check_sampled(wrong["experiments"], wrong["controls"], wrong["cases"]["count"], wrong["seeds"], WHERE)
    assert line_of(caught) == f"{WHERE}: {field}: given {given}; accepted: {accepted}"


@pytest.mark.parametrize(
    ("field", "value", "accepted"),
    [("weights", "frozen", "trained, untrained"), ("cases", "easy", "drawn, solved"), ("order", "back", "joint, ")],
)
def test_wrong_control_run(default, field, value, accepted):
    named, given, told = refusal(with_field(default, f"controls.experiments.static.{field}", value))
    assert (named, given) == (f"controls.experiments.static.{field}", repr(value)) and told.startswith(accepted)


def test_claim_with_an_unknown_key(default, claims, written):
    path = written({"claims": [claims["claims"][0] | {"mood": "good"}]})
    with pytest.raises(Refused, match=r"claims\.0\.mood: given an unknown key"):
        doors.check_claims(path, kinds(default), ["mini"])


# Refused: the disk


def test_disk_too_small(default, models, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    # Pictures of a run: families x cases x seeds, times the evaluations of both orders, times frames.
    pictures = 4 * 64 * 2 * (20 + 8 * 4) * 9
    needed = pictures * 32 * 32 * 3
    for free, enough in [(needed, True), (needed - 1, False)]:
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: Usage(10**12, 0, free))
        if enough:
            doors.check_space(default, models["mini"])
            continue
        with pytest.raises(Refused) as caught:
            doors.check_space(default, models["mini"])
        assert line_of(caught) == (
            f"results: disk: given {free / 1e9:.3g} GB free; accepted: at least {needed / 1e9:.3g} GB for this run"
        )


def test_trajectories_that_are_there_need_no_space(default, models, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    files = [
        tmp_path / "results/trajectories/mini" / experiment / f"{family}.nc"
        for experiment in default["experiments"]
        for family in default["cases"]["families"]
    ]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 0, 0))
    doors.check_space(default, models["mini"])
    files[0].unlink()
    needed = 64 * 2 * 20 * 9 * 32 * 32 * 3
    with pytest.raises(Refused, match=f"at least {needed / 1e9:.3g} GB"):
        doors.check_space(default, models["mini"])


def test_shards_and_finished_parts_that_are_there_need_no_space(default, models, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    names, families = list(default["experiments"]), default["cases"]["families"]
    config = with_field(with_field(default, "shards", 4), "batch", 2)
    size = {"joint": 20 * 9 * 32 * 32 * 3 * 2, "frame_by_frame": 32 * 9 * 32 * 32 * 3 * 2}  # of a case
    folder = tmp_path / "results/trajectories/mini"

    def needed(config):
        monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 0, 0))
        with pytest.raises(Refused) as caught:
            doors.check_space(config, models["mini"])
        return float(line_of(caught).split("at least ")[1].split()[0])

    def wanted(number):
        return float(f"{number / 1e9:.3g}")

    everything = 4 * 64 * sum(size.values())
    assert needed(config) == wanted(everything)
    for name, family in itertools.product(names, families):
        for shard in range(4):
            file = folder / name / family / f"shard_{shard}.nc"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    # All is sampled: to join a family takes its space once.
    assert needed(config) == wanted(64 * size["frame_by_frame"])
    for family in families:
        (folder / "frame_by_frame" / f"{family}.nc").touch()
    assert needed(config) == wanted(64 * size["joint"])
    # An undivided job that was interrupted: half of its streams stand, in a file of its full length.
    parts = folder / "joint" / f"{families[0]}.nc.parts"
    parts.mkdir()
    with (parts / "clean_estimate.array").open("wb") as file:
        file.write(np.random.default_rng(0).bytes(32 * size["joint"]))  # no disk makes them smaller
        file.truncate(64 * size["joint"])
    assert needed(default) == wanted((4 * 64 - 32) * size["joint"])
    for family in families:
        (folder / "joint" / f"{family}.nc").touch()
    doors.check_space(config, models["mini"])


def test_disk_is_that_of_the_nearest_folder_that_exists(default, models, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: asked.append(path) or Usage(0, 0, 10**15))
    monkeypatch.chdir(tmp_path)
    doors.check_space(with_field(default, "results", "a/b/c"), models["mini"])
    (tmp_path / "a/b").mkdir(parents=True)
    doors.check_space(with_field(default, "results", "a/b/c"), models["mini"])
    assert [Path(path).resolve() for path in asked] == [tmp_path, tmp_path / "a/b"]


@pytest.mark.parametrize(("order", "evaluations"), [("joint", 20), ("frame_by_frame", 160)])
def test_evaluations_are_those_of_the_order(order, evaluations):
    assert doors.evaluations({"order": order, "steps": 20}, 9) == evaluations
    assert len(ORDERS[order](9, 20).active) == evaluations


# Refusing


def test_refusal_is_one_line():
    error = Refused("file", "field", "two\nlines", "one")
    assert str(error) == "file: field: given two lines; accepted: one"
    assert isinstance(error, ValueError)


def test_script_ends_with_one_line_and_a_failure(tmp_path, capsys):
    log = tmp_path / "log.txt"
    with pytest.raises(SystemExit) as caught, at_the_door(log):
        print("at work")
        raise Refused("file", "field", 1, 2)
    assert caught.value.code == "refused: file: field: given 1; accepted: 2"
    assert log.read_text() == "at work\nrefused: file: field: given 1; accepted: 2\n"
    assert capsys.readouterr().out == ""


def test_script_does_not_hide_other_errors(tmp_path):
    with pytest.raises(ZeroDivisionError), at_the_door(tmp_path / "log.txt"):
        _ = 1 / 0


@pytest.mark.parametrize(
    ("error", "where", "given"),
    [
        (OSError(errno.ENOSPC, "full"), "{job}", "No space left on device"),
        (OSError(errno.EDQUOT, "full"), "{job}", "Disk quota exceeded"),
        (OSError(errno.EFBIG, "full", "results/a.nc"), "results/a.nc", "File too large"),
        (RuntimeError("Error while serializing: I/O error: (os error 28)"), "{job}", "No space left on device"),
    ],
)
def test_script_on_a_full_disk_ends_with_one_line(tmp_path, error, where, given):
    log = tmp_path / "maze.log"
    with pytest.raises(SystemExit) as caught, at_the_door(log):
        raise error
    line = caught.value.code
    assert line.startswith(f"refused: {where.format(job=tmp_path / 'maze')}: disk: given {given}; accepted: room")
    assert log.read_text() == f"{line}\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize(
    "ending", [lambda: None, lambda: print("at work"), lambda: doors.check_choice("f", "k", 1, [2])]
)
def test_script_whose_log_cannot_be_written(ending):
    with pytest.raises(SystemExit, match=r"^refused: /dev/full: disk: given No space left"), at_the_door("/dev/full"):
        ending()
        print("done")


def test_script_does_not_hide_a_file_that_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError), at_the_door(tmp_path / "log.txt"):
        (tmp_path / "nowhere").read_text()
    assert "Traceback" in (tmp_path / "log.txt").read_text()


# Experiments left out, and orders that a large model cannot take


def large_model(default, models):
    name = "wan2.1_i2v_14b"
    config = copy.deepcopy(default) | {"model": name}
    config["interventions"]["models"] = [name]
    return config, models[name]


def test_null_leaves_an_experiment_out(default):
    config = copy.deepcopy(default)
    config["experiments"]["frame_by_frame"] = None
    config["controls"]["experiments"]["shuffled"] = None
    config["interventions"]["experiments"]["orders"] = None
    assert doors.leave_out(config, default, "config.yaml") == ["frame_by_frame", "shuffled", "orders"]
    doors.check_config(config, "config.yaml")
    assert list(config["experiments"]) == ["joint"]
    assert doors.leave_out({"experiments": "many", "controls": None}, default, "config.yaml") == []


def test_null_of_no_experiment_is_refused(default):
    config = copy.deepcopy(default)
    config["controls"]["experiments"]["shufled"] = None
    with pytest.raises(Refused) as caught:
        doors.leave_out(config, default, "config.yaml")
    told = "controls.experiments.shufled: given null; accepted: shuffled, untrained, static"
    assert line_of(caught) == f"config.yaml: {told}"


def test_claims_that_need_what_is_left_out_are_not_asked(default, models):
    config = copy.deepcopy(default)
    config["experiments"]["frame_by_frame"] = None
    left_out = doors.leave_out(config, default, "config.yaml")
    kinds = doors.kinds_of(config, doors.check_interventions(config, models, "config.yaml"))
    every = load_yaml(ROOT / "config/claims.yaml")["claims"]
    claims, missed = doors.check_claims("config/claims.yaml", kinds, models, [*left_out, "swap_tokens"])
    # No entry names the other one, so that verdicts can do without it.
    assert missed == ["frame_by_frame"]
    gone = {claim["id"] for claim in every} - {claim["id"] for claim in claims}
    # Those that read it, and those that it is a control of.
    assert {"E1_control", "E1_joint"} <= gone and len(claims) > 10
    with pytest.raises(Refused, match="frame_by_frame"):
        doors.check_claims("config/claims.yaml", kinds, models)


@pytest.mark.parametrize(
    ("kept", "field"),
    [
        ("experiments.frame_by_frame", "experiments.frame_by_frame.order: given frame_by_frame"),
        ("controls.experiments.shuffled", "controls.experiments.shuffled.order: given shuffled"),
        ("interventions.experiments.plant_shuffled", f"{_OF}.plant_shuffled.order: given shuffled"),
        ("interventions.experiments.orders_in_turn", f"{_OF}.orders_in_turn.orders: given frame_by_frame"),
    ],
)
def test_frames_cannot_take_turns_where_a_form_gives_them_one_timestep(default, models, kept, field):
    config, _ = large_model(default, models)
    turns = [
        "experiments.frame_by_frame",
        "controls.experiments.shuffled",
        *(f"{_OF}.{kind}_{order}" for kind in ("erasure", "plant") for order in ("frame_by_frame", "shuffled")),
        f"{_OF}.orders_in_turn",
    ]
    for path in set(turns) - {kept}:
        config = with_field(config, path, None)
    doors.leave_out(config, default, "config.yaml")
    if kept.endswith("orders_in_turn"):
        config["interventions"]["experiments"]["orders_in_turn"]["models"] = [config["model"]]
    asked = config["experiments"], config["controls"], config["cases"]["count"], config["seeds"]
    sampled = doors.check_sampled(*asked, "config.yaml")
    given = doors.check_interventions(config, models, "config.yaml")
    with pytest.raises(Refused) as caught:
        doors.check_orders(config, sampled, given, models, "config.yaml")
    assert f"config.yaml: {field}; accepted: joint, with wan2.1_i2v_14b of form single" in str(caught.value)
    # The form with a timestep a frame takes them all.
    ti2v = models | {config["model"]: models["wan2.2_ti2v_5b"]}
    doors.check_orders(config, sampled, given, ti2v, "config.yaml")


def test_a_large_models_shape_is_asked_when_a_run_starts(default, models):
    doors.check_models("config/models.yaml", "wan2.1_i2v_14b", "config.yaml")
    with pytest.raises(Refused, match=r"frames: given 81 frames of 480 x 832; accepted: 9 frames of 32 x 32"):
        doors.check_shape("config/models.yaml", "wan2.1_i2v_14b", models["wan2.1_i2v_14b"])
