"""Which streams of a batch are still one and the same: they are evaluated once."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from chainofsteps.sampling.interventions import Intervention


@dataclass(frozen=True, eq=False)
class Rows:
    """The different states of one evaluation.

    Attributes
    ----------
    parent : ndarray of int, (row,)
        Row of the evaluation before that each comes from.
    of_stream : ndarray of int, (stream,)
        Row that each stream is in.
    stream : ndarray of int, (row,)
        The first stream of each row, whose interventions are those of all of its streams.
    """

    parent: np.ndarray
    of_stream: np.ndarray
    stream: np.ndarray

    def __len__(self) -> int:
        return len(self.parent)


def share_rows(
    identities: Sequence[Hashable], interventions: Sequence[Sequence[Intervention]], evaluations: int
) -> list[Rows]:
    """Rows of every evaluation: streams part where one of them meets an intervention that the other does not.

    Parameters
    ----------
    identities : sequence of hashable, (stream,)
        What a stream starts from: equal where image, prompt and seed are.
    interventions : sequence of sequence, (stream,)
        Those of each stream. Two streams stay together through an intervention that is one and the same object.
    evaluations : int

    Returns
    -------
    list of Rows
        One an evaluation.
    """
    first: dict[Hashable, int] = {}
    of_stream = np.array([first.setdefault(identity, len(first)) for identity in identities])
    plan = []
    for index in range(evaluations):
        acting = [tuple(id(each) for each in each_streams if index in each.steps) for each_streams in interventions]
        labels: dict[Hashable, int] = {}
        before, of_stream = (
            of_stream,
            np.array([labels.setdefault(label, len(labels)) for label in zip(of_stream, acting, strict=True)]),
        )
        _, stream = np.unique(of_stream, return_index=True)
        plan.append(Rows(before[stream], of_stream, stream))
    return plan


def split_rows(links: Sequence[set[int]], batch: int) -> list[list[int]]:
    """Batches of rows that go through the network together; linked rows are never parted.

    Parameters
    ----------
    links : sequence of set of int, (row,)
        Rows whose evaluation a row needs beside its own.
    batch : int
        Rows in a batch; more where a linked group is larger.

    Returns
    -------
    list of list of int
        Each row once, groups in the order of their first row.
    """
    group = list(range(len(links)))

    def root(row: int) -> int:
        while group[row] != row:
            row = group[row]
        return row

    for row, linked in enumerate(links):
        for other in linked:
            low, high = sorted((root(row), root(other)))
            group[high] = low
    members: dict[int, list[int]] = {}
    for row in range(len(links)):
        members.setdefault(root(row), []).append(row)
    batches: list[list[int]] = []
    for rows in members.values():
        if batches and len(batches[-1]) + len(rows) <= batch:
            batches[-1] += rows
        else:
            batches.append(list(rows))
    return batches
