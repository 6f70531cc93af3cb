"""Minibatches: one epoch of shuffled indices, the same on every machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steepest import _cpu, check


@dataclass(frozen=True)
class Minibatches:
    """What `minibatches` returns: it has a length and can be iterated over any number of times."""

    n: int
    batch_size: int
    seed: int
    epoch: int
    drop_last: bool

    def __len__(self) -> int:
        whole, rest = divmod(self.n, self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        # Raw words: NumPy promises them for all versions, but not `permutation`. The epoch is a
        # spawn key, as [seed, epoch] would run together where a seed takes several words.
        source = np.random.SeedSequence(self.seed, spawn_key=(self.epoch,))
        order = _cpu.shuffled(np.random.Philox(source).random_raw(self.n))
        m = self.batch_size
        for start in range(0, len(self) * m, m):
            yield order[start : start + m]


def minibatches(
    n: int, batch_size: int, *, seed: int, epoch: int = 0, drop_last: bool = False
) -> Minibatches:
    """One epoch of minibatches: B₁ … B_⌈n/m⌉, a random partition of the indices 0 … n−1.

    The partition is fixed by (seed, epoch), on every machine and NumPy version: the words of a
    Philox generator through Durstenfeld's shuffle (1964, CACM 7, algorithm 235). Each epoch of a
    seed is shuffled independently of the others. The mean gradient over a batch is an unbiased
    estimate of the mean over all samples (Bottou, Curtis & Nocedal 2018, section 3.4); divide by
    len(batch), since the last batch may be smaller.

    Parameters
    ----------
    n : int
        Number of samples, at least 0.
    batch_size : int
        Samples per batch (m), at least 1; the last batch may have fewer.
    seed, epoch : int
        At least 0.
    drop_last : bool
        Leave out the last batch if it is smaller than the others.

    Returns
    -------
    Minibatches
        Has ``len()``; iterating over it yields int64 index arrays of shape (m,), the same every
        time. The arrays of one iteration are slices of one array that no other iteration shares.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind or outside its range.

    Examples
    --------
    >>> import numpy as np, steepest as st
    >>> x = np.arange(5.0)
    >>> batches = st.minibatches(len(x), 2, seed=1)
    >>> len(batches), [x[batch].tolist() for batch in batches]
    (3, [[0.0, 2.0], [4.0, 3.0], [1.0]])
    """
    return Minibatches(
        check.integer("n", n, at_least=0, at_most=sys.maxsize // 8),  # int64 indices
        check.integer("batch_size", batch_size, at_least=1),
        check.integer("seed", seed, at_least=0),
        check.integer("epoch", epoch, at_least=0),
        check.flag("drop_last", drop_last),
    )
