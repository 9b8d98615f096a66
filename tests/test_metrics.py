"""Metrics are unreduced and count nothing as right that is not a number."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from dlcore import losses, metrics
from dlcore.metrics import accuracy

RANDOM = np.random.default_rng(1)
LOGITS = RANDOM.normal(size=(50, 4)).astype(np.float32)
LABELS = RANDOM.integers(0, 4, 50)


def test_the_mean_accuracy_agrees_with_scikit_learn():
    np.testing.assert_allclose(accuracy(LOGITS, LABELS).mean(), accuracy_score(LABELS, LOGITS.argmax(-1)), rtol=1e-6)


def test_accuracy_takes_probabilities_and_sequences():
    np.testing.assert_array_equal(accuracy(LOGITS, np.eye(4, dtype=np.float32)[LABELS]), accuracy(LOGITS, LABELS))
    by_position = accuracy(LOGITS.reshape(5, 10, 4), LABELS.reshape(5, 10))
    np.testing.assert_array_equal(by_position.reshape(-1), accuracy(LOGITS, LABELS))


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["eager", "compiled"])
def test_a_prediction_that_holds_a_nan_is_wrong(wrap):
    logits = jnp.array([[jnp.nan, 0.0], [1.0, jnp.nan], [1.0, 0.0], [jnp.nan, jnp.nan]])
    np.testing.assert_array_equal(wrap(accuracy)(logits, jnp.zeros(4, int)), [0.0, 0.0, 1.0, 0.0])


def test_accuracy_is_float32_and_refuses_other_shapes():
    assert accuracy(LOGITS.astype(jnp.bfloat16), LABELS).dtype == jnp.float32
    with pytest.raises(ValueError, match=r"expected labels \(50,\)"):
        accuracy(LOGITS, LABELS[:, None])


def test_the_regression_metrics_are_the_losses():
    assert metrics.mse is losses.mse and metrics.mae is losses.mae
