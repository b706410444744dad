"""What cannot work is refused before any work, in one line, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

pytestmark = [pytest.mark.integration, pytest.mark.slow]

QUICK = ("--configfile", "config/quick.yaml")
WEIGHTS = "resources/models/mini/transformer/diffusion_pytorch_model.safetensors"
VAE = "resources/models/mini/vae/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def clone(make_clone):
    return make_clone("doors")


def refused(clone, *arguments):
    """The one line of the refusal."""
    done = clone.snakemake("--cores", "1", *arguments)
    assert done.returncode != 0
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("refused:")]
    assert len(lines) == 1, done.stdout + done.stderr
    assert "given" in lines[0] and "accepted" in lines[0]
    assert "Traceback" not in done.stdout + done.stderr
    assert not (clone.folder / "results").exists()
    return lines[0]


@pytest.mark.parametrize(
    ("overlay", "words"),
    [
        ({"cases": {"families": ["maze", "labyrinth"]}}, ("cases.families", "labyrinth", "maze, maze_fork, maze_loop")),
        ({"model": "wan99"}, ("model", "wan99", "mini")),
        ({"experiments": {"joint": {"order": "backwards", "steps": 5}}}, ("experiments.joint.order", "backwards")),
        ({"experiments": {"joint": {"order": "joint", "steps": "many"}}}, ("experiments.joint.steps", "many")),
        ({"sedes": [1]}, ("sedes", "unknown key", "seeds")),
        ({"cases": {"count": 2.5}}, ("cases.count", "2.5", "integer")),
        ({"seeds": []}, ("seeds",)),
        ({"results": "../elsewhere"}, ("results", "../elsewhere")),
    ],
)
def test_a_bad_configuration(clone, tmp_path, overlay, words):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(overlay))
    line = refused(clone, "--configfile", str(path))
    assert all(word in line for word in (*words, "mine.yaml"))


@pytest.fixture
def edited(clone):
    """``edited(name)``: a file of the clone, put back afterwards."""
    kept: dict[Path, bytes] = {}

    def path_of(name):
        path = clone.folder / name
        kept[path] = path.read_bytes()
        return path

    yield path_of
    for path, content in kept.items():
        path.write_bytes(content)


def test_a_missing_weight_file(clone, edited):
    edited(WEIGHTS).unlink()
    assert all(word in refused(clone, *QUICK) for word in ("transformer", "safetensors"))


def test_a_truncated_weight_file(clone, edited):
    path = edited(WEIGHTS)
    path.write_bytes(path.read_bytes()[:-100])
    assert all(word in refused(clone, *QUICK) for word in (WEIGHTS, "bytes"))


def test_swapped_weight_files(clone, edited):
    one, other = edited(WEIGHTS), edited(VAE)
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    assert "sha256" in refused(clone, *QUICK)


@pytest.mark.parametrize(("field", "value"), [("frames", 17), ("height", 36)])
def test_a_shape_that_the_model_cannot_take(clone, edited, field, value):
    path = edited("config/models.yaml")
    models = yaml.safe_load(path.read_text())
    models["mini"][field] = value
    path.write_text(yaml.safe_dump(models))
    line = refused(clone, *QUICK)
    assert "models.yaml" in line and str(value) in line


def test_a_claim_on_an_unknown_experiment(clone, edited):
    path = edited("config/claims.yaml")
    path.write_text(path.read_text().replace("experiments: [joint]", "experiments: [jointly]", 1))
    assert all(word in refused(clone, *QUICK) for word in ("claims.yaml", "jointly"))


def test_no_space_on_the_disk(clone, tmp_path):
    path = tmp_path / "huge.yaml"
    path.write_text(yaml.safe_dump({"cases": {"count": 100_000}, "seeds": list(range(1000))}))
    assert all(word in refused(clone, "--configfile", str(path)) for word in ("disk", "GB"))


@pytest.mark.parametrize("name", ["quick", "all_families"])
def test_what_ships_beside_the_configuration_is_accepted(clone, name):
    assert clone.planned("--configfile", f"config/{name}.yaml")
