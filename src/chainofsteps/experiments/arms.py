"""What the experiments share: every case and seed goes through the same arms, and every video is read and compared."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import xarray as xr
from diffusers import WanImageToVideoPipeline
from tqdm import tqdm

from chainofsteps import datasets, worlds
from chainofsteps.readout.cases import case_of
from chainofsteps.readout.features import agreement
from chainofsteps.refusal import Refused
from chainofsteps.sampling.blocks import BlockObserver
from chainofsteps.sampling.decode import decode
from chainofsteps.sampling.interventions import Intervention
from chainofsteps.sampling.loop import Moment, Observer, Stream, count_evaluations, prepare_order, sample
from chainofsteps.sampling.orders import Order
from chainofsteps.sampling.parts import ordered
from chainofsteps.sampling.trajectories import loop_settings, stream_seed

CLEAN = "clean"


@dataclass(frozen=True, eq=False)
class Arm:
    """One condition of an experiment, the same for every case and seed.

    Attributes
    ----------
    name : str
    coordinates : dict
        What it is, by the names of the dataset's coordinates over ``arm``.
    interventions : callable
        (number of the case, position of the stream in the run) -> tuple of Intervention.
    seed_offset : int
        Added to each generation seed: streams of other noise.
    """

    name: str
    coordinates: dict[str, object] = field(default_factory=dict)
    interventions: Callable[[int, int], tuple[Intervention, ...]] = lambda case, position: ()
    seed_offset: int = 0


@dataclass(frozen=True, eq=False)
class Run:
    """Streams that go through the loop together: every arm of every case and seed, then others that these draw on.

    Attributes
    ----------
    cases : list of Case
    seeds : list of int
    arms : list of Arm
    streams : list of Stream
        Case by case, seed by seed, arm by arm; behind them any others.
    settings : dict
        Arguments of :func:`chainofsteps.sampling.loop.sample`.
    """

    cases: list[worlds.Case]
    seeds: list[int]
    arms: list[Arm]
    streams: list[Stream]
    settings: dict

    @property
    def shape(self) -> tuple[int, int, int]:
        """Cases, seeds and arms."""
        return len(self.cases), len(self.seeds), len(self.arms)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of a run.

    Attributes
    ----------
    latents : Tensor, (case, seed, arm, channel, latent_frame, row, col)
        Normalised latents of the finished videos.
    plan : ndarray of int16, (case, seed, arm, frame)
        State read from each frame.
    correct : ndarray, (case, seed, arm)
        Score of the plan; 0 where there are fewer frames than a solution has.
    frame_correct : ndarray of int8, (case, seed, arm, frame)
        1 where the state is the nearest right answer's.
    others : ndarray of int16, (stream, frame)
        States read from the streams behind the arms, each in the scene of its own case.
    """

    latents: torch.Tensor
    plan: np.ndarray
    correct: np.ndarray
    frame_correct: np.ndarray
    others: np.ndarray


class NoiseLevels:
    """Observer: sigma of each latent frame before each evaluation."""

    def __init__(self):
        self._levels: list[np.ndarray] = []

    def __call__(self, moment: Moment) -> None:
        """Keep what a moment shows."""
        self._levels.append(moment.sigma.cpu().numpy())

    @property
    def sigma(self) -> tuple[tuple[str, str], np.ndarray]:
        """As a dataset takes it, of float32."""
        return ("step", "latent_frame"), np.stack(self._levels).astype(np.float32)


def make_stream(case: worlds.Case, seed: int, interventions: tuple[Intervention, ...] = ()) -> Stream:
    """The stream of a case and generation seed."""
    return Stream(case.case_id, case.first_frame, case.prompt, stream_seed(case.seed, seed), interventions)


def make_run(cases: Sequence[worlds.Case], seeds: Sequence[int], arms: Sequence[Arm], settings: dict) -> Run:
    """Every arm of every case and seed, in this order."""
    streams: list[Stream] = []
    for number, case in enumerate(cases):
        bare = make_stream(case, 0)  # made once, since its picture is painted
        for seed, arm in itertools.product(seeds, arms):
            noise, interventions = seed + arm.seed_offset, arm.interventions(number, len(streams))
            streams.append(dataclasses.replace(bare, seed=stream_seed(case.seed, noise), interventions=interventions))
    return Run(list(cases), list(seeds), list(arms), streams, settings)


def run_settings(model: dict, order: str, steps: int, batch: int, frames: int | None = None) -> dict:
    """Arguments of the loop from a model's entry, an order and its steps; ``frames`` where they are not the model's."""
    settings = loop_settings(model, {"order": order, "steps": steps}) | {"batch": batch}
    return settings if frames is None else settings | {"frames": frames}


def cases_in(cases: xr.Dataset) -> list[worlds.Case]:
    """Cases of a dataset."""
    return [case_of(cases, case_id) for case_id in cases["case"].values]


def timetable(pipe: WanImageToVideoPipeline, settings: dict) -> Order:
    """Order of a run, as the loop takes it."""
    names = ("order", "steps", "frames", "height", "width")
    return prepare_order(pipe, **{name: settings[name] for name in names})


def own_evaluation(order: Order, frame: int, step: int) -> int:
    """Evaluation at which a latent frame stands before its own step: the clock of a frame, whatever the order.

    Step S is the first evaluation after its last one.

    Raises
    ------
    Refused
        No such step, or no evaluation after the frame's last one.
    """
    steps = order.active[:, frame].sum()
    there = order.active[:, frame] if step < steps else step == steps
    found = np.flatnonzero((order.step_index[:, frame] == step) & there)
    if not len(found):
        raise Refused("sampling", f"own step of latent frame {frame}", step, f"what order {order.name} still evaluates")
    return int(found[0])


def evaluations(pipe: WanImageToVideoPipeline, run: Run) -> int:
    """Network evaluations of single states that a run takes, both guidance passes counted."""
    passes = 2 if run.settings["guidance_scale"] > 1 else 1
    return count_evaluations(run.streams, timetable(pipe, run.settings)) * passes


def make_latents(
    pipe: WanImageToVideoPipeline,
    run: Run,
    observers: Sequence[Observer] = (),
    block_observers: Sequence[BlockObserver] = (),
    title: str = "",
) -> torch.Tensor:
    """Run the streams to their ends; arguments as `carry_out`.

    Returns
    -------
    Tensor, (stream, channel, latent_frame, row, col)
        Normalised latents.
    """
    with tqdm(desc=title, unit="step") as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update()

        return sample(
            pipe,
            run.streams,
            observers=observers,
            block_observers=block_observers,
            progress=progress,
            **run.settings,
        )


def videos_of(pipe: WanImageToVideoPipeline, run: Run, latents: torch.Tensor) -> Iterator[np.ndarray]:
    """Decode finished videos as many at once as go through the network, so that no more of them are held.

    Yields
    ------
    ndarray of uint8, (frame, y, x, channel)
        Stream by stream.
    """
    for part in latents.split(run.settings["batch"]):
        yield from decode(pipe, part, run.settings["batch"])


def carry_out(
    pipe: WanImageToVideoPipeline,
    run: Run,
    observers: Sequence[Observer] = (),
    block_observers: Sequence[BlockObserver] = (),
    others: Sequence[worlds.Case] = (),
    title: str = "",
) -> Outcome:
    """Run the streams, decode the finished videos, read their plans.

    Parameters
    ----------
    pipe : WanImageToVideoPipeline
    run : Run
    observers, block_observers : sequence of callable
        Of the loop.
    others : sequence of Case
        Cases of the streams behind the arms.
    title : str
        For the progress bar.

    Returns
    -------
    Outcome
    """
    latents = make_latents(pipe, run, observers, block_observers, title)
    owners = [case for case in run.cases for _ in range(len(run.seeds) * len(run.arms))]
    videos = videos_of(pipe, run, latents)
    readings = [case.read(video) for case, video in zip([*owners, *others], videos, strict=True)]
    plans = np.stack([reading.plan for reading in readings])
    inside = slice(len(owners))
    whole = plans.shape[1] == worlds.FRAMES
    scores = [
        worlds.score(case, reading.plan, reading.mover_count)["correct"] if whole else 0.0
        for case, reading in zip(owners, readings, strict=False)
    ]
    agrees = [agreement(plan, case.answers[:, : len(plan)]) for case, plan in zip(owners, plans[inside], strict=True)]
    return Outcome(
        latents[inside].unflatten(0, run.shape),
        plans[inside].reshape(*run.shape, -1),
        np.reshape(scores, run.shape).astype(np.float32),
        np.reshape(agrees, (*run.shape, -1)).astype(np.int8),
        plans[len(owners) :],
    )


def outcome_dataset(run: Run, outcome: Outcome, source: xr.Dataset, made_by: object, **variables: object) -> xr.Dataset:
    """What all experiments keep of an outcome, with what one of them adds.

    Parameters
    ----------
    run : Run
        Its first arm is the clean one.
    outcome : Outcome
    source : Dataset
        Cases.
    made_by : object
        Settings that decide the result, for its hash.
    **variables
        More variables, as xarray takes them.

    Returns
    -------
    Dataset
        Over (case, seed, arm); root attributes of the model are the caller's to add.
    """
    same = (outcome.plan == outcome.plan[:, :, :1]).all(-1)
    coordinates = {
        name: ("arm", np.array([arm.coordinates[name] for arm in run.arms])) for name in run.arms[0].coordinates
    }
    return xr.Dataset(
        {
            "difficulty": source["difficulty"],
            "family": ("case", np.array([world_name(case) for case in run.cases], object)),
            "plan": (("case", "seed", "arm", "frame"), outcome.plan),
            "frame_correct": (("case", "seed", "arm", "frame"), outcome.frame_correct),
            "correct": (("case", "seed", "arm"), outcome.correct),
            "same_as_clean": (("case", "seed", "arm"), same.astype(np.int8)),
            **variables,
        },
        coords={
            "case": source["case"],
            "seed": np.array(run.seeds, np.int64),
            "arm": np.array([arm.name for arm in run.arms], object),
            **coordinates,
        },
        attrs=datasets.attributes(
            {"settings": made_by, "run": run.settings, "seeds": run.seeds, "cases": source.attrs["config_hash"]},
            purpose=source.attrs["purpose"],
            order=run.settings["order"],
        ),
    )


def world_name(case: worlds.Case) -> str:
    """Family of a case, and whether all is done in it."""
    return f"{case.family}, solved" if case.solved else case.family


def join_groups(parts: Sequence[xr.Dataset]) -> xr.Dataset:
    """One dataset of a world whose cases went through the loop in groups: behind one another, in their order."""
    if len(parts) == 1:
        return parts[0]
    first, *_ = parts
    of_cases = [name for name in first.variables if "case" in first[name].dims]
    rest = first.drop_vars(of_cases)
    joined = xr.concat([part[of_cases].drop_vars(rest.coords, errors="ignore") for part in parts], "case")
    return ordered(xr.merge([rest, joined], combine_attrs="override"), first.variables)


def join_worlds(parts: Sequence[xr.Dataset]) -> xr.Dataset:
    """One dataset of an experiment's worlds: cases behind one another, and what has none along ``world``."""
    first, *_ = parts
    along = {"case": [], "world": [], None: []}
    for name in first.variables:
        along[next((dim for dim in ("case", "world") if dim in first[name].dims), None)].append(name)
    joined = [
        xr.concat([part[names].drop_vars(along[None], errors="ignore") for part in parts], dim, coords="minimal")
        for dim, names in along.items()
        if dim and names
    ]
    hashes = [part.attrs["config_hash"] for part in parts]
    attrs = datasets.attributes(hashes, **{key: first.attrs[key] for key in ("purpose", "order")})
    return xr.merge([first[along[None]], *joined], combine_attrs="drop").assign_attrs(attrs)
