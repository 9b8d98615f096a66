from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore import initializers
from dlcore.json_form import from_json, to_json

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
    "zeros": (initializers.zeros, jax.nn.initializers.zeros),
    "ones": (initializers.ones, jax.nn.initializers.ones),
}
VARIANTS: Any = [
    ("fan_in", "truncated_normal"),
    ("fan_out", "normal"),
    ("fan_avg", "uniform"),
    ("fan_geo_avg", "normal"),
]
PAIRS |= {
    f"variance_scaling by {mode}, {distribution}": (
        initializers.variance_scaling(1.7, mode, distribution),
        jax.nn.initializers.variance_scaling(1.7, mode, distribution),
    )
    for mode, distribution in VARIANTS
}
DRAWING = sorted(set(PAIRS) - {"zeros", "ones", "constant"})
ALIASES = {
    "kaiming_normal": "he_normal",
    "kaiming_uniform": "he_uniform",
    "xavier_normal": "glorot_normal",
    "xavier_uniform": "glorot_uniform",
}
ELSEWHERE = {"Initializer", "delta_orthogonal", "identity", "orthogonal", "sparse", *ALIASES}


def test_every_initializer_is_compared_with_jaxs_or_has_tests_of_its_own():
    assert {name.split(" ")[0] for name in PAIRS} | ELSEWHERE == set(initializers.__all__)


@pytest.mark.slow  # the bits are those of optimised programs
@pytest.mark.parametrize(
    ("name", "shape"),
    # Beyond 4096 values another number is drawn before the cut.
    [*((name, (3, 3, 2, 4)) for name in PAIRS), ("he_normal", (70, 70)), ("he_uniform", (70, 70))],
)
def test_bits_are_those_of_jax(name: str, shape: tuple[int, ...]):
    ours, theirs = PAIRS[name]
    np.testing.assert_array_equal(ours(KEY, shape, jnp.float32), theirs(KEY, shape, jnp.float32), strict=True)


@pytest.mark.few(4)
@pytest.mark.parametrize("name", PAIRS)
def test_bits_are_those_of_jax_in_bfloat16(name: str):
    ours, theirs = PAIRS[name]
    np.testing.assert_array_equal(ours(KEY, (5, 7), jnp.bfloat16), theirs(KEY, (5, 7), jnp.bfloat16), strict=True)


@pytest.mark.slow  # the bits are those of optimised programs
def test_bits_are_the_same_eager_compiled_mapped_and_vmapped():
    keys = jax.random.split(KEY, 3)
    draw = lambda key: {name: PAIRS[name][0](key, (5, 7)) for name in DRAWING}
    eager = jax.tree.map(lambda *leaves: np.stack(leaves), *[draw(key) for key in keys])
    first = jax.tree.map(lambda leaf: leaf[0], eager)
    in_every_way = jax.jit(lambda keys: (draw(keys[0]), jax.vmap(draw)(keys), jax.lax.map(draw, keys)))
    for found, expected in zip((*in_every_way(keys), jax.vmap(draw)(keys)), (first, eager, eager, eager), strict=True):
        jax.tree.map(np.testing.assert_array_equal, found, expected)


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


@pytest.mark.parametrize("scale", [0, -1.0, float("nan"), float("inf")])
def test_a_scale_that_is_not_positive_is_refused(scale: float):
    with pytest.raises(ValueError, match="scale: expected a positive number"):
        initializers.variance_scaling(scale)


def test_names_that_there_are_not_are_refused_with_a_suggestion():
    with pytest.raises(ValueError, match=r"mode: expected one of 'fan_in', .*, found 'fan_inn'.*'fan_in'"):
        initializers.variance_scaling(1.0, "fan_inn")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"distribution: expected one of 'truncated_normal', .*, found 'gauss'"):
        initializers.variance_scaling(1.0, "fan_in", "gauss")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("distribution", ["truncated_normal", "normal", "uniform"])
def test_a_scale_may_be_traced(distribution: Any):
    draw = lambda scale: initializers.variance_scaling(scale, "fan_in", distribution)(KEY, (5, 7))
    np.testing.assert_allclose(jax.jit(draw)(1.7), draw(1.7), rtol=1e-6)


def test_other_names_are_the_same_initializers():
    for alias, name in ALIASES.items():
        assert getattr(initializers, alias) is getattr(initializers, name)


@pytest.mark.parametrize(
    "made",
    [
        initializers.he_normal(),
        initializers.variance_scaling(2.0, "fan_out"),
        initializers.orthogonal(1.4),
        initializers.delta_orthogonal(),
        initializers.identity(),
        initializers.sparse(0.5),
        initializers.constant(0.5),
    ],
    ids=repr,
)
def test_recipes_come_back_from_json_as_the_same_object(made: Any):
    form = to_json(made)
    assert form["recipe"].count(".") == 2  # the public name, whatever file it lives in
    assert from_json(form) is made


@pytest.mark.parametrize("name", PAIRS)
def test_an_array_without_elements_is_fine(name: str):
    assert PAIRS[name][0](KEY, (0, 3)).shape == (0, 3)
