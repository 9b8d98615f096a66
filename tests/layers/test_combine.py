from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.layers import batch_norm, dense, dropout, parallel, relu, residual, serial

KEY = jax.random.key(0)
X = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4)), jnp.float32)


def run(model: Any, *xs: Any, **keywords: Any) -> tuple[Any, Any]:
    return model.apply(*model.init(KEY, *xs), *xs, **keywords)


# --- serial -------------------------------------------------------------------------------------------------------


def test_serial_is_one_layer_after_another():
    model = serial(dense(5), jnp.tanh, dense(2))
    params, state = model.init(KEY, X)
    expected = np.tanh(X @ params["0"]["kernel"]) @ params["2"]["kernel"]
    np.testing.assert_allclose(model.apply(params, state, X)[0], expected, rtol=1e-5, atol=1e-6)


def test_layers_are_numbered_and_named_in_their_order():
    assert list(serial(dense(3), relu(), dense(3), norm=batch_norm(), head=dense(2)).plan(X).children) == [
        "0",
        "1",
        "2",
        "norm",
        "head",
    ]


def test_the_first_layer_takes_all_inputs():
    y, _ = run(serial(lambda x, y: x * y, dense(3)), X, 2 * X)
    assert y.shape == (3, 3)


def test_serial_of_nothing_is_the_identity():
    y, state = run(serial(), X)
    np.testing.assert_array_equal(y, X)
    assert serial().init(KEY, X) == ({}, {}) and state == {}


def test_a_name_that_is_taken_is_refused():
    with pytest.raises(ValueError, match="name '0' is taken by a layer without a name: rename it"):
        serial(dense(3), **{"0": relu()})
    named: Any = {"1": relu()}
    with pytest.raises(ValueError, match="name '1' is taken"):
        parallel(dense(3), relu(), **named)
    assert list(serial(dense(3), **{"1": relu(), "²": relu()}).plan(X).children) == ["0", "1", "²"]


# --- parallel -----------------------------------------------------------------------------------------------------


def test_parallel_gives_a_tuple_of_outputs():
    (a, b), _ = run(parallel(dense(2), relu()), X)
    assert a.shape == (3, 2)
    np.testing.assert_array_equal(b, np.maximum(X, 0))


def test_parallel_merges_the_outputs():
    model = parallel(lambda x: x, lambda x: 2 * x, merge=lambda a, b: b - a)
    np.testing.assert_array_equal(run(model, X)[0], X)


def test_parallel_branches_draw_apart():
    (a, b), _ = run(parallel(dropout(0.5), dropout(0.5)), jnp.ones(100), key=KEY)
    assert not np.array_equal(a, b)


def test_parallel_threads_every_state():
    _, state = run(parallel(batch_norm(), batch_norm()), X, train=True)
    assert list(state) == ["0", "1"] and np.any(state["0"]["mean"] != 0)


# --- residual -----------------------------------------------------------------------------------------------------


def test_residual_adds_the_input():
    np.testing.assert_array_equal(run(residual(lambda x: 2 * x), X)[0], 3 * X)


def test_residual_adds_the_shortcut():
    model = residual(dense(2), shortcut=dense(2, use_bias=False))
    params, state = model.init(KEY, X)
    expected = X @ params["block"]["kernel"] + X @ params["shortcut"]["kernel"]
    np.testing.assert_allclose(model.apply(params, state, X)[0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("features", [1, 2])
def test_residual_never_broadcasts(features: int):
    with pytest.raises(
        ValueError, match=rf"the block gives \(3, {features}\) and the shortcut \(3, 4\): give a shortcut"
    ):
        residual(dense(features)).init(KEY, X)
