"""Minibatches: a partition, fixed by (seed, epoch), shuffled evenly."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

import steepest as st
from steepest import _cpu


@given(some.integers(0, 200), some.integers(1, 70), some.integers(0, 2**80), some.booleans())
def test_is_a_partition(n, m, seed, drop_last):
    epoch = st.minibatches(n, m, seed=seed, drop_last=drop_last)
    parts = list(epoch)
    assert len(parts) == len(epoch) == (n // m if drop_last else -(-n // m))
    assert all(len(part) == m for part in parts[: n // m])
    assert all(part.dtype == np.int64 for part in parts)
    seen = sorted(itertools.chain(*parts))
    if not drop_last:
        assert seen == list(range(n))
    assert len(set(seen)) == len(seen) == sum(map(len, parts))


def test_is_the_same_everywhere():
    """Pinned: NumPy promises Philox's words and SeedSequence's hash on all machines."""
    assert np.concatenate(list(st.minibatches(10, 4, seed=7))).tolist() == PINNED[7, 0]
    assert np.concatenate(list(st.minibatches(10, 4, seed=7, epoch=3))).tolist() == PINNED[7, 3]
    wide = 2**70 + 1
    assert np.concatenate(list(st.minibatches(10, 4, seed=wide))).tolist() == PINNED[wide, 0]


PINNED = {
    (7, 0): [8, 1, 4, 2, 0, 9, 3, 6, 5, 7],
    (7, 3): [5, 3, 8, 6, 1, 4, 9, 7, 0, 2],
    (2**70 + 1, 0): [8, 0, 2, 7, 4, 3, 1, 5, 9, 6],
}


def durstenfeld(words):
    """The shuffle in Python's whole numbers."""
    order = []
    for i, word in enumerate(words):
        order.append(i)
        j = word * (i + 1) // 2**64
        order[i], order[j] = order[j], i
    return order


@given(some.lists(some.integers(0, 2**64 - 1) | some.sampled_from([0, 2**64 - 1]), max_size=60))
def test_order_is_that_of_durstenfelds_shuffle(words):
    """The ends of a word's range choose the first and the last place."""
    assert _cpu.shuffled(np.array(words, np.uint64)).tolist() == durstenfeld(words)


@pytest.mark.parametrize("less", [0, 1])
def test_a_word_chooses_to_its_last_bit(less):
    words = [-((i + 1) // 2 * 2**64 // -(i + 1)) - less for i in range(1, 100)]
    words.insert(0, 0)
    assert _cpu.shuffled(np.array(words, np.uint64)).tolist() == durstenfeld(words)


def test_walks_are_equal_and_share_no_memory():
    epoch = st.minibatches(100, 32, seed=0)
    first, second = list(epoch), list(epoch)
    first[0][:] = -1
    third = list(epoch)
    assert all(np.array_equal(a, b) for a, b in zip(second, third, strict=True))


def test_seeds_and_epochs_differ():
    """Also where seed and epoch, laid one after the other as 32-bit words, would be the same."""
    keys = [(0, 0), (0, 1), (1, 0), (1, 1), (2**32 + 5, 7), (5, 1 + 7 * 2**32), (5, 1)]
    orders = {tuple(np.concatenate(list(st.minibatches(50, 8, seed=s, epoch=e)))) for s, e in keys}
    assert len(orders) == len(keys)


def test_every_place_is_equally_likely():
    """Chi-square over 6,000 epochs; 99.9999 % point for (9 x 9) degrees of freedom is 154."""
    counts = np.zeros((10, 10))
    for epoch in range(6000):
        order = np.concatenate(list(st.minibatches(10, 10, seed=3, epoch=epoch)))
        counts[np.arange(10), order] += 1
    assert ((counts - 600) ** 2 / 600).sum() < 154


def test_is_a_value_with_a_repr():
    epoch = st.minibatches(10, 4, seed=7)
    assert epoch == st.minibatches(10, 4, seed=7) != st.minibatches(10, 4, seed=8)
    assert repr(epoch) == "Minibatches(n=10, batch_size=4, seed=7, epoch=0, drop_last=False)"


@pytest.mark.parametrize(
    "args, kwargs, error, message",
    [
        ((-1, 4), dict(seed=0), ValueError, "n: -1 is not allowed; .* at least 0"),
        ((10.0, 4), dict(seed=0), TypeError, r"n: 10\.0 is a float; expected a whole number"),
        ((2**70, 4), dict(seed=0), ValueError, "n: 1180591620717411303424 is not allowed"),
        ((10, 0), dict(seed=0), ValueError, "batch_size: 0 is not allowed; .* at least 1"),
        ((10, 4), dict(seed=-1), ValueError, "seed: -1 is not allowed"),
        ((10, 4), dict(seed=None), TypeError, "seed: got None"),
        ((10, 4), dict(seed=0, epoch=-1), ValueError, "epoch: -1 is not allowed"),
        ((10, 4), dict(seed=0, drop_last=1), TypeError, "drop_last: 1 is an int; expected True"),
        ((10, 4), dict(), TypeError, "seed"),
    ],
)
def test_bad_arguments(args, kwargs, error, message):
    with pytest.raises(error, match=message):
        st.minibatches(*args, **kwargs)
