"""The rules of training, from an entry of config/models.yaml to a folder that can be used."""

from __future__ import annotations

import copy
import re

import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file

from chainofsteps.models.check import check_folder

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def test_a_training_starts_from_what_is_shipped(make_clone):
    """First weights and VAE are those of the other model's shipped folder: they fit, and no VAE is trained."""
    planned = make_clone("planned").snakemake("-n", "train", "--config", "model=mini_one_pass")
    assert planned.returncode == 0, planned.stderr
    counts = dict(re.findall(r"^([a-z_]+) +(\d+)$", planned.stdout + planned.stderr, flags=re.MULTILINE))
    assert counts == {
        "encode_training_set": "11",
        "train_reasoner": "1",
        "plot_training": "1",
        "train": "1",
        "total": "14",
    }


def test_a_model_is_trained_on_the_shipped_vae(make_clone):
    """From an entry to a folder that can be used: the rules of training, with next to nothing to do."""
    clone = make_clone("trained")
    path = clone.folder / "config/models.yaml"
    models = yaml.safe_load(path.read_text())
    family = models["mini"]["training"]["families"]["largest_tie"]
    family["cases"] = 12
    tiny = copy.deepcopy(models["mini_one_pass"])
    tiny |= {"path": "resources/models/tiny", "orders": {"joint": {"order": "joint", "steps": 1}}}
    del tiny["revision"]
    tiny["training"]["families"] = {"largest_tie": family | {"share": 1.0}}
    tiny["training"]["transformer"] |= {
        "steps": 2, "batch": 2, "warmup": 1, "checkpoint_every": 1, "evaluate_every": 2, "evaluate_cases": 2,
        "compile": False,
    }  # fmt: skip
    path.write_text(yaml.safe_dump(models | {"tiny": tiny}, sort_keys=False))
    # One thread: two, on cores that are busy with other tests, wait for each other longer than they compute.
    done = clone.snakemake("--cores", "1", "train", "--config", "model=tiny")
    assert done.returncode == 0, done.stderr
    trained = clone.folder / "results/training/tiny"
    log = pd.read_csv(trained / "log.csv")
    assert list(log) == ["step", "samples", "loss", "largest_tie_joint"]
    assert log["samples"].tolist() == [2, 4] and log["largest_tie_joint"].notna().tolist() == [False, True]
    assert (trained / "training.png").stat().st_size > 10_000
    check_folder(trained / "pipeline")
    weights = "vae/diffusion_pytorch_model.safetensors"
    shipped = load_file(clone.folder / "resources/models/mini" / weights)
    ours = load_file(trained / "pipeline" / weights)
    assert shipped.keys() == ours.keys() and all(torch.equal(shipped[name], ours[name]) for name in ours)
    assert not (clone.folder / "results/training/mini/vae").exists()
    latents = clone.folder / "results/training/mini/latents"
    assert [path.relative_to(latents).as_posix() for path in latents.rglob("*.*")] == [
        "shipped/largest_tie.safetensors"
    ]


def test_the_training_of_a_vae_is_plotted(make_clone):
    """Beside the reasoner's, where the model has a VAE of its own; from logs, since the training takes hours."""
    clone = make_clone("plotted")
    folder = clone.folder / "results/training/mini"
    folder.mkdir(parents=True)
    (folder / "vae_log.csv").write_text("step,loss,psnr\n0,1.0,10.0\n20,0.5,20.0\n")
    models = yaml.safe_load((clone.folder / "config/models.yaml").read_text())
    names = [f"largest_{order}" for order in models["mini"]["orders"]]
    (folder / "log.csv").write_text(f"step,samples,loss,{','.join(names)}\n1,32,1.0{',0.5' * len(names)}\n")
    figure = "results/training/mini/training.png"
    done = clone.snakemake("--cores", "1", "--allowed-rules", "plot_training", "--", figure)
    assert done.returncode == 0, done.stderr
    assert (clone.folder / figure).stat().st_size > 10_000
