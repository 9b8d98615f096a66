"""Intervals and paired comparisons, against SciPy."""

import numpy as np
import pytest
from scipy import stats

from dlcore.report import mean_interval, paired_bootstrap


@pytest.mark.parametrize("count", [2, 5, 40])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_an_interval_is_student_s(count, confidence):
    values = np.random.default_rng(count).normal(3, 2, count)
    low, high = stats.t.interval(confidence, count - 1, values.mean(), stats.sem(values))
    found = mean_interval(values, confidence)
    np.testing.assert_allclose(np.array(found), (values.mean(), low, high, count), rtol=1e-12)


def test_an_interval_holds_the_true_mean_as_often_as_it_says():
    rows = np.random.default_rng(0).normal(1.0, 3.0, (2000, 6))
    held = [low <= 1.0 <= high for _, low, high, _ in map(mean_interval, rows)]
    assert abs(np.mean(held) - 0.95) < 3 * np.sqrt(0.95 * 0.05 / 2000)  # three standard errors


def test_what_is_not_finite_is_left_out():
    assert mean_interval([1.0, np.nan, 3.0, np.inf]) == mean_interval([1.0, 3.0])


def test_one_value_says_nothing_of_the_spread_and_none_nothing_at_all():
    one, none = mean_interval([2.0]), mean_interval([])
    assert one.mean == 2.0 and np.isnan(one.low) and np.isnan(one.high)
    assert np.isnan(none.mean) and none.count == 0


def test_the_bootstrap_agrees_with_scipy_s():
    generator = np.random.default_rng(1)
    a = generator.normal(size=30)
    b = a + generator.normal(0.3, 0.5, size=30)
    ours = paired_bootstrap(a, b, resamples=40_000)
    theirs = stats.bootstrap((b - a,), np.mean, n_resamples=40_000, method="percentile", rng=2).confidence_interval
    width = theirs.high - theirs.low
    assert ours.difference == pytest.approx((b - a).mean())
    assert abs(ours.low - theirs.low) < 0.02 * width and abs(ours.high - theirs.high) < 0.02 * width


def test_pairing_takes_out_what_the_pairs_share():
    shared = np.random.default_rng(0).normal(0, 10, 20)
    found = paired_bootstrap(shared, shared + 0.1 + 0.01 * np.arange(20))
    assert found.low > 0.1 and found.high < 0.3 and found.larger == 1


def test_no_difference_is_larger_half_of_the_time():
    assert paired_bootstrap([1.0, 2.0], [1.0, 2.0]).larger == 0.5


def test_pairs_that_are_not_finite_are_left_out_and_counted():
    found = paired_bootstrap([1.0, 2.0, np.nan, 4.0], [2.0, np.inf, 1.0, 6.0])
    assert (found.pairs, found.dropped, found.difference) == (2, 2, 1.5)
    assert "2 pairs, 2 not finite left out" in repr(found)


def test_a_comparison_says_what_it_compares():
    said = repr(paired_bootstrap([1.0, 2.0], [2.0, 3.0], what="test_accuracy", names=("width 32", "width 64")))
    assert said.startswith("test accuracy: width 64 minus width 32: +1, 95% interval +1 to +1; above 0 in 100% of")


def test_the_same_seed_gives_the_same_interval():
    a, b = np.arange(8.0), np.arange(8.0) ** 1.1
    assert paired_bootstrap(a, b, seed=3) == paired_bootstrap(a, b, seed=3)
    assert paired_bootstrap(a, b, seed=3).low != paired_bootstrap(a, b, seed=4).low


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        ([1.0, 2.0], [1.0], r"expected two lists of one length, found shapes \(2,\) and \(1,\)"),
        ([[1.0]], [[1.0]], "expected two lists of one length"),
        ([1.0], [2.0], "expected two or more pairs, found 1; train more seeds"),
        ([np.nan, 1.0], [1.0, 2.0], "expected two or more pairs, found 1"),
    ],
)
def test_what_cannot_be_paired_is_refused(a, b, words):
    with pytest.raises(ValueError, match=words):
        paired_bootstrap(a, b)
