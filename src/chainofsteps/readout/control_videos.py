"""Videos of a case of a bench whose worth is known: its ground truth, and others that do not do what it does."""

from __future__ import annotations

import itertools

import numpy as np

from chainofsteps.readout.motion_energy import background_of, largest_candidate

TRUTH = "ground_truth"
CONTROLS = (TRUTH, "static", "reversed", "jump", "cross_fade", "wall_cut")


def control_videos(truth: np.ndarray) -> dict[str, np.ndarray]:
    """The ground truth, and five that do not go its way, though three of them end as it does.

    In ``cross_fade`` the last frame comes through the first, whatever stands between. In ``wall_cut`` what moves goes
    straight to where it ends, through walls and all (`led_straight`); where nothing does, it is the cross-fade again.
    Where no wall stands in its way it may be right, and a scorer that says so is held to be blind.

    Parameters
    ----------
    truth : ndarray of uint8, (frame, y, x, channel)

    Returns
    -------
    dict
        By `CONTROLS`.
    """
    first, last, count = truth[:1], truth[-1:], len(truth)
    share = np.linspace(0, 1, count, dtype=np.float32)[:, None, None, None]
    faded = ((1 - share) * first + share * last).round().astype(np.uint8)
    straight = led_straight(truth)
    return {
        TRUTH: truth,
        "static": first.repeat(count, 0),
        "reversed": truth[::-1],
        "jump": np.concatenate([first, last.repeat(count - 1, 0)]),
        "cross_fade": faded,
        "wall_cut": faded if straight is None else straight,
    }


def led_straight(truth: np.ndarray) -> np.ndarray | None:
    """What moves, cut out of the first frame and led straight to where the last frame has it, over what stands still.

    Walls are not known of a video; the way around them is: the largest thing that stands out from what rests for half
    of the frames. First and last frame stay as they are.

    Parameters
    ----------
    truth : ndarray of uint8, (frame, y, x, channel)

    Returns
    -------
    ndarray of uint8, (frame, y, x, channel), or None
        None where nothing stands out at the beginning or the end, and where the ground truth itself goes straight: at
        no frame further from the straight way than half of its own extent.
    """
    background = background_of(truth)
    mover = largest_candidate(truth[0], background)
    others = (largest_candidate(frame, background) for frame in truth[1:])
    places = [None if thing is None else thing.mean(0) for thing in itertools.chain([mover], others)]
    start, end = places[0], places[-1]
    if start is None or end is None:
        return None
    way = np.linspace(start, end, len(truth))
    places = [place for place in places if place is not None]
    if max(_distance(place, start, end) for place in places) <= np.ptp(mover, axis=0).max() / 2:
        return None
    straight = background[None].repeat(len(truth), 0)
    pixels = truth[0][tuple(mover.T)]
    for frame, place in zip(straight, way, strict=True):
        moved = mover + (place - start).round().astype(int)
        inside = ((moved >= 0) & (moved < frame.shape[:2])).all(1)
        frame[tuple(moved[inside].T)] = pixels[inside]
    straight[0], straight[-1] = truth[0], truth[-1]
    return straight


def _distance(place: np.ndarray, start: np.ndarray, end: np.ndarray) -> float:
    """Of a place (y, x) from the straight way between two others."""
    along = end - start
    share = np.clip((place - start) @ along / max(along @ along, 1e-12), 0, 1)
    return float(np.linalg.norm(place - start - share * along))
