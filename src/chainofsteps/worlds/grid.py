"""The picture of a world: glyphs in cells, painted to pixels and read back.

Every world is an 8 x 8 grid of cells with a static *scene* and one *mover*. The mover's situation in one frame is a
*state*, an integer ``kind * STATES_PER_KIND + cell``; ``ABSENT`` says that no mover is in the picture. A sequence of
states, one a frame, is a *plan*.

Reading is linear on purpose. A clean estimate is close to E[x0 | x_s], a mixture of pictures, and a mixture of pictures
is the same mixture of states: the least-squares coefficient of a mover's template in a cell is the mass of that state.
What blur does to the scene is fitted beside the templates and thrown away: it is nobody's mass.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

GRID = 8
CELL_PIXELS = 4
SIZE = GRID * CELL_PIXELS
CELLS = GRID * GRID
STATES_PER_KIND = CELLS + 1
ABSENT = CELLS

# Colours of the VBVR generators (black walls, green start, red goal, yellow agent), so that other scorers can be tried.
COLOURS = {
    "white": (255, 255, 255),
    "black": (0, 0, 0),
    "green": (0, 255, 0),
    "red": (255, 0, 0),
    "yellow": (255, 255, 0),
    "blue": (0, 0, 255),
    "grey": (160, 160, 160),
}
_SHAPES = {
    "full": np.ones((CELL_PIXELS, CELL_PIXELS), bool),
    "disc": np.array([[0, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 1], [0, 1, 1, 0]], bool),
    "small": np.array([[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]], bool),
}
GLYPHS = tuple(f"{shape}-{colour}" for shape in _SHAPES for colour in COLOURS)
FLOOR = "full-white"


@dataclass(frozen=True)
class Reading:
    """What was read from video frames; leading axes are those of the frames.

    Attributes
    ----------
    mass : ndarray, (..., kinds, row, col)
        Mass of each state, at most 1 in sum; the rest is the mass of ``ABSENT``.
    plan : ndarray of int16, (...)
        Heaviest state of each frame.
    mover_count : ndarray, (...)
        Movers in the picture: sum of the presence of all cells that hold more than a quarter of a mover.
    scene_error : ndarray, (...)
        Mean absolute deviation from the scene where no mover is read, as a share of the pixel range.
    """

    mass: np.ndarray
    plan: np.ndarray
    mover_count: np.ndarray
    scene_error: np.ndarray

    @property
    def occupancy(self) -> np.ndarray:
        """Mass of the mover in each cell, whatever its kind; (..., row, col)."""
        return self.mass.sum(axis=-3)


def glyph_patch(glyph: str, under: np.ndarray) -> np.ndarray:
    """Paint a glyph over cell pixels ``under`` (..., 4, 4, 3) in [0, 1]."""
    shape, colour = glyph.split("-")
    mask = _SHAPES[shape][..., None]
    return np.where(mask, np.asarray(COLOURS[colour], np.float32) / 255, under)


def paint_scene(scene: np.ndarray) -> np.ndarray:
    """Pixels of each cell of a scene.

    Parameters
    ----------
    scene : ndarray of str, (8, 8)
        Glyph names; a glyph that does not fill its cell stands on the floor.

    Returns
    -------
    ndarray of float32, (64, 4, 4, 3), in [0, 1]
    """
    floor = np.ones((CELL_PIXELS, CELL_PIXELS, 3), np.float32)
    glyphs, of_cell = np.unique(scene, return_inverse=True)  # few, and each is painted once
    return np.stack([glyph_patch(glyph, floor) for glyph in glyphs])[of_cell.ravel()].astype(np.float32)


def cells_of(frames: np.ndarray) -> np.ndarray:
    """Cut frames (..., 32, 32, 3) into cells (..., 64, 4, 4, 3)."""
    lead = frames.shape[:-3]
    cut = frames.reshape(*lead, GRID, CELL_PIXELS, GRID, CELL_PIXELS, 3)
    return np.moveaxis(cut, -3, -4).reshape(*lead, CELLS, CELL_PIXELS, CELL_PIXELS, 3)


def frames_of(cells: np.ndarray) -> np.ndarray:
    """Join cells (..., 64, 4, 4, 3) to frames (..., 32, 32, 3)."""
    lead = cells.shape[:-4]
    grid = cells.reshape(*lead, GRID, GRID, CELL_PIXELS, CELL_PIXELS, 3)
    return np.moveaxis(grid, -3, -4).reshape(*lead, SIZE, SIZE, 3)


def split_state(state: int) -> tuple[int, int]:
    """Kind and cell of a state; the cell is ``ABSENT`` when no mover is there."""
    return divmod(int(state), STATES_PER_KIND)


def join_state(kind: int, cell: int) -> int:
    """State of a mover of ``kind`` in ``cell``; every absent mover is the one state ``ABSENT``."""
    return ABSENT if cell == ABSENT else kind * STATES_PER_KIND + cell


def render(scene: np.ndarray, kinds: tuple[str, ...], plan: np.ndarray) -> np.ndarray:
    """Draw a plan as a video.

    Parameters
    ----------
    scene : ndarray of str, (8, 8)
    kinds : tuple of str
        Glyph of each kind of mover.
    plan : ndarray of int, (frame,)

    Returns
    -------
    ndarray of uint8, (frame, 32, 32, 3)
    """
    still = paint_scene(scene)
    video = np.repeat(still[None], len(plan), axis=0)
    for frame, state in enumerate(plan):
        kind, cell = split_state(state)
        if cell != ABSENT:
            video[frame, cell] = glyph_patch(kinds[kind], still[cell])
    return np.rint(frames_of(video) * 255).astype(np.uint8)


def blur_of(still: np.ndarray) -> np.ndarray:
    """What a little blur adds to a picture, per unit of it.

    Blur by any round kernel is, to first order in its variance, a step of the heat equation: the picture's Laplacian
    times half the variance. So one coefficient stands for blur of any strength, and none has to be chosen.

    Parameters
    ----------
    still : ndarray, (64, 4, 4, 3)

    Returns
    -------
    ndarray, (64, 4, 4, 3)
    """
    picture = frames_of(still)
    wider = np.pad(picture, [(1, 1), (1, 1), (0, 0)], mode="edge")  # nothing flows over the border
    return cells_of(np.diff(wider[:, 1:-1], 2, axis=0) + np.diff(wider[1:-1], 2, axis=1))


def read(scene: np.ndarray, kinds: tuple[str, ...], frames: np.ndarray) -> Reading:
    """Read the mover's state from frames, sharp or blurred.

    The pixels of a cell are taken as scene + sum_k mass_k (template_k - scene) + t blur, where t is one number a frame
    and blur what that does to the scene (:func:`blur_of`); masses and t are the least-squares solution, t is dropped.
    Masses are clipped to be non-negative and, where they exceed one mover in the picture, scaled to sum to 1.

    Parameters
    ----------
    scene : ndarray of str, (8, 8)
    kinds : tuple of str
    frames : ndarray, (..., 32, 32, 3)
        uint8, or float in [0, 1].

    Returns
    -------
    Reading
    """
    frames = frames.astype(np.float32) / 255 if frames.dtype == np.uint8 else np.asarray(frames, np.float32)
    if frames.shape[-3:] != (SIZE, SIZE, 3):
        raise ValueError(f"frames: shape {frames.shape}; accepted (..., {SIZE}, {SIZE}, 3)")
    still = paint_scene(scene)
    templates = np.stack([glyph_patch(kind, still) - still for kind in kinds], axis=1)
    templates = templates.reshape(CELLS, len(kinds), -1)
    residual = (cells_of(frames) - still).reshape(*frames.shape[:-3], CELLS, -1)
    weights = np.linalg.pinv(templates, rcond=1e-3)
    # All cells of a frame share t, so templates go first: t is the coefficient of that part of blur which they leave
    # over, and what they mistake for mass of the rest is subtracted. Otherwise each mark that loses colour to what is
    # round it reads as a little of a mover, and many as a whole one.
    blur = blur_of(still).reshape(CELLS, -1)
    mistaken = np.einsum("cp,cpk->ck", blur, weights)
    own = blur - np.einsum("ck,ckp->cp", mistaken, templates)
    blur_weights = np.linalg.pinv(own.reshape(-1, 1)).reshape(own.shape)  # all 0 for a scene without edges
    t = np.einsum("...cp,cp->...", residual, blur_weights)[..., None, None]
    presence = np.clip(np.einsum("...cp,cpk->...ck", residual, weights) - t * mistaken, 0, 1)
    # A mass counts above three standard errors of pixel noise, estimated from what neither templates nor blur explain,
    # and above a twentieth of a mover (the decoder's own error). The noise is the cell's own where it exceeds the
    # picture's: what is left of blur stands at edges.
    left = residual - t * blur - np.einsum("...ck,ckp->...cp", presence, templates)
    deviation = np.sqrt((left**2).mean(-1))
    noise = np.maximum(deviation, np.median(deviation, axis=-1, keepdims=True))[..., None]
    variance = (weights**2).sum(1) + mistaken**2 * (blur_weights**2).sum()
    floor = np.maximum(0.05, 3 * noise * np.sqrt(variance))
    mass = np.where(presence > floor, presence, 0)
    per_cell = mass.sum(-1)
    mover_count = np.where(per_cell > 0.25, per_cell, 0).sum(-1)
    total = mass.sum((-1, -2))
    mass = mass / np.maximum(total, 1)[..., None, None]
    by_state = np.moveaxis(mass, -1, -2)  # (..., kinds, cells)
    absent = np.clip(1 - total, 0, 1)
    best = by_state.reshape(*by_state.shape[:-2], -1)
    heaviest = best.argmax(-1)
    kind, cell = np.divmod(heaviest, CELLS)
    plan = np.where(best.max(-1) >= absent, kind * STATES_PER_KIND + cell, ABSENT).astype(np.int16)
    unexplained = np.abs(residual).mean(-1)
    empty = per_cell <= 0.25
    scene_error = (unexplained * empty).sum(-1) / np.maximum(empty.sum(-1), 1)
    return Reading(
        mass=by_state.reshape(*by_state.shape[:-1], GRID, GRID).astype(np.float32),
        plan=plan,
        mover_count=mover_count.astype(np.float32),
        scene_error=scene_error.astype(np.float32),
    )
