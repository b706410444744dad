"""The protocol of a world, and the case it draws.

A family is one module of this package that defines

``LEVELS``
    dict, level -> difficulties, each a tuple of int; ``DIFFICULTY`` says what the number counts.
``KINDS``
    tuple of glyph names, the kinds of mover.
``PROMPT``
    str, the sentence that tells the model which family this is.
``draw(rng, difficulty)``
    -> (scene, facts): the glyph of each cell, and what a solver needs, as JSON numbers and lists.
``ANSWERS``
    int, how many right answers a case has: 1, or more where several are equally right and equally frequent in training,
    so that the posterior over answers is uniform.
``ONE_MOVER``
    bool, whether all frames show one and the same mover; False where several take turns.
``answers(scene, facts)``
    -> list of plans, the exact solutions: one state a frame.
``legal_moves(scene, facts, plan)``
    -> bool (frame - 1,): which transitions the world allows.
``reaches_goal(scene, facts, plan)``
    -> bool.
``control_plans(scene, facts, plan)``
    -> {"through": plan, "wrong_answer": plan}: one that breaks the world's law, one that ends wrong.

Nothing else knows a family's name: :func:`family` imports the module that the configuration names.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import json
import pkgutil
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import numpy as np

from chainofsteps import seeds
from chainofsteps.worlds import grid

_NOT_FAMILIES = {"base", "grid", "motion"}
_MAX_DRAWS = 10_000


@functools.cache
def families() -> tuple[str, ...]:
    """Names of the families that this package holds."""
    here = str(Path(__file__).parent)
    return tuple(sorted(m.name for m in pkgutil.iter_modules([here]) if m.name not in _NOT_FAMILIES))


def family(name: str) -> ModuleType:
    """The module of a family.

    Raises
    ------
    ValueError
        No such family.
    """
    if name not in families():
        raise ValueError(f"family: {name!r}; accepted: {', '.join(families())}")
    return importlib.import_module(f"chainofsteps.worlds.{name}")


def difficulties(name: str) -> tuple[int, ...]:
    """All difficulties of a family, level by level."""
    return tuple(difficulty for level in family(name).LEVELS.values() for difficulty in level)


@dataclass(frozen=True)
class Case:
    """One question: a scene, what is to be done in it, and the right answers.

    Attributes
    ----------
    family : str
    seed : int
        Case seed, see :mod:`chainofsteps.seeds`.
    difficulty : int
    scene : ndarray of str, (8, 8)
        Glyph of each cell, without the mover.
    facts : dict
        What the family's solver needs.
    plan : ndarray of int16, (frame,)
        An exact solution: the only one, or one of `answers` drawn with the case.
    solved : bool
        Whether the given frame shows the end of the solution, so that nothing is left to do: see `solved`.
    """

    family: str
    seed: int
    difficulty: int
    scene: np.ndarray
    facts: dict
    plan: np.ndarray = field(repr=False)
    solved: bool = False

    @property
    def case_id(self) -> str:
        return f"{self.family}-{self.difficulty}-{self.seed}" + ("-solved" if self.solved else "")

    @property
    def level(self) -> str:
        """The family's level that the difficulty belongs to."""
        levels = family(self.family).LEVELS
        return next(level for level, members in levels.items() if self.difficulty in members)

    @property
    def answers(self) -> np.ndarray:
        """Every right plan, int16 (answer, frame); equally likely."""
        plans = np.stack(family(self.family).answers(self.scene, self.facts))
        return _held(plans) if self.solved else plans

    @property
    def prompt(self) -> str:
        return family(self.family).PROMPT

    @property
    def kinds(self) -> tuple[str, ...]:
        return family(self.family).KINDS

    @property
    def video(self) -> np.ndarray:
        """Ground truth, uint8 (frame, 32, 32, 3)."""
        return self.render(self.plan)

    @property
    def first_frame(self) -> np.ndarray:
        """uint8 (32, 32, 3)."""
        return self.render(self.plan[:1])[0]

    def render(self, plan: np.ndarray) -> np.ndarray:
        """Video of any plan in this case's scene, uint8 (frame, 32, 32, 3)."""
        return grid.render(self.scene, self.kinds, plan)

    def read(self, frames: np.ndarray) -> grid.Reading:
        """Read frames (..., 32, 32, 3) of this case; see :func:`chainofsteps.worlds.grid.read`."""
        return grid.read(self.scene, self.kinds, frames)

    def to_json(self) -> str:
        """Everything that cannot be drawn again from family, seed and difficulty alone, and a human's check."""
        answer = int(np.flatnonzero((self.answers == self.plan).all(1))[0])
        stored = {"scene": self.scene.tolist(), "facts": self.facts, "answer": answer}
        stored |= {"solved": True} if self.solved else {}
        return json.dumps(stored, sort_keys=True, separators=(",", ":"))


def _held(plans: np.ndarray) -> np.ndarray:
    """Plans (..., frame) that hold the last state from the first frame on."""
    return np.repeat(plans[..., -1:], plans.shape[-1], axis=-1)


def solved(case: Case) -> Case:
    """The same scene when all is done: the right plan is to leave it as it is, and there is nothing to reason about."""
    return dataclasses.replace(case, plan=_held(case.plan), solved=True)


def case_from_json(family_name: str, seed: int, difficulty: int, text: str) -> Case:
    """Rebuild a case from :meth:`Case.to_json`; the solution is solved anew, not trusted."""
    stored = json.loads(text)
    scene = np.array(stored["scene"])
    plan = family(family_name).answers(scene, stored["facts"])[stored["answer"]]
    case = Case(family_name, seed, difficulty, scene, stored["facts"], plan)
    return solved(case) if stored.get("solved") else case


def draw_case(family_name: str, seed: int, difficulty: int) -> Case:
    """Draw the case of a seed; the same three arguments give the same case for ever.

    Draws are repeated until the first frame belongs to the seed's purpose (:func:`seeds.purpose_of_content`).

    Raises
    ------
    ValueError
        Unknown family or difficulty, or a seed outside every block.
    """
    world = family(family_name)
    if difficulty not in difficulties(family_name):
        accepted = ", ".join(map(str, difficulties(family_name)))
        raise ValueError(f"{family_name}: difficulty: {difficulty!r}; accepted: {accepted}")
    purpose = seeds.purpose_of_seed(seed)
    rng = np.random.default_rng([seed, difficulty])
    for _ in range(_MAX_DRAWS):
        scene, facts = world.draw(rng, difficulty)
        plans = world.answers(scene, facts)
        case = Case(family_name, seed, difficulty, scene, facts, plans[int(rng.integers(len(plans)))])
        if seeds.purpose_of_content(case.first_frame) == purpose:
            return case
    raise RuntimeError(f"{family_name}: no {purpose} case of difficulty {difficulty} in {_MAX_DRAWS} draws")


def score(case: Case, plan: np.ndarray, mover_count: np.ndarray | None = None) -> dict[str, float]:
    """Score a plan against a case.

    Parameters
    ----------
    case : Case
    plan : ndarray of int, (frame,)
        A negative state is a frame that was not read: neither legal nor consistent.
    mover_count : ndarray, (frame,), optional
        Movers seen in each frame (:class:`grid.Reading`); a frame with more than one is inconsistent.

    Returns
    -------
    dict
        ``reaches_goal``, ``legal_moves`` and ``start_kept`` are 0 or 1; ``frames_consistent`` is the share of frames
        that hold one mover (of the kind that the plan ends with, where all frames show the same) or none; ``correct``
        is their product.
    """
    plan = np.asarray(plan)
    world = family(case.family)
    kind, cell = np.divmod(plan, grid.STATES_PER_KIND)
    present = cell != grid.ABSENT
    ending = kind[present][-1] if present.any() else 0
    known = plan >= 0
    consistent = known & (~present | (kind == ending) | (not world.ONE_MOVER))
    if mover_count is not None:
        consistent &= np.asarray(mover_count) <= 1.5
    parts = {
        "reaches_goal": float(world.reaches_goal(case.scene, case.facts, plan)),
        "legal_moves": float(known.all() and np.all(world.legal_moves(case.scene, case.facts, plan))),
        "start_kept": float(plan[0] == case.plan[0]),
        "frames_consistent": float(consistent.mean()),
    }
    return {"correct": float(np.prod(list(parts.values()))), **parts}


def control_plans(case: Case) -> dict[str, np.ndarray]:
    """Plans whose score is known: the truth and five that must score low.

    Returns
    -------
    dict
        ``ground_truth``, ``static`` (the first frame for ever), ``reversed``, ``jump`` (the answer at once),
        ``through`` (against the world's law) and ``wrong_answer``.
    """
    plan = case.plan
    jump = np.full_like(plan, plan[-1])
    jump[0] = plan[0]
    return {
        "ground_truth": plan,
        "static": np.full_like(plan, plan[0]),
        "reversed": plan[::-1],
        "jump": jump,
        **family(case.family).control_plans(case.scene, case.facts, plan),
    }
