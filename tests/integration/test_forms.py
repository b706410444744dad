"""Every experiment of the configuration goes through the workflow on tiny random models of all three forms."""

from __future__ import annotations

import pytest
import yaml

from chainofsteps import datasets
from tests.pipelines import FORMS
from tests.scripts import COMMIT, save_model

pytestmark = [pytest.mark.integration, pytest.mark.slow]

FAMILY = "maze_loop"  # two right answers: what planting needs
DTYPES = {"single": "float32", "two_networks": "bfloat16", "ti2v": "float32"}
BOUNDARIES = {"single": "none", "two_networks": "0.875", "ti2v": "none"}
ALL, IN_TURN = list(FORMS), ["ti2v"]  # the others take one timestep for all frames
TURNS = {"models": IN_TURN, "steps": 1, "count": 2}
CELL = {"cells": {"kinds": ["erase"], "steps": [0], "frames": [2]}}
EXPERIMENTS = {
    "erasure": {
        "count": 2,
        "solved": {"families": [FAMILY], "count": 2},
        "steps": 3,
        "at_steps": [0, 2],
        "at_frames": [2],
        "cells": {"steps": [1], "frames": [1, 2]},
        "doses": {"counts": [], "sets": 1, "kinds": []},
    },
    "erasure_frame_by_frame": TURNS | CELL,
    "erasure_shuffled": TURNS | CELL,
    "plant": {"families": [FAMILY], "count": 2, "steps": 2, "at_steps": [1], "frames_after": [0]},
    "plant_frame_by_frame": TURNS | {"families": [FAMILY], "at_steps": [1], "frames_after": [0]},
    "plant_shuffled": TURNS | {"families": [FAMILY], "at_steps": [1], "frames_after": [0]},
    # Both guidance passes, as the configuration has it.
    "swap": {"steps": 2, "layers": [0, 1], "spans": [[0, 0]]},
    "swap_tokens": {"steps": 2, "layers": [1], "spans": [[0, 1]]},
    "ensemble": {"steps": 2, "members": 2, "windows": [[0, 1]]},
    "orders": {"models": ALL, "count": 2, "orders": {"joint": [2]}, "frames": [5]},
    "orders_in_turn": {
        "models": IN_TURN,
        "count": 2,
        "orders": {"joint": [2], "frame_by_frame": [1], "shuffled": [1], "pyramid": [2]},
    },
    "layers": {"count": 4, "steps": 2, "at_steps": [0], "held_out": 0.5},
    "layers_hidden": {
        "models": IN_TURN,
        "families": [FAMILY],
        "count": 2,
        "steps": 2,
        "at_steps": [0],
        "held_out": 0.5,
    },
}
CONFIG = {
    "results": "results/forms",
    "model": "ti2v",
    "cases": {"families": [FAMILY], "purpose": "pilot", "count": 3},
    "seeds": [0],
    "experiments": {"joint": {"steps": 2}, "frame_by_frame": {"steps": 1}},
    "controls": {"count": 3, "experiments": {"static": {"count": 3}}},
    "interventions": {
        "models": ALL,
        "families": [FAMILY],
        "first": 300000,
        "count": 2,
        "scored": 4,
        "batch": 8,
        "experiments": EXPERIMENTS,
    },
}
# One of each kind; the first shows where one network takes over from the other.
FIGURES = ("same_by_step", "plant_outcome", "swap_flips", "ensemble_gain", "fewer_frames_and_steps", "layer_energy")


@pytest.fixture(scope="module")
def forms(make_clone, build_pipeline):
    """A clone in which tiny models of all forms lie where a fetch from the hub would lay them, by the form's name."""
    clone = make_clone("forms")
    path = clone.folder / "config/models.yaml"
    models = yaml.safe_load(path.read_text())
    for form in FORMS:
        entry = save_model(build_pipeline(form), clone.folder / "resources/hub" / form, form, DTYPES[form])
        del entry["path"]
        entry["hub"]["licence"] = "none"
        networks = ["transformer", "transformer_2"][: 1 + (form == "two_networks")]
        models[form] = entry | {"parameters": dict.fromkeys([*networks, "text_encoder", "vae"], 1)}
    path.write_text(yaml.safe_dump(models))
    (clone.folder / "forms.yaml").write_text(yaml.safe_dump(CONFIG))
    return clone


def test_every_experiment_goes_through_the_workflow_on_every_form_that_can_take_it(forms):
    shipped = yaml.safe_load((forms.folder / "config/config.yaml").read_text())["interventions"]["experiments"]
    asked = {name: shipped[name] | given for name, given in EXPERIMENTS.items()}
    assert set(shipped) == set(asked)
    assert asked["swap"]["passes"] == ["cond", "uncond"]
    outcomes = {(name, form): given["kind"] for name, given in asked.items() for form in given.get("models", ALL)}
    assert {(kind, form) for (_, form), kind in outcomes.items()} == {
        (given["kind"], form) for given in shipped.values() for form in FORMS
    }
    results = forms.folder / CONFIG["results"]
    files = {(name, form): results / "interventions" / form / f"{name}.nc" for name, form in outcomes}
    features = {form: results / "features" / form / "joint" / f"{FAMILY}.nc" for form in FORMS}
    figures = [results / "figures" / f"{figure}_two_networks.png" for figure in FIGURES]
    targets = [str(path.relative_to(forms.folder)) for path in (*files.values(), *features.values(), *figures)]
    done = forms.snakemake("--cores", "2", "--configfile", "forms.yaml", "--", *targets)
    assert done.returncode == 0, done.stdout + done.stderr
    for (name, form), kind in outcomes.items():
        outcome = datasets.read(files[name, form], kind)
        said = {key: outcome.attrs[key] for key in ("model_id", "model_revision", "experiment", "dtype", "boundary")}
        assert said == {
            "model_id": form,
            "model_revision": COMMIT,
            "experiment": name,
            "dtype": DTYPES[form],
            "boundary": BOUNDARIES[form],
        }
        assert outcome.sizes["case"] == (4 if name in ("erasure", "layers") else 2), name
        assert (outcome["same_as_clean"].isel(arm=0) == 1).all(), (name, form)
    for form, path in features.items():
        read = datasets.read(path, "features")
        assert read.attrs["model_id"] == form and read.sizes["case"] == 3 and read.sizes["step"] == 2
    for path in figures:
        assert path.stat().st_size > 10_000, path
