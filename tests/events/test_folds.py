import numpy as np
import pytest
from scipy.stats import chi2_contingency, chisquare

from omniflow.events import folds
from omniflow.events.split import held_out

IDS = np.arange(100_000).astype(np.uint64)


def _splitmix(x):
    """SplitMix64 (Steele et al. 2014) in Python's own integers."""
    mask = 2**64 - 1
    x = (x + 0x9E3779B97F4A7C15) & mask
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
    return x ^ (x >> 31)


@pytest.mark.parametrize("count", [2, 3, 5, 10])
def test_folds_are_those_of_the_hash_of_the_id(count):
    ids = [0, 1, 2, 41, 10**9, 2**63 + 5, 2**64 - 1]
    expected = [1 + count * _splitmix(_splitmix(i)) // 2**64 for i in ids]
    assert folds.fold_of(np.array(ids, np.uint64), count).tolist() == expected


@pytest.mark.parametrize("count", [2, 3, 5, 10])
def test_folds_are_balanced(count):
    found = np.bincount(folds.fold_of(IDS, count), minlength=count + 1)
    assert found[0] == 0
    assert len(found) == count + 1
    assert chisquare(found[1:]).pvalue > 1e-3


def test_folds_do_not_depend_on_order_or_on_other_events():
    shuffled = np.random.default_rng(1).permutation(IDS)
    whole = folds.fold_of(IDS, 5)
    np.testing.assert_array_equal(folds.fold_of(shuffled, 5), whole[shuffled.astype(int)])
    # As ranks would read it, in parts.
    parts = [folds.fold_of(part, 5) for part in np.array_split(IDS, 7)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_folds_are_independent_of_splits():
    table = np.zeros((5, 2))
    for seed in (1, 2**40 + 3, 2**63 - 1):
        np.add.at(table, (folds.fold_of(IDS, 5) - 1, held_out(IDS, seed, 0.2).astype(int)), 1)
        assert chi2_contingency(table).pvalue > 1e-3


def test_a_network_predicts_what_it_may_not_see():
    rng = np.random.default_rng(2)
    select = rng.uniform(size=len(IDS)) < 0.6
    predicted = np.zeros(len(IDS), int)
    for fold in (1, 2, 3):
        seen, own = (f(select, IDS, fold, 3) for f in (folds.without, folds.within))
        np.testing.assert_array_equal(seen.astype(int) + own, select)
        predicted += own
    np.testing.assert_array_equal(predicted, select)
    for function in (folds.without, folds.within):
        np.testing.assert_array_equal(function(select, IDS, 0, 1), select)


def test_merged_logits_are_those_of_the_own_fold():
    ids = IDS[:500]
    logits = np.random.default_rng(3).normal(size=(4, 500))
    fold = folds.fold_of(ids, 4)
    expected = [logits[fold[i] - 1, i] for i in range(500)]
    np.testing.assert_array_equal(folds.merge(logits, ids), expected)
    np.testing.assert_array_equal(folds.merge(logits[:1], ids), logits[0])
