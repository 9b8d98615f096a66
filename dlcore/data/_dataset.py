"""`Dataset`: named train, validation and test arrays on the host, checked when it is made."""

from __future__ import annotations

import dataclasses
import functools
import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dlcore.data import _check
from dlcore.errors import suggest
from dlcore.recipe import Value, recipe

_TASKS = ("classification", "regression")
_MOST_CLASSES = 1_000_000  # above every vocabulary in use; integers beyond it are amounts, not labels

# Marks a function that makes a data set, which then knows how to be made again; each call makes one of its own, whose
# arrays the caller may change.
remembered = functools.partial(recipe, wrap=lambda dataset: dataset, interned=False)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Dataset(Value):
    """Train, validation and test examples with their task; arrays are checked on construction.

    Inputs become float32, or int32 where they are integers (token ids). Labels become int32, targets float32.

    Args:
        name: what to call it, for instance `"digits"`.
        train: `{"x": (N, ...), "y": (N,) or (N, ...)}`, NumPy or JAX arrays with one row an example.
        validation: the same for validation, or None.
        test: the same for testing, or None.
        task: `"classification"` (integer labels) or `"regression"` (real targets of shape (N, 1) or (N, ...)).
        classes: the class names in the order of their labels; for classification only.
        feature_names: names along the last axis of x; may be left out.
        flat_targets: accept regression targets of shape (N,), for a model whose output has that shape. Against
            predictions of shape (N, 1) they would broadcast to (N, N), so they are refused otherwise.

    Raises:
        TypeError: x or y holds no real numbers, or labels are floating.
        ValueError: a split is empty or disagrees with the others, x and y differ in length, a number is not finite
            (the message names split and row), or a label is outside `[0, len(classes))`.

    Example:
        >>> x, y = np.eye(4), np.array([0, 1, 1, 0])
        >>> Dataset("gate", {"x": x, "y": y}, None, None, task="classification", classes=("off", "on"))
        Dataset gate: 4 train, x (4,) float32, y 2 classes
    """

    name: str
    train: Mapping[str, Any]
    validation: Mapping[str, Any] | None = None
    test: Mapping[str, Any] | None = None
    _: dataclasses.KW_ONLY
    task: str
    classes: Sequence[str] = ()
    feature_names: Sequence[str] = ()
    flat_targets: bool = False

    def __post_init__(self) -> None:
        if self.task not in _TASKS:
            raise ValueError(f"Dataset task: expected one of {_TASKS}, found {self.task!r}{suggest(self.task, _TASKS)}")
        for field in ("classes", "feature_names"):
            object.__setattr__(self, field, _names(f"Dataset {self.name}, {field}", getattr(self, field)))
        if self.task == "classification" and not self.classes:
            raise ValueError(f"Dataset {self.name}, classes: expected a name for every class, found none")
        if self.task == "regression" and self.classes:
            raise ValueError(
                f"Dataset {self.name}, classes: regression has none, found {len(self.classes)} names; "
                "leave them out, or pass task='classification'"
            )
        if self.train is None:
            raise ValueError(f"Dataset {self.name}, train: expected a dict of 'x' and 'y', found None")
        for split_name in ("train", "validation", "test"):
            given = getattr(self, split_name)
            checked = None if given is None else self._checked(split_name, given)
            object.__setattr__(self, split_name, checked)
        self._check_agreement()

    @property
    def splits(self) -> dict[str, Mapping[str, np.ndarray]]:
        """The splits that are there, by name.

        Example:
            >>> list(as_dataset((np.eye(4), np.arange(4))).splits)
            ['train']
        """
        present = {name: getattr(self, name) for name in ("train", "validation", "test")}
        return {name: arrays for name, arrays in present.items() if arrays is not None}

    def _checked(self, split_name: str, given: Any) -> dict[str, np.ndarray]:
        where = f"Dataset {self.name}, {split_name}"
        if not isinstance(given, Mapping) or set(given) != {"x", "y"}:
            found = f"the keys {sorted(map(str, given))}" if isinstance(given, Mapping) else type(given).__name__
            raise TypeError(f"{where}: expected a dict with the keys 'x' and 'y', found {found}")
        x = _check.features(f"{where} x", given["x"])
        if self.task == "classification":
            y = _check.class_labels(f"{where} y", given["y"], len(self.classes))
        else:
            y = _check.real_targets(f"{where} y", given["y"], flat=self.flat_targets)
        if len(x) != len(y):
            raise ValueError(f"{where}: expected as many rows in x as in y, found {len(x)} in x and {len(y)} in y")
        return {"x": x, "y": y}

    def _check_agreement(self) -> None:
        for split_name, arrays in self.splits.items():
            for part in ("x", "y"):
                expected, found = self.train[part], arrays[part]
                if (expected.shape[1:], expected.dtype) != (found.shape[1:], found.dtype):
                    raise ValueError(
                        f"Dataset {self.name}, {split_name} {part}: expected rows of shape {expected.shape[1:]} "
                        f"{expected.dtype} as in train, found {found.shape[1:]} {found.dtype}"
                    )
        columns = self.train["x"].shape[-1]
        if self.feature_names and len(self.feature_names) != columns:
            raise ValueError(
                f"Dataset {self.name}, feature_names: expected {columns} names for the last axis of x, "
                f"found {len(self.feature_names)}"
            )

    def __repr__(self) -> str:
        sizes = " / ".join(f"{len(arrays['x'])} {name}" for name, arrays in self.splits.items())
        return f"Dataset {self.name}: {sizes}, {self._rows()}"

    def _rows(self) -> str:
        x, y = self.train["x"], self.train["y"]
        shape = f"{y.shape[1:]} " if y.ndim > 1 or self.task == "regression" else ""
        kind = f"{len(self.classes)} classes" if self.task == "classification" else str(y.dtype)
        return f"x {x.shape[1:]} {x.dtype}, y {shape}{kind}"

    def _repr_html_(self) -> str:
        """Shows the split sizes, and the class counts where there are at most twenty, as a table in a notebook."""
        counted = self.classes if len(self.classes) <= 20 else ()
        head = "".join(f"<th>{html.escape(title)}</th>" for title in ("split", "rows", *counted))
        body = ""
        for name, arrays in self.splits.items():
            counts = np.bincount(arrays["y"].ravel(), minlength=len(counted)) if counted else ()
            cells = "".join(f"<td>{value}</td>" for value in (name, len(arrays["x"]), *counts))
            body += f"<tr>{cells}</tr>"
        caption = f"<b>{html.escape(self.name)}</b>: {self.task}, {html.escape(self._rows())}"
        return f"<p>{caption}</p><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _names(where: str, given: Any) -> tuple[str, ...]:
    if isinstance(given, (str, bytes, int)):
        raise TypeError(f"{where}: expected a sequence of names, found {given!r}; pass a tuple such as ('off', 'on')")
    names = tuple(str(name) for name in given)
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{where}: expected different names, found {twice!r} more than once")
    return names


def as_dataset(data: Any) -> Dataset:
    """Returns `data` as a `Dataset`: what training takes, made one thing.

    Args:
        data: a `Dataset`, which is returned as it is, or a pair `(x, y)` of NumPy or JAX arrays, which becomes the
            train split. Integer (or boolean) y means classification with `max(y) + 1` classes; floating y means
            regression, and y keeps its shape.

    Returns:
        The `Dataset`.

    Raises:
        TypeError: `data` is neither.
        ValueError: as `Dataset`.

    Example:
        >>> as_dataset((np.zeros((6, 2)), np.array([0, 1, 2, 0, 1, 2])))
        Dataset arrays: 6 train, x (2,) float32, y 3 classes
    """
    if isinstance(data, Dataset):
        return data
    if not isinstance(data, (tuple, list)):
        raise TypeError(f"data: expected a Dataset or a pair (x, y) of arrays, found {type(data).__name__}")
    is_array = [hasattr(part, "shape") and hasattr(part, "dtype") for part in data]
    if is_array != [True, True]:
        found = ", ".join(type(part).__name__ for part in data[:4]) + (", ..." if len(data) > 4 else "")
        raise TypeError(
            f"data: expected a Dataset or a pair (x, y) of arrays, found a {type(data).__name__} of {len(data)}: "
            f"({found}); wrap lists and frames in np.asarray"
        )
    x, y = data[0], _check.numeric("data y", data[1])
    train = {"x": x, "y": y}
    if _check.is_integer(y) or y.dtype == np.bool_:
        last = int(y.max())
        if last >= _MOST_CLASSES:
            raise ValueError(
                f"data y: integers are class labels, and the largest, {last}, is not a likely one; "
                "pass y.astype('float32') for regression"
            )
        classes = tuple(str(label) for label in range(max(last, 0) + 1))
        return Dataset("arrays", train, task="classification", classes=classes)
    return Dataset("arrays", train, task="regression", flat_targets=True)
