"""What is registered when cases are drawn, and what becomes of claims that change afterwards."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from chainofsteps.configuration import load_yaml
from chainofsteps.refusal import Refused
from chainofsteps.statistics.registration import (
    BLOCKS,
    block_of,
    entry_hashes,
    read_registration,
    register,
    registered_ids,
)

ROOT = Path(__file__).parents[2]
CLAIMS = load_yaml(ROOT / "config/claims.yaml")["claims"]
CONFIG = load_yaml(ROOT / "config/config.yaml")
EXPERIMENTS = {
    **CONFIG["experiments"],
    **CONFIG["controls"]["experiments"],
    **CONFIG["interventions"]["experiments"],
}
REVISIONS = {"mini": "one", "mini_shallow": "two"}


def hashed(claims=CLAIMS, config=CONFIG, experiments=EXPERIMENTS, revisions=REVISIONS):
    return entry_hashes(claims, config, experiments, revisions)


@pytest.fixture
def drawn(tmp_path):
    """Registrations of both blocks, and what their cases carry."""
    paths = {block: tmp_path / f"registered_{block}_0.json" for block in BLOCKS}
    for block, path in paths.items():
        register(path, hashed()[block])
    return paths, {block: {read_registration(path)[1]} for block, path in paths.items()}


def changed(before, after):
    return {name for block in BLOCKS for name in before[block] if before[block][name] != after[block][name]}


def test_every_entry_that_is_tested_belongs_to_one_block():
    hashes = hashed()
    tested = {entry["id"] for entry in CLAIMS if entry["role"] != "untestable"}
    assert set(hashes["cases"]) | set(hashes["interventions"]) == tested
    assert not set(hashes["cases"]) & set(hashes["interventions"])
    by_id = {entry["id"]: entry for entry in CLAIMS}
    assert [block_of(by_id[name]) for name in ("E0_gain", "E4_joint", "E9_perception")] == [*BLOCKS, None]


def test_unchanged_claims_are_registered(drawn):
    assert registered_ids(drawn[0], hashed(), drawn[1]) == {name for block in BLOCKS for name in hashed()[block]}


def test_a_changed_claim_is_not_registered_until_new_cases_are_drawn(drawn, tmp_path):
    paths, under = drawn
    claims = copy.deepcopy(CLAIMS)
    next(entry for entry in claims if entry["id"] == "E0_gain")["smallest_effect"]["value"] = 0.01
    now = hashed(claims)
    assert changed(hashed(), now) == {"E0_gain"}
    kept = {path: path.read_bytes() for path in paths.values()}
    for block, path in paths.items():
        register(path, now[block])  # what is recorded stays as it is
    assert {path: path.read_bytes() for path in paths.values()} == kept
    assert "E0_gain" not in registered_ids(paths, now, under) and "E1_joint" in registered_ids(paths, now, under)
    new = paths | {"cases": tmp_path / "registered_cases_1.json"}
    register(new["cases"], now["cases"])
    assert "E0_gain" in registered_ids(new, now, under | {"cases": {read_registration(new["cases"])[1]}})


@pytest.mark.parametrize(
    ("change", "moved"),
    [
        (lambda config, experiments, revisions: experiments["joint"].update(steps=10), "E0_gain"),
        (lambda config, experiments, revisions: experiments["erasure"].update(count=9), "E2_erase"),
        (lambda config, experiments, revisions: config["cases"].update(count=65), "E13_order"),
        (lambda config, experiments, revisions: config["interventions"].update(scored=16), "E0_scores"),
        (lambda config, experiments, revisions: config["statistics"].update(draws=99), "E11_swap"),
        (lambda config, experiments, revisions: revisions.update(mini_shallow="three"), "E13_depth"),
    ],
)
def test_what_a_claim_is_measured_by_is_registered_with_it(change, moved):
    given = copy.deepcopy((CONFIG, EXPERIMENTS, REVISIONS))
    change(*given)
    assert moved in changed(hashed(), entry_hashes(CLAIMS, *given))


def test_a_setting_that_a_claim_does_not_use_leaves_it_registered():
    experiments = copy.deepcopy(EXPERIMENTS)
    experiments["erasure"]["count"] = 9
    moved = changed(hashed(), hashed(experiments=experiments))
    assert moved == {entry["id"] for entry in CLAIMS if "erasure" in entry.get("experiments", [])}


def test_cases_drawn_under_another_registration_are_refused(drawn):
    paths, under = drawn
    with pytest.raises(Refused, match=r"registered_cases_0\.json: sha256: given .*; accepted: 0123"):
        registered_ids(paths, hashed(), under | {"cases": {"0123"}})


@pytest.mark.parametrize("content", ["", "[]", "{", '{"E0_gain": 1}'])
def test_what_is_no_registration_is_refused(tmp_path, content):
    path = tmp_path / "registered_cases_0.json"
    with pytest.raises(Refused, match="given nothing; accepted: a registration"):
        read_registration(path)
    path.write_text(content)
    for act in (read_registration, lambda path: register(path, {})):
        with pytest.raises(Refused, match="given no registration"):
            act(path)
    assert path.read_text() == content
