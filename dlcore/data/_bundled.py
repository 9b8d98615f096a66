"""Real data that comes with scikit-learn: nothing is downloaded, and equal keys give equal splits."""

from __future__ import annotations

from typing import Any

from dlcore.data._dataset import Dataset, remembered
from dlcore.data._scale import standardize
from dlcore.data._split import split

Fractions = tuple[float, float, float]
_TENTHS: Fractions = (0.8, 0.1, 0.1)


@remembered
def digits(*, key: int = 0, fractions: Fractions = _TENTHS) -> Dataset:
    """Handwritten digits: 1,797 images of 8 by 8 pixels in ten classes.

    Args:
        key: the seed of the split.
        fractions: the parts of train, validation and test.

    Returns:
        A `Dataset`; x (8, 8, 1), ink from 0 to 1 (the counts divided by 16, the most that a pixel can hold), split
        with every class in proportion.

    Raises:
        ValueError: as `split`.

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI (1998).

    Example:
        >>> digits()
        Dataset digits: 1437 train / 180 validation / 180 test, x (8, 8, 1) float32, y 10 classes
    """
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    x = bunch.images[..., None] / 16.0  # (1797, 8, 8, 1)
    rows = split(x, bunch.target, fractions=fractions, key=key)
    return _dataset("digits", [x[r] for r in rows], [bunch.target[r] for r in rows], classes=bunch.target_names)


@remembered
def iris(*, key: int = 0, fractions: Fractions = _TENTHS) -> Dataset:
    """Iris flowers: 150 flowers of three species by four lengths.

    Args:
        key: the seed of the split.
        fractions: the parts of train, validation and test.

    Returns:
        A `Dataset`; x (4,), standardised by the training rows, split with every class in proportion.

    Raises:
        ValueError: as `split`.

    Source: Fisher, The Use of Multiple Measurements in Taxonomic Problems (1936).

    Example:
        >>> iris()
        Dataset iris: 120 train / 15 validation / 15 test, x (4,) float32, y 3 classes
    """
    from sklearn.datasets import load_iris

    return _table("iris", load_iris(), key, fractions)


@remembered
def wine(*, key: int = 0, fractions: Fractions = _TENTHS) -> Dataset:
    """Wines: 178 wines of three growers by thirteen chemical measurements.

    Args:
        key: the seed of the split.
        fractions: the parts of train, validation and test.

    Returns:
        A `Dataset`; x (13,), standardised by the training rows, split with every class in proportion.

    Raises:
        ValueError: as `split`.

    Source: Aeberhard and Forina, Wine, UCI (1991).

    Example:
        >>> wine()
        Dataset wine: 142 train / 18 validation / 18 test, x (13,) float32, y 3 classes
    """
    from sklearn.datasets import load_wine

    return _table("wine", load_wine(), key, fractions)


@remembered
def breast_cancer(*, key: int = 0, fractions: Fractions = _TENTHS) -> Dataset:
    """Breast tumours: 569 cell samples, malignant or benign, by thirty shape measurements.

    Args:
        key: the seed of the split.
        fractions: the parts of train, validation and test.

    Returns:
        A `Dataset`; x (30,), standardised by the training rows, split with every class in proportion.

    Raises:
        ValueError: as `split`.

    Source: Wolberg, Mangasarian and Street, Breast Cancer Wisconsin (Diagnostic), UCI (1995).

    Example:
        >>> breast_cancer()
        Dataset breast_cancer: 455 train / 57 validation / 57 test, x (30,) float32, y 2 classes
    """
    from sklearn.datasets import load_breast_cancer

    return _table("breast_cancer", load_breast_cancer(), key, fractions)


@remembered
def diabetes(*, key: int = 0, fractions: Fractions = _TENTHS, standardize_targets: bool = False) -> Dataset:
    """Diabetes: 442 patients by ten measurements, and how far the disease went in a year.

    Args:
        key: the seed of the split.
        fractions: the parts of train, validation and test.
        standardize_targets: give y mean 0 and variance 1 over the training rows, which is easier to learn; by
            default y is in its own units, 25 to 346.

    Returns:
        A regression `Dataset`; x (10,), standardised by the training rows, y (1,).

    Raises:
        ValueError: as `split`.

    Source: Efron, Hastie, Johnstone and Tibshirani, Least Angle Regression (2004).

    Example:
        >>> diabetes()
        Dataset diabetes: 353 train / 45 validation / 44 test, x (10,) float32, y (1,) float32
    """
    from sklearn.datasets import load_diabetes

    bunch: Any = load_diabetes(scaled=False)
    rows = split(bunch.data, bunch.target, fractions=fractions, key=key, stratify=False)
    targets = tuple(bunch.target[r][:, None] for r in rows)  # (N, 1)
    ys = standardize(*targets) if standardize_targets else targets
    return _dataset("diabetes", standardize(*(bunch.data[r] for r in rows)), ys, feature_names=bunch.feature_names)


def _table(name: str, bunch: Any, key: int, fractions: Fractions) -> Dataset:
    rows = split(bunch.data, bunch.target, fractions=fractions, key=key)
    xs = standardize(*(bunch.data[r] for r in rows))
    ys = [bunch.target[r] for r in rows]
    return _dataset(name, xs, ys, classes=bunch.target_names, feature_names=bunch.feature_names)


def _dataset(name: str, xs: Any, ys: Any, *, classes: Any = (), feature_names: Any = ()) -> Dataset:
    train, validation, test = ({"x": x, "y": y} for x, y in zip(xs, ys, strict=True))
    task = "classification" if len(classes) else "regression"
    return Dataset(name, train, validation, test, task=task, classes=classes, feature_names=feature_names)
