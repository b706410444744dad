"""Energy of tokens: the paper's layer maps (C8), as numbers."""

from __future__ import annotations

import numpy as np

from chainofsteps.refusal import Refused


def token_energy(hidden: np.ndarray) -> np.ndarray:
    """L2 norm over channels; (..., channel) -> (...)."""
    return np.linalg.norm(hidden, axis=-1)


def object_ratio(energy: np.ndarray, on_object: np.ndarray) -> np.ndarray:
    """Mean energy of the tokens of an object over that of all others.

    Parameters
    ----------
    energy : ndarray, (..., token)
    on_object : ndarray of bool, (..., token)
        Leading axes broadcast.

    Returns
    -------
    ndarray, (...)

    Raises
    ------
    Refused
        An object of no token, or of all of them, or a mask of another number of tokens.
    """
    if on_object.shape[-1] != energy.shape[-1]:
        raise Refused("energy", "object", f"a mask of {on_object.shape[-1]} tokens", f"of {energy.shape[-1]}")
    counts = on_object.sum(-1)
    if not ((counts > 0) & (counts < on_object.shape[-1])).all():
        raise Refused("energy", "object", f"{counts.min()} to {counts.max()} tokens", "some, and not all")
    inside = np.where(on_object, energy, 0).sum(-1) / counts
    outside = np.where(on_object, 0, energy).sum(-1) / (on_object.shape[-1] - counts)
    return inside / outside
