"""Losses agree with torch and optax, stay finite, and refuse what would broadcast or wrap around in silence."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dlcore.losses import cross_entropy, mae, mse

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(size=(6, 5)).astype(np.float32) * 3
LABELS = np.array([0, 4, 2, 2, 1, 3])
SOFT = RANDOM.dirichlet(np.ones(5), size=6).astype(np.float32)
FROM_TORCH = 1e-6  # a few units in the last place of float32 for values of order one


def value_and_gradient(loss, predictions, targets):
    return loss(predictions, targets), jax.grad(lambda p: loss(p, targets).sum())(jnp.asarray(predictions))


def torch_value_and_gradient(function, predictions, targets):
    torch = pytest.importorskip("torch")
    leaf = torch.tensor(predictions, requires_grad=True)
    values = function(torch.nn.functional, leaf, torch.tensor(targets))
    values.sum().backward()
    return values.detach().numpy(), leaf.grad.numpy()


def check_against_torch(loss, function, predictions, targets):
    ours = value_and_gradient(loss, predictions, jnp.asarray(targets))
    for mine, theirs in zip(ours, torch_value_and_gradient(function, predictions, targets), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=FROM_TORCH, atol=FROM_TORCH)


def test_mse_agrees_with_torch():
    check_against_torch(mse, lambda f, p, t: f.mse_loss(p, t, reduction="none").mean(-1), LOGITS, SOFT)


def test_mae_agrees_with_torch():
    check_against_torch(mae, lambda f, p, t: f.l1_loss(p, t, reduction="none").mean(-1), LOGITS, SOFT)


def test_cross_entropy_of_labels_agrees_with_torch():
    check_against_torch(cross_entropy, lambda f, p, t: f.cross_entropy(p, t, reduction="none"), LOGITS, LABELS)


def test_cross_entropy_of_probabilities_agrees_with_torch():
    check_against_torch(cross_entropy, lambda f, p, t: f.cross_entropy(p, t, reduction="none"), LOGITS, SOFT)


@pytest.mark.slow
def test_cross_entropy_of_a_sequence_agrees_with_torch():
    logits, labels = LOGITS.reshape(2, 3, 5), LABELS.reshape(2, 3)

    def by_torch(f, p, t):
        return f.cross_entropy(p.flatten(0, 1), t.flatten(), reduction="none").reshape(2, 3)

    check_against_torch(cross_entropy, by_torch, logits, labels)


@pytest.mark.parametrize(
    ("ours", "theirs", "targets"),
    [
        (cross_entropy, optax.losses.softmax_cross_entropy_with_integer_labels, LABELS),
        (cross_entropy, optax.losses.softmax_cross_entropy, SOFT),
        (mse, lambda p, t: 2 * optax.losses.l2_loss(p, t).mean(-1), SOFT),
        (mae, lambda p, t: jnp.abs(p - t).mean(-1), SOFT),
    ],
    ids=["cross_entropy of labels", "cross_entropy of probabilities", "mse", "mae"],
)
def test_losses_agree_with_optax(ours, theirs, targets):
    mine, other = (value_and_gradient(loss, LOGITS, jnp.asarray(targets)) for loss in (ours, theirs))
    np.testing.assert_allclose(mine[0], other[0], rtol=FROM_TORCH, atol=FROM_TORCH)
    np.testing.assert_allclose(mine[1], other[1], rtol=FROM_TORCH, atol=FROM_TORCH)


def test_the_gradient_of_cross_entropy_is_softmax_minus_target():
    gradient = value_and_gradient(cross_entropy, LOGITS, jnp.asarray(LABELS))[1]
    by_hand = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True) - np.eye(5)[LABELS]
    np.testing.assert_allclose(gradient, by_hand, atol=1e-6)  # float32 probabilities


@pytest.mark.parametrize("targets", [np.array([0, 1]), np.array([[1.0, 0.0], [0.25, 0.75]], np.float32)])
@pytest.mark.parametrize("size", [1e4, 1e30])
def test_cross_entropy_is_finite_for_extreme_logits(targets, size):
    logits = jnp.array([[-size, size], [size, -size]])
    value, gradient = value_and_gradient(cross_entropy, logits, jnp.asarray(targets))
    assert np.isfinite(value).all() and np.isfinite(gradient).all()
    np.testing.assert_allclose(value[0], 2 * size, rtol=1e-6)


def test_cross_entropy_of_bfloat16_logits_is_computed_in_float32():
    logits = jnp.asarray(LOGITS, jnp.bfloat16)
    value = cross_entropy(logits, LABELS)
    assert value.dtype == jnp.float32
    np.testing.assert_array_equal(value, cross_entropy(logits.astype(jnp.float32), LABELS))
    assert jax.grad(lambda p: cross_entropy(p, LABELS).sum())(logits).dtype == jnp.bfloat16


@pytest.mark.parametrize("label", [-1, 5, 1000])
def test_a_label_outside_the_classes_is_nan_in_compiled_code_and_an_error_outside(label):
    labels = jnp.asarray(LABELS).at[2].set(label)
    compiled = jax.jit(cross_entropy)(LOGITS, labels)
    np.testing.assert_array_equal(np.isnan(compiled), np.arange(6) == 2)
    with pytest.raises(ValueError, match=rf"labels in \[0, 5\), found .*{label}"):
        cross_entropy(LOGITS, labels)


def test_the_gradient_of_the_other_examples_survives_a_label_outside_the_classes():
    def total(logits, labels):
        return jnp.where(labels < 5, cross_entropy(logits, labels), 0).sum()

    assert np.isfinite(jax.jit(jax.grad(total))(LOGITS, jnp.asarray(LABELS).at[2].set(7))).all()


@pytest.mark.parametrize("labels", [LABELS, jnp.asarray(LABELS)], ids=["numpy", "jax"])
def test_labels_that_compiled_code_closes_over_are_checked_when_it_is_traced(labels):
    np.testing.assert_allclose(
        jax.jit(lambda p: cross_entropy(p, labels))(LOGITS), cross_entropy(LOGITS, labels), rtol=1e-6
    )
    outside = labels + 3
    with pytest.raises(ValueError, match=r"labels in \[0, 5\), found 3 to 7"):
        jax.jit(lambda p: cross_entropy(p, outside))(LOGITS)


def test_float_labels_are_a_type_error():
    with pytest.raises(TypeError, match="labels are integers, found float32"):
        cross_entropy(LOGITS, LABELS.astype(np.float32))


@pytest.mark.parametrize("loss", [mse, mae])
@pytest.mark.parametrize(("predictions", "targets"), [((4,), (4, 1)), ((4, 1), (4,)), ((4, 3), (3,)), ((4, 3), ())])
def test_regression_losses_do_not_broadcast(loss, predictions, targets):
    with pytest.raises(ValueError, match="not broadcast"):
        loss(jnp.zeros(predictions), jnp.zeros(targets))


@pytest.mark.parametrize("targets", [(6, 1), (5,), (6, 4), ()])
def test_cross_entropy_refuses_other_shapes(targets):
    with pytest.raises(ValueError, match=r"expected labels \(6,\)"):
        cross_entropy(LOGITS, jnp.zeros(targets, int))


@pytest.mark.parametrize("loss", [mse, mae])
def test_regression_losses_give_a_value_an_example(loss):
    assert loss(jnp.zeros(7), jnp.zeros(7)).shape == (7,)
    assert loss(jnp.zeros((7, 2)), jnp.zeros((7, 2))).shape == (7,)
    assert loss(jnp.zeros((7, 3, 2)), jnp.zeros((7, 3, 2))).shape == (7, 3)
