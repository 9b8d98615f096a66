from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.layers import group_norm, instance_norm, layer_norm

KEY = jax.random.key(0)
X = jnp.asarray(3 + 2 * np.random.default_rng(0).normal(size=(2, 3, 4, 6)), jnp.float32)
PLAIN = {"use_scale": False, "use_offset": False, "epsilon": 1e-5}


def _apply(norm: Any, x: Any = X) -> Any:
    return jax.jit(norm.apply)({}, {}, x)[0]


def test_one_group_is_layer_norm_over_the_image_and_a_group_a_channel_is_instance_norm():
    image = _apply(layer_norm(axis=(-3, -2, -1), **PLAIN))
    np.testing.assert_allclose(_apply(group_norm(1, **PLAIN)), image, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(_apply(group_norm(6, **PLAIN)), _apply(instance_norm(**PLAIN)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_groups_are_of_neighbouring_channels(groups: int):
    y = np.asarray(_apply(group_norm(groups, **PLAIN))).reshape(2, 12, groups, -1)
    np.testing.assert_allclose(y.mean((1, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(y.std((1, 3)), 1, rtol=1e-4)


@pytest.mark.parametrize("shape", [(2, 6), (2, 5, 6), (2, 2, 2, 2, 6)])
def test_any_number_of_spatial_axes_agrees_with_torch(shape: tuple[int, ...]):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    first = torch.tensor(np.moveaxis(x, -1, 1).copy())
    expected = np.moveaxis(torch.nn.functional.group_norm(first, 2).numpy(), 1, -1)
    np.testing.assert_allclose(_apply(group_norm(2, **PLAIN), x), expected, rtol=1e-4, atol=1e-5)
    if len(shape) > 2:
        expected = np.moveaxis(torch.nn.functional.instance_norm(first).numpy(), 1, -1)
        np.testing.assert_allclose(_apply(instance_norm(**PLAIN), x), expected, rtol=1e-4, atol=1e-5)


def test_scale_and_offset_are_by_channel_and_can_be_left_out():
    for norm in (instance_norm, lambda **keywords: group_norm(2, **keywords)):
        assert {name: leaf.shape for name, leaf in norm().init(KEY, X)[0].items()} == {"scale": (6,), "offset": (6,)}
        assert set(norm(use_scale=False).init(KEY, X)[0]) == {"offset"}
        assert norm(**PLAIN).init(KEY, X) == ({}, {})


def test_evaluation_is_training_and_one_example_is_a_batch():
    for norm in (instance_norm(), group_norm(3)):
        params, state = norm.init(KEY, X)
        trained, evaluated = (
            jax.jit(functools.partial(norm.apply, train=train))(params, state, X[:1])[0] for train in (True, False)
        )
        np.testing.assert_array_equal(trained, evaluated)
        assert jax.eval_shape(norm.apply, params, state, X[:0])[0].shape == (0, 3, 4, 6)


@pytest.mark.parametrize(
    ("norm", "shape"),
    [
        (instance_norm(), (2, 1, 1, 6)),
        (instance_norm(), (2, 0, 6)),
        (group_norm(6), (2, 6)),
        (group_norm(6), (2, 1, 1, 6)),
    ],
)
def test_statistics_of_one_value_are_refused(norm: Any, shape: tuple[int, ...]):
    with pytest.raises(ValueError, match="needs two or more values for each mean and variance, found [01] in x"):
        norm.init(KEY, jnp.ones(shape))
    assert group_norm(2).plan(jnp.ones((2, 1, 1, 6))).output.shape == (2, 1, 1, 6)


def test_instance_norm_needs_spatial_axes():
    with pytest.raises(ValueError, match=r"instance_norm works on \(B, \*spatial, channels\), found x \(2, 6\)"):
        instance_norm().init(KEY, X[:, 0, 0])


@pytest.mark.parametrize("groups", [0, -1, 2.0, True])
def test_groups_are_a_positive_whole_number(groups: Any):
    with pytest.raises(ValueError, match="groups: expected a positive whole number, found"):
        group_norm(groups)


def test_groups_divide_the_channels():
    with pytest.raises(ValueError, match="groups: expected a divisor of the 6 channels of x .*, found 4"):
        group_norm(4).init(KEY, X)
