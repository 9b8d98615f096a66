from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore import initializers

KEY = jax.random.key(0)

# Ours, and JAX's own.
PAIRS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "constant": (initializers.constant(0.3), jax.nn.initializers.constant(0.3)),
    "normal": (initializers.normal(0.3), jax.nn.initializers.normal(0.3)),
    "truncated_normal": (initializers.truncated_normal(0.3), jax.nn.initializers.truncated_normal(0.3)),
    "uniform": (initializers.uniform(0.3), jax.nn.initializers.uniform(0.3)),
    "lecun_normal": (initializers.lecun_normal(), jax.nn.initializers.lecun_normal()),
    "lecun_uniform": (initializers.lecun_uniform(), jax.nn.initializers.lecun_uniform()),
    "glorot_normal": (initializers.glorot_normal(), jax.nn.initializers.glorot_normal()),
    "glorot_uniform": (initializers.glorot_uniform(), jax.nn.initializers.glorot_uniform()),
    "he_normal": (initializers.he_normal(), jax.nn.initializers.he_normal()),
    "he_uniform": (initializers.he_uniform(), jax.nn.initializers.he_uniform()),
    "variance_scaling": (
        initializers.variance_scaling(1.5, "fan_out", "uniform"),
        jax.nn.initializers.variance_scaling(1.5, "fan_out", "uniform"),
    ),
    "zeros": (initializers.zeros, jax.nn.initializers.zeros),
    "ones": (initializers.ones, jax.nn.initializers.ones),
}
DRAWING = sorted(set(PAIRS) - {"zeros", "ones", "constant"})


def test_every_initializer_is_compared_with_jaxs():
    others = {"Initializer", "orthogonal", "delta_orthogonal", "identity"}  # held to their definitions below
    assert {*PAIRS} | others == {*initializers.__all__}


@pytest.mark.parametrize(
    ("name", "shape"),
    # Beyond 4096 values another number is drawn before the cut.
    [*((name, (3, 3, 2, 4)) for name in PAIRS), ("he_normal", (70, 70)), ("he_uniform", (70, 70))],
)
def test_bits_are_those_of_jax(name: str, shape: tuple[int, ...]):
    ours, theirs = PAIRS[name]
    np.testing.assert_array_equal(ours(KEY, shape, jnp.float32), theirs(KEY, shape, jnp.float32), strict=True)


@pytest.mark.parametrize("name", PAIRS)
def test_bits_are_those_of_jax_in_bfloat16(name: str):
    ours, theirs = PAIRS[name]
    np.testing.assert_array_equal(ours(KEY, (5, 7), jnp.bfloat16), theirs(KEY, (5, 7), jnp.bfloat16), strict=True)


@pytest.mark.parametrize("name", DRAWING)
def test_bits_are_the_same_eager_compiled_mapped_and_vmapped(name: str):
    init = PAIRS[name][0]
    keys = jax.random.split(KEY, 3)
    draw = lambda key: init(key, (5, 7))
    eager = np.stack([draw(key) for key in keys])
    in_every_way = jax.jit(lambda keys: (draw(keys[0]), jax.vmap(draw)(keys), jax.lax.map(draw, keys)))
    for found, expected in zip(in_every_way(keys), (eager[0], eager, eager), strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(jax.vmap(draw)(keys), eager)


@pytest.mark.parametrize(
    ("name", "variance"),
    [
        ("lecun_normal", 1 / 120),
        ("lecun_uniform", 1 / 120),
        ("he_normal", 2 / 120),
        ("he_uniform", 2 / 120),
        ("glorot_normal", 2 / (120 + 300)),
        ("glorot_uniform", 2 / (120 + 300)),
    ],
)
@pytest.mark.parametrize("shape", [(120, 300), (2, 3, 20, 50)])
def test_variances_are_the_published_ones(name: str, variance: float, shape: tuple[int, ...]):
    values = np.asarray(PAIRS[name][0](KEY, shape), np.float64)
    # Four standard errors: of the mean 4 / sqrt(n), of the variance 4 * sqrt(2 / n); n is 6000 or more.
    assert abs(values.mean()) < 4 * np.sqrt(variance / values.size)
    np.testing.assert_allclose(values.var(), variance, rtol=4 * np.sqrt(2 / values.size))


def test_deviations_and_bounds_are_those_asked_for():
    plain, cut = initializers.normal(0.5)(KEY, (20000,)), initializers.truncated_normal(0.5)(KEY, (20000,))
    flat = initializers.uniform(0.5)(KEY, (20000,))
    np.testing.assert_allclose([plain.std(), cut.std()], [0.5, 0.5 * 0.8796], rtol=0.03)  # six standard errors
    assert abs(cut).max() <= 1.0 < abs(plain).max()
    assert 0 <= flat.min() < 0.001 and 0.499 < flat.max() <= 0.5


def test_a_fan_needs_two_axes():
    with pytest.raises(ValueError, match=r"two or more axes, found shape \(3,\): use `normal` or `zeros`"):
        initializers.he_normal()(KEY, (3,))


@pytest.mark.parametrize("name", PAIRS)
def test_an_array_without_elements_is_fine(name: str):
    assert PAIRS[name][0](KEY, (0, 3)).shape == (0, 3)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (3, 2, 4), (1, 6)])
def test_an_orthogonal_matrix_has_orthonormal_rows_or_columns(shape):
    w = np.asarray(initializers.orthogonal(2.0)(KEY, shape)).reshape(-1, shape[-1])
    square = w @ w.T if w.shape[0] < w.shape[1] else w.T @ w
    np.testing.assert_allclose(square, 4 * np.eye(min(w.shape)), atol=2e-6)


def test_orthogonal_matrices_are_drawn_evenly():
    # Evenly drawn rotations and reflections of the plane have every angle equally often, and a mean of zero.
    draws = jax.vmap(lambda key: initializers.orthogonal()(key, (2, 2)))(jax.random.split(KEY, 4000))
    angles = np.arctan2(draws[:, 1, 0], draws[:, 0, 0])
    stats = pytest.importorskip("scipy.stats")
    assert stats.kstest(angles, stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 1e-3
    signs = np.linalg.det(draws)
    assert abs(np.mean(signs > 0) - 0.5) < 4 * 0.5 / np.sqrt(4000)  # four standard errors


@pytest.mark.parametrize("window", [(3,), (3, 5), (1, 1)])
def test_a_delta_orthogonal_convolution_keeps_lengths(window):
    ops = pytest.importorskip("dlcore.ops")
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, *[7] * len(window), 3)), jnp.float32)
    kernel = initializers.delta_orthogonal()(KEY, (*window, 3, 4))
    y = ops.conv(x, kernel)
    np.testing.assert_allclose(jnp.linalg.norm(y, axis=-1), jnp.linalg.norm(x, axis=-1), rtol=1e-5)


def test_an_identity_kernel_leaves_what_comes_in():
    ops = pytest.importorskip("dlcore.ops")
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 4, 3)), jnp.float32)
    np.testing.assert_array_equal(ops.conv(x, initializers.identity()(None, (3, 3, 3, 3))), x)
    np.testing.assert_array_equal(initializers.identity(0.5)(None, (3, 2)), 0.5 * np.eye(3, 2, dtype=np.float32))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: initializers.orthogonal()(KEY, (3,)),
            "orthogonal: expected a shape of two or more axes",
        ),
        (lambda: initializers.identity()(KEY, (3,)), "identity: expected a shape"),
        (lambda: initializers.delta_orthogonal()(KEY, (2, 3, 4)), "expected odd windows, which have a middle, found 2"),
        (lambda: initializers.delta_orthogonal()(KEY, (3, 4, 3)), "expected no more inputs than outputs, found 4 > 3"),
        (
            lambda: initializers.variance_scaling(1.0, "fan"),
            "mode: expected .*, found .fan.",
        ),
        (lambda: initializers.variance_scaling(1.0, "fan_in", "gamma"), "distribution: expected 'normal' or 'uniform'"),
        (lambda: initializers.variance_scaling(-1.0), "scale: expected a positive number, found -1.0"),
    ],
)
def test_what_cannot_be_drawn_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_traced_scale_gives_what_the_number_gives():
    make = lambda scale: initializers.variance_scaling(scale)(KEY, (20, 10))
    np.testing.assert_allclose(jax.jit(make)(2.0), make(2.0), rtol=1e-6)
    assert jax.jacfwd(make)(2.0).shape == (20, 10)
