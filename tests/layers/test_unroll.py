from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.compose import Call, compose
from dlcore.layers import dense, dropout, lstm_cell, recurrent, rnn_cell, stacked, unroll

KEY = jax.random.key(0)
X = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3)), jnp.float32)


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_each_output_is_the_next_input() -> None:
    cell = stacked(lstm_cell(4), rnn_cell(3))
    model = unroll(cell, 4, return_carry=True)
    params = model.init(KEY, X)[0]
    last, found = jax.jit(model.apply)(params, {}, X)[0]
    step, carry, x, expected = jax.jit(cell.apply), None, X, []
    for _ in range(4):
        (carry, x), _ = step(params, {}, carry, x)
        expected.append(x)
    close(found, np.stack(expected, 1))
    jax.tree.map(close, last, carry)


def test_teacher_forcing_on_its_own_outputs_changes_nothing() -> None:
    free, forced = unroll(lstm_cell(3), 5), recurrent(lstm_cell(3))
    params = free.init(KEY, X)[0]
    y = free.apply(params, {}, X)[0]
    close(forced.apply(params, {}, jnp.concatenate([X[:, None], y[:, :-1]], 1))[0], y)


def test_the_first_input_may_be_given_at_every_step() -> None:
    params = recurrent(rnn_cell(2)).init(KEY, X[:, None])[0]
    y = unroll(rnn_cell(2), 4, feedback=lambda y, x: x).apply(params, {}, X)[0]
    close(y, recurrent(rnn_cell(2)).apply(params, {}, jnp.repeat(X[:, None], 4, 1))[0])


def test_symbols_are_fed_back_and_a_carry_starts_it() -> None:
    def counting(call: Call, carry: Any, symbol: Any) -> Any:
        carry = (jnp.zeros(symbol.shape, jnp.int32) if carry is None else carry) + symbol
        return carry, jax.nn.one_hot((symbol + 1) % 5, 5)

    model = unroll(compose(counting), 6, feedback=lambda y, x: y.argmax(-1).astype(x.dtype), return_carry=True)
    total, y = model.apply({}, {}, jnp.array([0, 3]), jnp.array([10, 20]))[0]
    np.testing.assert_array_equal(y.argmax(-1), [[1, 2, 3, 4, 0, 1], [4, 0, 1, 2, 3, 4]])
    np.testing.assert_array_equal(total, [10 + 10, 20 + 13])


def test_every_step_draws_anew_and_alike_for_alike_keys() -> None:
    def forward(call: Call, carry: Any, x: Any) -> Any:
        y = call.drop(x)
        return y, y

    model = unroll(compose(forward, drop=dropout(0.5)), 8, feedback=lambda y, x: x)
    ones = jnp.ones((1, 30))
    y, again = (model.apply({}, {}, ones, key=KEY, train=True)[0] for _ in range(2))
    assert len(np.unique(y[0], axis=0)) == 8
    np.testing.assert_array_equal(y, again)


def test_gradients_flow_through_what_is_fed_back() -> None:
    linear = compose(lambda call, carry, x: (call.f(x), call.f(x)), f=dense(1, use_bias=False))
    loss = lambda w: unroll(linear, 3).apply({"f": {"kernel": w[None, None]}}, {}, jnp.ones((1, 1)))[0].sum()
    close(jax.grad(loss)(jnp.array(2.0)), 1 + 2 * 2 + 3 * 2**2)  # of w + w^2 + w^3


def test_an_output_that_is_no_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unroll: the next input would be .*\(2, 4\).*and the first is .*\(2, 3\)"):
        unroll(rnn_cell(4), 2).init(KEY, X)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="steps: expected a positive whole number"):
        unroll(rnn_cell(3), 0)
    with pytest.raises(TypeError, match="feedback: expected a function"):
        unroll(rnn_cell(3), 2, feedback="x")  # pyright: ignore[reportArgumentType]
