"""Which random numbers serve which purpose.

Two walls keep training, pilot and confirmatory cases apart. Seeds: each purpose owns a block of 2**32 integers.
Content: the hash of a case's first frame says which purpose may use it, so that no confirmatory case can have been
trained on even when a world is small enough for two seeds to draw the same picture.
"""

from __future__ import annotations

import hashlib

import numpy as np

PURPOSES = ("training", "pilot", "confirmatory")
BLOCK = 2**32
_HASH_SLOTS = 8  # slots 0 and 1 are held out


def seed_of(purpose: str, index: int) -> int:
    """Case seed number ``index`` of a purpose.

    Raises
    ------
    ValueError
        Unknown purpose, or an index outside [0, 2**32).
    """
    if purpose not in PURPOSES:
        raise ValueError(f"purpose: {purpose!r}; accepted: {', '.join(PURPOSES)}")
    if not 0 <= index < BLOCK:
        raise ValueError(f"index: {index}; accepted: 0 to {BLOCK - 1}")
    return PURPOSES.index(purpose) * BLOCK + index


def purpose_of_seed(seed: int) -> str:
    """Purpose that owns a case seed."""
    block = seed // BLOCK
    if not 0 <= block < len(PURPOSES):
        raise ValueError(f"seed: {seed}; accepted: 0 to {len(PURPOSES) * BLOCK - 1}")
    return PURPOSES[block]


def purpose_of_content(first_frame: np.ndarray) -> str:
    """Purpose that owns a first frame (uint8 pixels), by its hash."""
    slot = hashlib.sha256(np.ascontiguousarray(first_frame, np.uint8).tobytes()).digest()[0] % _HASH_SLOTS
    return {0: "pilot", 1: "confirmatory"}.get(slot, "training")
