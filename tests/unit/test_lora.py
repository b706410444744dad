"""LoRA weights merged into tiny random networks: they change the answer, and only as much as they are told to."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save_file

from chainofsteps import doors
from chainofsteps.configuration import load_yaml
from chainofsteps.models.check import ORIGIN, write_manifest
from chainofsteps.models.lora import merge_lora
from chainofsteps.models.placement import opened, revision_of
from chainofsteps.refusal import Refused

ROOT = Path(__file__).parents[2]
RANK, PLACE, WAN = 2, "blocks.1.attn1.to_q", "blocks.1.self_attn.q"


def weights(width=24, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(RANK, width, generator=generator), torch.randn(width, RANK, generator=generator)


def write_lora(path, names=(f"transformer.{PLACE}.lora_A.weight", f"transformer.{PLACE}.lora_B.weight"), **given):
    save_file(dict(zip(names, weights(**given), strict=False)), str(path))
    return path


def weight_of(pipe, part, place=PLACE):
    return getattr(pipe, part).get_submodule(place).weight.detach().clone()


@pytest.mark.parametrize(("form", "part"), [("ti2v", "transformer"), ("two_networks", "transformer_2")])
@pytest.mark.parametrize("scale", [1.0, 0.5, -1.0])
def test_the_update_is_added_to_one_network(build_pipeline, tmp_path, form, part, scale):
    pipe = build_pipeline(form)
    others = [name for name in ("transformer", "transformer_2") if name != part and getattr(pipe, name) is not None]
    before = {name: weight_of(pipe, name) for name in (part, *others)}
    beside = weight_of(pipe, part, "blocks.0.attn1.to_q")
    merge_lora(pipe, write_lora(tmp_path / "lora.safetensors"), part, scale)
    a, b = weights()
    assert torch.allclose(weight_of(pipe, part), before[part] + scale * b @ a, atol=1e-5)
    assert torch.equal(weight_of(pipe, part, "blocks.0.attn1.to_q"), beside)
    assert all(torch.equal(weight_of(pipe, name), before[name]) for name in others)
    # What is left is a network as any other.
    assert type(getattr(pipe, part).get_submodule(PLACE)) is torch.nn.Linear


def test_a_scale_of_zero_leaves_the_answer_as_it_is(build_pipeline, tmp_path):
    file = write_lora(tmp_path / "lora.safetensors")
    answers = []
    for scale in (None, 0.0, 1.0):
        pipe = build_pipeline("ti2v")
        if scale is not None:
            merge_lora(pipe, file, "transformer", scale)
        noise = torch.randn(1, 8, 3, 4, 4, generator=torch.Generator().manual_seed(1))
        text = torch.randn(1, 5, 16, generator=torch.Generator().manual_seed(2))
        with torch.no_grad():
            answers.append(pipe.transformer(noise, torch.tensor([500.0]), text, return_dict=False)[0])
    assert torch.equal(answers[0], answers[1]) and not torch.allclose(answers[0], answers[2], atol=1e-3)


@pytest.mark.parametrize("prefix", ["diffusion_model.", ""])
@pytest.mark.parametrize("infix", ["", ".default"])
def test_names_of_wan_are_known(build_pipeline, tmp_path, prefix, infix):
    pipe = build_pipeline("two_networks")
    before, (a, b) = weight_of(pipe, "transformer"), weights()
    names = [f"{prefix}{WAN}.lora_{each}{infix}.weight" for each in "AB"]
    merge_lora(pipe, write_lora(tmp_path / "lora.safetensors", names), "transformer")
    assert torch.allclose(weight_of(pipe, "transformer"), before + b @ a, atol=1e-5)


@pytest.mark.parametrize(
    ("names", "given", "line"),
    [
        (["transformer.blocks.9.attn1.to_q.lora_A.weight"] * 2, {}, "tensor: given transformer.blocks.9"),
        ([f"transformer.{PLACE}.lora_A.weight"], {}, f"tensor: given no transformer.{PLACE}.lora_B"),
        ([f"transformer.{PLACE}.weight"], {}, "tensor: given transformer"),
        (["diffusion_model.blocks.0.nonsense.lora_A.weight"], {}, "tensors: given"),
        (["nonsense.weight"], {}, "tensors: given"),
        ([f"transformer.{PLACE}.lora_{each}.weight" for each in "AB"], {"width": 20}, r"given shape \(2, 20\)"),
    ],
)
def test_tensors_that_do_not_fit_are_refused_in_one_line(build_pipeline, tmp_path, names, given, line):
    pipe = build_pipeline("ti2v")
    before = weight_of(pipe, "transformer")
    with pytest.raises(Refused, match=line) as caught:
        merge_lora(pipe, write_lora(tmp_path / "lora.safetensors", names, **given), "transformer")
    assert "\n" not in str(caught.value) and "; accepted: " in str(caught.value)
    assert torch.equal(weight_of(pipe, "transformer"), before)


def test_a_pickle_and_an_absent_network_are_refused(build_pipeline, tmp_path):
    path = tmp_path / "lora.safetensors"
    path.write_bytes(pickle.dumps({"transformer": [1, 2, 3]}))
    with pytest.raises(Refused, match=r"lora\.safetensors: (size|header): given"):
        merge_lora(build_pipeline("ti2v"), path, "transformer")
    with pytest.raises(Refused, match=r"part: given transformer_2; accepted: transformer$"):
        merge_lora(build_pipeline("ti2v"), write_lora(path), "transformer_2")


def test_an_entry_with_lora_is_opened_with_both_networks_updated(build_pipeline, tmp_path):
    given = build_pipeline("two_networks")
    base, lora = tmp_path / "base", tmp_path / "lora"
    given.save_pretrained(base, safe_serialization=True)
    models = load_yaml(ROOT / "config/models.yaml")
    model = models["vbvr_wan2.2_lora"]
    (base / ORIGIN).write_text(json.dumps({key: model["hub"][key] for key in ("repository", "commit")}))
    write_manifest(base)
    lora.mkdir()
    (lora / ORIGIN).write_text(json.dumps({"repository": model["lora"]["repository"], "commit": "a" * 40}))
    for seed, name in enumerate(("high", "low")):
        write_lora(lora / f"{name}.safetensors", seed=seed)
    write_manifest(lora)
    files = {"transformer": "high.safetensors", "transformer_2": "low.safetensors"}
    model = model | {"lora": model["lora"] | {"files": files, "commit": "a" * 40, "scale": 0.5, "path": str(lora)}}
    model["path"] = str(base)
    model["placement"] = {"dtype": "float32", "offload": "none", "vae_tiling": False}
    with opened(model) as pipe:
        for seed, part in enumerate(files):
            a, b = weights(seed=seed)
            assert torch.allclose(weight_of(pipe, part), weight_of(given, part) + 0.5 * b @ a, atol=1e-5)
    assert revision_of(model) == f"{model['hub']['commit']} + {'a' * 40} x 0.5"
    (lora / "low.safetensors").write_bytes((lora / "high.safetensors").read_bytes())
    with pytest.raises(Refused, match=r"low\.safetensors: sha256: given"), opened(model):
        pass


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"base": "mini"}, r"lora\.base: given 'mini'; accepted: .*wan2"),
        ({"base": "wan2.2_ti2v_5b"}, r"vbvr_wan2\.2_lora\.hub: given .*; accepted: that of wan2\.2_ti2v_5b"),
        ({"files": {"transformer": "lora.bin"}}, r"lora\.files\.transformer: given 'lora\.bin'"),
        ({"files": {"transformer": "../lora.safetensors"}}, r"lora\.files\.transformer: given '\.\./lora"),
        ({"files": {"vae": "lora.safetensors"}}, r"lora\.files\.vae: given an unknown key"),
        ({"files": {}}, r"lora\.files: given \{\}"),
        ({"scale": "one"}, r"lora\.scale: given 'one'"),
    ],
)
def test_an_entry_that_cannot_be(change, line, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    models = load_yaml("config/models.yaml")
    entry = models["vbvr_wan2.2_lora"]
    path = tmp_path / "models.yaml"
    path.write_text(yaml.safe_dump(models | {"vbvr_wan2.2_lora": entry | {"lora": entry["lora"] | change}}))
    with pytest.raises(Refused, match=line):
        doors.check_models(path, "mini", "config.yaml")
