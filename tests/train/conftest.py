"""A small data set and a small model with every kind of thing in it, shared so that their programs compile once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dlcore import Layer, layers
from dlcore.data import Dataset


@pytest.fixture(scope="session")
def data() -> Dataset:
    """Three clouds of points: 40 to train on, 13 and 11 (no multiples of a batch) to validate and test on."""
    random = np.random.default_rng(0)
    y = np.arange(64) % 3
    x = (random.normal(size=(64, 4)) + 2 * np.eye(3, 4)[y]).astype(np.float32)
    parts = {"train": slice(0, 40), "validation": slice(40, 53), "test": slice(53, 64)}
    splits: dict[str, Any] = {name: {"x": x[rows], "y": y[rows]} for name, rows in parts.items()}
    return Dataset("clouds", **splits, task="classification", classes=("a", "b", "c"))


@pytest.fixture(scope="session")
def model() -> Layer:
    """An MLP with batch norm, which has state, and dropout, which draws."""
    return layers.serial(
        hidden=layers.dense(6, use_bias=False),  # batch norm takes a bias out again: its gradient would be noise
        norm=layers.batch_norm(),
        relu=layers.relu(),
        dropout=layers.dropout(0.2),
        out=layers.dense(3),
    )
