"""What a plan is where nothing symbolic is known: where a video moves, when that is settled, how many ways it shows.

Motion energy and commitment are those of *Video Models Reason Early* (arXiv:2603.30043), taken frame by frame as well;
everything is a function of pixels, at any size.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from scipy import ndimage

from chainofsteps.refusal import Refused

SETTLED = 0.9  # cosine from which a map counts as the last one
STANDS_OUT = 0.15  # share of the full range by which a pixel differs from the background, in its most different channel
LEAST_AREA = 0.002  # share of the picture that a candidate covers
_DUST = 1e-12


def change_map(video: np.ndarray, rows: int, cols: int) -> np.ndarray:
    """How much each cell of each frame differs from the first frame.

    Parameters
    ----------
    video : ndarray of uint8, (..., frame, y, x, channel)
    rows, cols : int
        Of the grid of cells; they need not divide the picture.

    Returns
    -------
    ndarray, (..., frame, row, col)
        Mean absolute difference over the cell and its channels, 0 to 1.

    Raises
    ------
    Refused
        More cells than pixels, or none.
    """
    return _cells(_difference(video, video[..., :1, :, :, :]), rows, cols)


def motion_energy(video: np.ndarray, rows: int, cols: int) -> np.ndarray:
    """How much each cell moves: mean absolute difference of neighbouring frames, summed over them; (..., row, col)."""
    return _cells(_difference(video[..., 1:, :, :, :], video[..., :-1, :, :, :]), rows, cols).sum(-3)


def cosine(maps: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Cosine of two maps over their last two axes; 1 where both are empty, 0 where one is."""
    product = (maps * reference).sum((-2, -1))
    norms = np.sqrt((maps**2).sum((-2, -1))), np.sqrt((reference**2).sum((-2, -1)))
    empty = [norm <= _DUST for norm in norms]
    scale = norms[0] * norms[1]
    value = np.divide(product, scale, out=np.zeros(np.broadcast(product, scale).shape), where=scale > _DUST**2)
    return np.where(empty[0] & empty[1], 1.0, np.where(empty[0] | empty[1], 0.0, value))


def commitment(maps: np.ndarray) -> np.ndarray:
    """C(t): cosine of each step's map to the last one's; maps (step, ..., row, col), result (step, ...)."""
    return cosine(maps, maps[-1:])


def commitment_step(curve: np.ndarray, settled: float = SETTLED) -> np.ndarray:
    """First step from which the commitment (step, ...) stays at ``settled`` or above, int (...)."""
    below = np.asarray(curve) < settled
    last = len(below) - 1 - np.argmax(below[::-1], axis=0)
    return np.where(below.any(0), last + 1, 0)


def background_of(video: np.ndarray) -> np.ndarray:
    """What stands still: the median over frames of a video (frame, y, x, channel), and what rests for half of them."""
    return np.median(video, axis=0).astype(np.uint8)


def count_candidates(picture: np.ndarray, background: np.ndarray) -> int:
    """Connected regions of a picture that stand out from the background: how many things, or ghosts of one, it shows.

    Parameters
    ----------
    picture, background : ndarray of uint8, (y, x, channel)
        A frame of a clean estimate, and `background_of` the finished video.
    """
    _, numbers = _candidates(picture, background)
    return len(numbers)


def largest_candidate(picture: np.ndarray, background: np.ndarray) -> np.ndarray | None:
    """Pixels (pixel, 2), as (y, x), of the largest thing that `count_candidates` counts; None where it counts none."""
    labels, numbers = _candidates(picture, background)
    return np.argwhere(labels == numbers[0]) if len(numbers) else None


def _candidates(picture: np.ndarray, background: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels (y, x) of regions that stand out, and the numbers of those that are large enough, the largest first."""
    differs = np.abs(picture.astype(np.int16) - background.astype(np.int16)).max(-1)
    stands_out = differs > STANDS_OUT * 255
    labels, count = ndimage.label(stands_out, structure=np.ones((3, 3)))
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    large = np.flatnonzero(areas >= max(1, LEAST_AREA * stands_out.size))
    return labels, 1 + large[np.argsort(-areas[large], kind="stable")]


def motion_features(
    clean_estimate: np.ndarray,
    ground_truth: np.ndarray,
    rows: int,
    cols: int,
    steps: Sequence[int] | None = None,
    frames: Sequence[int] | None = None,
    finished: np.ndarray | None = None,
) -> xr.Dataset:
    """Features of one stream, by which E1 to E6 and E14 are defined without symbolic truth.

    Parameters
    ----------
    clean_estimate : ndarray of uint8, (step, frame, y, x, channel)
        Decoded clean estimates, the finished video last; frame 0 is given.
    ground_truth : ndarray of uint8, (frame, y, x, channel)
        Of as many pixels; its frames are taken at even distances, where there are more or fewer.
    rows, cols : int
        Of the grid of cells.
    steps : sequence of int, optional
        Numbers of the steps that were decoded, where not all were.
    frames : sequence of int, optional
        Numbers of the video frames that were decoded, where not all were; 0 is the first of them. Motion is then from
        one of them to the next, of the ground truth as well.
    finished : ndarray of uint8, (frame, y, x, channel), optional
        All frames of the finished video, where not all were decoded: what stands still is known from it.

    Returns
    -------
    Dataset
        Over (step, frame): ``commitment`` of the frame's change map to the last step's, ``candidates``; over ``frame``:
        ``commitment_step``, the number of the first step that is here from which the commitment stays; over ``step``:
        ``motion_commitment`` C(t) of the whole video, ``agreement`` of its motion with the ground truth's (the score of
        a plan), 0 to 1.

    Raises
    ------
    Refused
        Pictures of different sizes; as `change_map`.
    """
    if clean_estimate.shape[2:] != ground_truth.shape[1:]:
        given, accepted = clean_estimate.shape[2:], ground_truth.shape[1:]
        raise Refused("motion_features", "ground_truth", f"pictures of {given}", f"pictures of {accepted}")
    finished = clean_estimate[-1] if finished is None else finished
    frames = np.arange(len(finished)) if frames is None else np.asarray(frames)
    numbers = np.arange(len(clean_estimate)) if steps is None else np.asarray(steps)
    # Step by step: in floats, all steps of a large video would fill the memory.
    changes = np.stack([change_map(video, rows, cols) for video in clean_estimate])
    energy = np.stack([motion_energy(video, rows, cols) for video in clean_estimate])
    places = np.linspace(0, len(ground_truth) - 1, len(finished)).round().astype(int)[frames]
    truth = motion_energy(ground_truth[places], rows, cols)
    curve = commitment(changes)
    background = background_of(finished)
    candidates = [[count_candidates(picture, background) for picture in video] for video in clean_estimate]
    return xr.Dataset(
        {
            "commitment": (("step", "frame"), curve),
            "candidates": (("step", "frame"), np.array(candidates, np.int16)),
            "commitment_step": ("frame", numbers[commitment_step(curve)].astype(np.int16)),
            "motion_commitment": ("step", commitment(energy)),
            "agreement": ("step", cosine(energy, truth)),
        },
        coords={"step": numbers, "frame": frames},
    )


def _difference(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Mean absolute difference over channels, 0 to 1."""
    return np.abs(one.astype(np.float32) - other.astype(np.float32)).mean(-1) / 255


def _cells(pictures: np.ndarray, rows: int, cols: int) -> np.ndarray:
    """Means over the cells of a grid; (..., y, x) to (..., row, col)."""
    for name, number, size in (("rows", rows, pictures.shape[-2]), ("cols", cols, pictures.shape[-1])):
        if not 1 <= number <= size:
            raise Refused("motion", name, number, f"1 to {size}")
    for axis, number in ((-2, rows), (-1, cols)):
        edges = np.linspace(0, pictures.shape[axis], number + 1).round().astype(int)
        sums = np.add.reduceat(pictures, edges[:-1], axis=axis)
        shape = [1] * pictures.ndim
        shape[axis] = number
        pictures = sums / np.diff(edges).reshape(shape)
    return pictures
