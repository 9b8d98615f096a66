from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.compose import Call, compose
from dlcore.core import layer
from dlcore.initializers import normal
from dlcore.layers import bidirectional, dense, dropout, gru_cell, lstm_cell, recurrent, rnn_cell, stacked
from dlcore.ops import length_mask

KEY = jax.random.key(0)
X = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 4)), jnp.float32)
CELL = rnn_cell(3, bias_init=normal(0.5))
LENGTHS = np.array([3, 5])
MASK = jnp.arange(5) < LENGTHS[:, None]


def initialised(model: Any, *xs: Any) -> Any:
    return model.init(KEY, *xs)[0]


PARAMS = initialised(recurrent(CELL), X)


def close(found: Any, expected: Any) -> None:
    # Five steps of sums of seven products, in another order.
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def torch_rnn(*params: Any) -> Any:
    torch = pytest.importorskip("torch")
    oracle = torch.nn.RNN(4, 3, batch_first=True, bidirectional=len(params) == 2)
    with torch.no_grad():
        for own, end in zip(params, ("", "_reverse"), strict=False):
            getattr(oracle, "weight_ih_l0" + end).copy_(torch.tensor(np.array(own["kernel"].T)))
            getattr(oracle, "weight_hh_l0" + end).copy_(torch.tensor(np.array(own["recurrent_kernel"].T)))
            getattr(oracle, "bias_ih_l0" + end).copy_(torch.tensor(np.array(own["bias"])))
            getattr(oracle, "bias_hh_l0" + end).zero_()
    return lambda *xs: [y.detach().numpy() for y in oracle(*(torch.tensor(np.array(x)) for x in xs))]


def by_loop(params: Any, x: Any, h: Any = 0.0) -> np.ndarray:
    """Elman's formula in numpy, step by step."""
    outputs, h = [], np.zeros((x.shape[0], 3)) + h
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ params["kernel"] + h @ params["recurrent_kernel"] + params["bias"])
        outputs.append(h)
    return np.stack(outputs, 1)


# --- values -------------------------------------------------------------------------------------------------------


def test_recurrent_equals_a_loop_over_time():
    close(recurrent(CELL).apply(PARAMS, {}, X)[0], by_loop(PARAMS, X))


def test_recurrent_agrees_with_torch_from_zeros_and_from_a_carry():
    oracle = torch_rnn(PARAMS)
    close(recurrent(CELL).apply(PARAMS, {}, X)[0], oracle(X)[0])
    carry = jnp.asarray(np.random.default_rng(1).normal(size=(2, 3)), jnp.float32)
    (last, y), _ = recurrent(CELL, return_carry=True).apply(PARAMS, {}, X, None, carry)
    expected, expected_last = oracle(X, carry[None])
    close(y, expected)
    close(last, expected_last[0])


def test_gradients_through_time_agree_with_torch():
    torch = pytest.importorskip("torch")
    oracle = torch.nn.RNN(4, 3, batch_first=True)
    names = {"weight_ih_l0": "kernel", "weight_hh_l0": "recurrent_kernel", "bias_ih_l0": "bias"}
    oracle.load_state_dict(
        {theirs: torch.tensor(np.array(PARAMS[ours].T)) for theirs, ours in names.items()}
        | {"bias_hh_l0": torch.zeros(3)}
    )
    (oracle(torch.tensor(np.array(X)))[0] ** 2).sum().backward()
    gradients = jax.grad(lambda params: (recurrent(CELL).apply(params, {}, X)[0] ** 2).sum())(PARAMS)
    for theirs, ours in names.items():
        np.testing.assert_allclose(gradients[ours].T, getattr(oracle, theirs).grad.numpy(), rtol=1e-4, atol=1e-5)


def test_reverse_runs_from_the_end_and_keeps_the_order():
    y, _ = recurrent(CELL, reverse=True).apply(PARAMS, {}, X)
    close(y, by_loop(PARAMS, X[:, ::-1])[:, ::-1])


def test_bidirectional_agrees_with_torch():
    model = bidirectional(CELL)
    params = initialised(model, X)
    assert not np.array_equal(params["forward"]["kernel"], params["backward"]["kernel"])
    close(model.apply(params, {}, X)[0], torch_rnn(params["forward"], params["backward"])(X)[0])


def test_bidirectional_takes_another_cell_for_the_way_back():
    model = bidirectional(CELL, rnn_cell(2))
    assert model.apply(initialised(model, X), {}, X)[0].shape == (2, 5, 5)


def test_a_carry_handed_over_continues_the_sequence():
    model = recurrent(CELL, return_carry=True)
    (carry, first), _ = model.apply(PARAMS, {}, X[:, :2])
    (last, second), _ = model.apply(PARAMS, {}, X[:, 2:], None, carry)
    whole_last, whole = model.apply(PARAMS, {}, X)[0]
    close(np.concatenate([first, second], 1), whole)
    close(last, whole_last)


def test_a_cell_starts_from_zeros_without_a_carry():
    (carry, y), _ = CELL.apply(PARAMS, {}, None, X[:, 0])
    (same, _), _ = CELL.apply(PARAMS, {}, jnp.zeros((2, 3)), X[:, 0])
    np.testing.assert_array_equal(carry, y)
    np.testing.assert_array_equal(carry, same)


# --- masks and lengths --------------------------------------------------------------------------------------------


def by_composition(features: int = 3) -> Any:
    """Elman's cell with its bias in a layer of its own, which `recurrent` runs step by step."""

    def forward(call: Call, carry: Any, x: Any) -> Any:
        h = jnp.zeros((*x.shape[:-1], features), x.dtype) if carry is None else carry
        h = jnp.tanh(call.x(x) + call.h(h))
        return h, h

    return compose(forward, x=dense(features, use_bias=False), h=dense(features, bias_init=normal(0.5)))


@pytest.mark.few(2)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("garbage", [1e6, np.nan])
def test_a_padded_sequence_gives_what_the_unpadded_one_gives(reverse: bool, garbage: float):
    # Step by step to the bit; the product of all inputs at once may take its sums in another order.
    for cell, equal in ((CELL, close), (by_composition(), np.testing.assert_array_equal)):
        model = recurrent(cell, reverse=reverse, return_carry=True)
        params = initialised(model, X)
        carry, y = model.apply(params, {}, jnp.where(MASK[..., None], X, garbage), MASK)[0]
        for row, length in enumerate(LENGTHS):
            # Both rows, because the matrix product of one row alone may take its sums in another order.
            own_carry, own = model.apply(params, {}, X[:, :length])[0]
            equal(y[row, :length], own[row])
            equal(carry[row], own_carry[row])
            np.testing.assert_array_equal(y[row, length:], 0.0)


@pytest.mark.slow
def test_what_is_in_the_padding_does_not_reach_the_gradients():
    for cell in (by_composition(), stacked(lstm_cell(3), gru_cell(3, reset_after=False))):
        model = recurrent(cell)
        params = initialised(model, X)

        @jax.jit
        def gradient(x: Any, model: Any = model, params: Any = params) -> Any:
            return jax.grad(lambda *args: (model.apply(args[0], {}, args[1], MASK)[0] ** 2).sum(), (0, 1))(params, x)

        found, expected = (gradient(jnp.where(MASK[..., None], X, garbage)) for garbage in (np.nan, 0.0))
        jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_bidirectional_hands_the_mask_to_both_ways():
    model = bidirectional(CELL)
    params = initialised(model, X, MASK)
    y, _ = model.apply(params, {}, jnp.where(MASK[..., None], X, 1e6), MASK)
    close(y[0, :3], model.apply(params, {}, X[:, :3])[0][0])


@pytest.mark.few(1)
@pytest.mark.parametrize("cell", [by_composition(), stacked(lstm_cell(3), gru_cell(3))], ids=["scanned", "stacked"])
def test_a_sequence_of_padding_alone_keeps_its_carry_and_gives_zeros(cell: Any):
    model = bidirectional(cell, return_carry=True)
    params = initialised(model, X)
    carry = jax.tree.map(lambda leaf: jnp.ones(leaf.shape), model.plan(X).output[0])
    mask, apply = length_mask(jnp.array([0, 1]), 5), jax.jit(model.apply)
    after, y = apply(params, {}, X, mask, carry)[0]
    jax.tree.map(lambda leaf: np.testing.assert_array_equal(leaf[0], 1.0), after)
    assert all(np.all(leaf[1] != 1.0) for leaf in jax.tree.leaves(after))
    np.testing.assert_array_equal(y[0], 0.0)
    np.testing.assert_array_equal(y[1, 1:], 0.0)
    after_one, y_one = apply(params, {}, X[:, :1], None, carry)[0]
    close(y[1, 0], y_one[1, 0])
    jax.tree.map(lambda one, leaf: close(leaf[1], one[1]), after_one, after)


# --- the last output ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_the_last_output_is_that_of_the_last_valid_step_that_is_run(reverse: bool, masked: bool):
    mask = length_mask(LENGTHS, 5) if masked else None
    y = recurrent(CELL, reverse=reverse).apply(PARAMS, {}, X, mask)[0]
    model = recurrent(CELL, reverse=reverse, return_sequences=False, return_carry=True)
    carry, last = model.apply(PARAMS, {}, X, mask)[0]
    ends = [0, 0] if reverse else (LENGTHS - 1 if masked else [4, 4])
    np.testing.assert_array_equal(last, y[np.arange(2), np.asarray(ends)])
    np.testing.assert_array_equal(last, carry)
    assert model.plan(X, mask).output[1].shape == last.shape


def test_the_last_outputs_of_both_ways_are_those_at_both_ends():
    params = initialised(bidirectional(CELL), X)
    y = bidirectional(CELL).apply(params, {}, X, MASK)[0]
    last = bidirectional(CELL, return_sequences=False).apply(params, {}, X, MASK)[0]
    np.testing.assert_array_equal(last[:, :3], y[np.arange(2), LENGTHS - 1, :3])
    np.testing.assert_array_equal(last[:, 3:], y[:, 0, 3:])


def test_masks_may_have_holes_and_padding_on_the_left():
    mask = jnp.array([[False, True, False, True, False], [False] * 5])
    y = recurrent(CELL, return_sequences=False).apply(PARAMS, {}, X, mask)[0]
    close(y[0], by_loop(PARAMS, X[:, [1, 3]])[0, -1])
    np.testing.assert_array_equal(y[1], 0.0)


def test_the_last_output_of_no_steps_is_zero():
    np.testing.assert_array_equal(
        recurrent(CELL, return_sequences=False).apply(PARAMS, {}, X[:, :0])[0], jnp.zeros((2, 3))
    )


def test_a_mask_of_zeros_and_ones_will_do():
    model = recurrent(CELL)
    as_bool, as_int = (model.apply(PARAMS, {}, X, mask)[0] for mask in (MASK, MASK.astype(int)))
    np.testing.assert_array_equal(as_bool, as_int)


def test_what_is_masked_has_no_gradient():
    gradient = jax.grad(lambda x: recurrent(CELL).apply(PARAMS, {}, x, MASK)[0].sum())(X)
    np.testing.assert_array_equal(gradient[0, 3:], 0.0)
    assert np.all(np.any(gradient[0, :3] != 0, axis=-1))


@pytest.mark.parametrize("steps", [0, 1])
def test_a_sequence_of_one_step_or_none_is_fine(steps: int):
    carry, y = recurrent(CELL, return_carry=True).apply(PARAMS, {}, X[:, :steps])[0]
    assert y.shape == (2, steps, 3) and carry.shape == (2, 3)
    close(y[:, -1:], by_loop(PARAMS, X[:, :1])[:, :steps])
    if not steps:
        np.testing.assert_array_equal(carry, 0.0)


# --- keys, state, other carries -----------------------------------------------------------------------------------


@layer
def counting_cell() -> Any:
    """Counts its steps in its state, and carries a pair."""

    def init(key: Any, carry: Any, x: Any) -> tuple[dict, dict]:
        return {}, {"steps": jnp.zeros((), jnp.int32)}

    def apply(params: Any, state: Any, carry: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        total, most = (jnp.zeros_like(x), jnp.zeros_like(x)) if carry is None else carry
        carry = (total + x, jnp.maximum(most, x))
        return (carry, carry[0]), {"steps": state["steps"] + 1}

    return init, apply


def test_a_carry_may_be_a_tree_and_a_cell_may_have_state():
    model = recurrent(counting_cell(), return_carry=True)
    ((total, most), y), state = model.apply(*model.init(KEY, X), X)
    close(total, X.sum(1))
    close(most, np.maximum(X, 0).max(1))
    close(y, np.cumsum(X, 1))
    assert int(state["steps"]) == 5


def test_every_step_draws_anew_and_alike_for_alike_keys():
    def forward(call: Call, carry: Any, x: Any) -> Any:
        y = call.drop(x)
        return y, y

    model = recurrent(compose(forward, drop=dropout(0.5)))
    ones = jnp.ones((1, 8, 30))
    y, again = (model.apply({}, {}, ones, key=KEY, train=True)[0] for _ in range(2))
    assert len(np.unique(y[0], axis=0)) == 8
    np.testing.assert_array_equal(y, again)


def test_a_cell_composed_of_layers_recurs():
    def forward(call: Call, carry: Any, x: Any) -> Any:
        h = jnp.zeros((*x.shape[:-1], 3)) if carry is None else carry
        h = jnp.tanh(call.mix(jnp.concatenate([x, h], -1)))
        return h, call.out(h)

    model = recurrent(compose(forward, mix=dense(3), out=dense(2)))
    params = initialised(model, X)
    kernel = params["mix"]["kernel"]
    inner = {"kernel": kernel[:4], "recurrent_kernel": kernel[4:], "bias": params["mix"]["bias"]}
    expected = by_loop(inner, X) @ params["out"]["kernel"] + params["out"]["bias"]
    close(model.apply(params, {}, X)[0], expected)


# --- bad input ----------------------------------------------------------------------------------------------------


def test_an_input_without_time_is_refused():
    with pytest.raises(ValueError, match=r"recurrent: expected x \(B, T, ...\), found \(5,\)"):
        recurrent(CELL).init(KEY, jnp.ones(5))


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"recurrent: expected a mask \(B, T\) = \(2, 5\), found \(2, 4\)"):
        recurrent(CELL).apply(PARAMS, {}, X, MASK[:, :4])


def test_integers_and_other_widths_are_refused():
    with pytest.raises(TypeError, match="rnn_cell computes in its input's floating type"):
        recurrent(CELL).init(KEY, X.astype(int))
    with pytest.raises(ValueError, match="expected params .*found"):
        recurrent(CELL).apply(PARAMS, {}, X[..., :3])


@pytest.mark.parametrize("features", [0, -2])
def test_a_size_that_is_not_positive_is_refused(features: int):
    with pytest.raises(ValueError, match="features: expected a positive whole number"):
        rnn_cell(features)


def test_one_sequence_without_a_batch_is_refused():
    with pytest.raises(ValueError, match=r"expected x \(B, T, inputs\), found \(5, 4\): one sequence is x\[None\]"):
        recurrent(CELL).apply(PARAMS, {}, X[0])


def test_a_carry_with_an_axis_of_layers_is_refused():
    with pytest.raises(ValueError, match=r"rnn_cell: expected a carry \(2, 3\).*found \(1, 2, 3\)"):
        recurrent(CELL).apply(PARAMS, {}, X, None, jnp.zeros((1, 2, 3)))
    with pytest.raises(ValueError, match="bidirectional: expected a pair of carries"):
        bidirectional(CELL).init(KEY, X, None, jnp.zeros((2, 3)))
