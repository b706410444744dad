"""How often each verdict comes out when cases, seeds or weights are others."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pandas as pd

from chainofsteps.statistics.claims import ANSWER, ESTIMANDS, SCORES, asked_of, restricted


def repeated_claims(entries: Sequence[dict], experiments: Collection[str]) -> list[dict]:
    """Entries that are judged on every block: those that features suffice for, and the control of score and reader.

    Parameters
    ----------
    entries : sequence of dict
        The ``claims`` list of ``config/claims.yaml``.
    experiments : collection of str
        What is sampled of a block.
    """
    scores = [entry["id"] for entry in entries if "estimand" in entry and ESTIMANDS[entry["estimand"]].kind == SCORES]
    return restricted(entries, [*(entry["id"] for entry in asked_of(entries, experiments)), *scores])


def tally(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Counts of verdicts over the blocks of each model.

    Parameters
    ----------
    verdicts : DataFrame
        Tables of :func:`chainofsteps.statistics.verdicts.judge` behind one another, with ``block``.

    Returns
    -------
    DataFrame
        ``model_id``, ``id``, ``family``, ``role``; ``verdict`` (of rows that place a family, the answer); ``count`` of
        ``runs``, which are the model's blocks; ``lowest`` and ``highest`` estimate of these runs.
    """
    words = verdicts["verdict"].mask(verdicts["id"] == ANSWER, verdicts["reading"])
    grouped = verdicts.assign(verdict=words).groupby(["model_id", "id", "family"], sort=False)
    rows = [
        {
            "model_id": model,
            "id": entry,
            "family": family,
            "role": group["role"].iloc[0],
            "verdict": word,
            "count": len(part),
            "runs": len(group),
            "lowest": part["estimate"].min(),
            "highest": part["estimate"].max(),
        }
        for (model, entry, family), group in grouped
        for word, part in sorted(group.groupby("verdict"), key=lambda named: -len(named[1]))
    ]
    return pd.DataFrame(rows)
