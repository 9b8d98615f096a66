from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.layers import adain, adalin, group_norm, instance_norm

RANDOM = np.random.default_rng(0)
X = jnp.asarray(3 + 2 * RANDOM.normal(size=(2, 4, 4, 3)), jnp.float32)
STYLE = jnp.asarray(RANDOM.normal(size=(2, 2, 5, 3)), jnp.float32)
PAIR = tuple(jnp.asarray(RANDOM.normal(size=(2, 3)), jnp.float32) for _ in range(2))
PLAIN = {"use_scale": False, "use_offset": False}


def _adain(x: Any, style: Any) -> Any:
    return jax.jit(adain().apply)({}, {}, x, style)[0]


def _adalin(rho: Any, *pair: Any) -> Any:
    return jax.jit(adalin().apply)({"rho": jnp.full(3, rho)}, {}, X, *pair)[0]


def test_adain_gives_the_content_the_statistics_of_the_style():
    y = _adain(X, STYLE)
    np.testing.assert_allclose(y.mean((1, 2)), STYLE.mean((1, 2)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(y.std((1, 2)), STYLE.std((1, 2)), rtol=1e-4)


def test_adain_to_itself_is_the_identity():
    np.testing.assert_allclose(_adain(X, X), X, rtol=1e-5, atol=1e-5)


def test_features_and_their_statistics_are_the_same_style():
    std = jnp.sqrt(STYLE.var((1, 2)) + 1e-5)
    np.testing.assert_allclose(_adain(X, (STYLE.mean((1, 2)), std)), _adain(X, STYLE), rtol=1e-5, atol=1e-5)


def test_rho_goes_from_layer_to_instance_norm():
    one, zero = jnp.ones((2, 3)), jnp.zeros((2, 3))
    instance, whole = (norm.apply({}, {}, X)[0] for norm in (instance_norm(**PLAIN), group_norm(1, **PLAIN)))
    for rho, expected in ((1.0, instance), (0.0, whole), (0.3, 0.3 * instance + 0.7 * whole)):
        np.testing.assert_allclose(_adalin(rho, one, zero), expected, rtol=1e-5, atol=1e-5)


def test_a_rho_beyond_the_bounds_is_cut_and_can_come_back():
    np.testing.assert_array_equal(_adalin(1.5, *PAIR), _adalin(1.0, *PAIR))
    np.testing.assert_array_equal(_adalin(-0.5, *PAIR), _adalin(0.0, *PAIR))
    slope = jax.jit(jax.grad(lambda rho: (_adalin(rho, *PAIR) ** 2).sum()))
    for beyond, bound in ((1.5, 1.0), (-0.5, 0.0)):
        assert slope(beyond) == slope(bound) != 0


def test_adalin_starts_where_it_is_told():
    assert adalin(0.25).init(jax.random.key(0), X, *PAIR)[0]["rho"].tolist() == [0.25, 0.25, 0.25]
    with pytest.raises(
        ValueError, match=r"initial: expected the share of instance normalisation, in \[0, 1\], found 1.5"
    ):
        adalin(1.5)


@pytest.mark.parametrize(
    ("style", "message"),
    [
        (STYLE[:1], r"adain: expected a style of the batch and channels of x \(2, 4, 4, 3\), found \(1, 2, 5, 3\)"),
        (STYLE[..., :2], r"adain: expected a style of the batch and channels"),
        (STYLE[:, :1, :1], "adain, style needs two or more values .* give adain a .mean, std. as the style"),
        (PAIR[0], r"adain, style works on \(B, \*spatial, channels\)"),
        (PAIR * 2, "a pair .mean, std., found 4 arrays"),
        ((PAIR[0], STYLE), r"expected \(B, channels\) of x \(2, 4, 4, 3\), found \(2, 2, 5, 3\)"),
    ],
)
def test_a_style_that_does_not_fit_is_refused(style: Any, message: str):
    with pytest.raises(ValueError, match=message):
        _adain(X, style)


def test_content_of_one_position_is_refused():
    with pytest.raises(ValueError, match="adain needs two or more values"):
        _adain(X[:, :1, :1], PAIR)
    with pytest.raises(ValueError, match="adalin needs two or more values"):
        adalin().init(jax.random.key(0), X[:, :1, :1], *PAIR)


def test_scale_and_offset_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"adalin, offset: expected \(B, channels\) of x .*, found \(3,\)"):
        _adalin(0.5, PAIR[0], PAIR[1][0])
