"""Data sets by name: those that come with scikit-learn, and those that are downloaded once."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from dlcore.data import _bundled, _cifar, _mnist
from dlcore.data._dataset import Dataset
from dlcore.errors import suggest

__all__ = ["files", "load", "names"]

_BUNDLED: dict[str, Callable[..., Dataset]] = {
    "breast_cancer": _bundled.breast_cancer,
    "diabetes": _bundled.diabetes,
    "digits": _bundled.digits,
    "iris": _bundled.iris,
    "wine": _bundled.wine,
}
_FETCHED: dict[str, Callable[..., Dataset]] = {
    "cifar10": _cifar.cifar10,
    "cifar100": _cifar.cifar100,
    "fashion_mnist": _mnist.fashion_mnist,
    "kmnist": _mnist.kmnist,
    "mnist": _mnist.mnist,
}
_KNOWN = _BUNDLED | _FETCHED


def names() -> tuple[str, ...]:
    """Returns the names that `load` takes: the bundled ones, and then those that are downloaded.

    Example:
        >>> names()[:5], names()[5:]
        (('breast_cancer', 'diabetes', 'digits', 'iris', 'wine'),
         ('cifar10', 'cifar100', 'fashion_mnist', 'kmnist', 'mnist'))
    """
    return tuple(_KNOWN)


def files(name: str) -> tuple[str, ...]:
    """Returns the files that a data set lies in, below `data_dir()`; none for what comes with scikit-learn.

    Args:
        name: one of `names()`.

    Example:
        >>> files("cifar10"), files("iris")
        (('cifar10/cifar-10-binary.tar.gz',), ())
    """
    _check(name)
    return tuple(f"{name}/{file}" for file in (_mnist.FILES | _cifar.FILES).get(name, ()))


def load(name: str, *, folder: str | os.PathLike[str] | None = None, **options: Any) -> Dataset:
    """Loads a data set by its name; what is not bundled is downloaded once.

    Args:
        name: one of `names()`.
        folder: where the files are, for a data set that would be downloaded.
        options: what the function of that name takes, such as `key`, `fractions` or `validation`.

    Returns:
        The `Dataset`.

    Raises:
        ValueError: the name is unknown, a bundled set is given a folder, or as the function of that name.
        DataError: files are missing, damaged, or cannot be downloaded.

    Example:
        >>> load("iris", fractions=(0.6, 0.2, 0.2))
        Dataset iris: 90 train / 30 validation / 30 test, x (4,) float32, y 3 classes
    """
    _check(name)
    if folder is None:
        return _KNOWN[name](**options)
    if name in _BUNDLED:
        raise ValueError(f"folder: {name} comes with scikit-learn and has no files; leave it out, found {folder}")
    return _FETCHED[name](folder=folder, **options)


def _check(name: str) -> None:
    if name not in _KNOWN:
        raise ValueError(f"data set: there is none called {name!r}{suggest(str(name), _KNOWN)}")
