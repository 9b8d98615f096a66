from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dlcore.compose import derive
from dlcore.core import Layer
from dlcore.layers import batch_norm, cast, dense, dropout, frozen, layer_norm, relu, remat, repeat, residual, serial
from tests.compiles import counting

KEY = jax.random.key(0)
X = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4)), jnp.float32)
BLOCK = residual(serial(dense(4), layer_norm(), dropout(0.5)))


def same_bits(found: Any, expected: Any) -> None:
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def stacked(trees: dict[str, Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees.values()) if trees else {}


def all_of_training(model: Layer) -> Any:
    """Output, state and gradients of a training step."""

    def loss(params: Any, state: Any, x: Any, key: Any) -> Any:
        y, state = model.apply(params, state, x, key=key, train=True)
        return (y**2).sum(), (y, state)

    return jax.value_and_grad(loss, argnums=(0, 2), has_aux=True)


# --- repeat -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compiled", [False, True])
def test_repeat_initialises_to_the_bits_of_serial(compiled: bool):
    wrap = jax.jit if compiled else lambda f: f
    params, state = wrap(repeat(3, BLOCK).init)(KEY, X)
    in_a_row, _ = wrap(serial(BLOCK, BLOCK, BLOCK).init)(KEY, X)
    same_bits(params, stacked(in_a_row))
    assert state == {}


@pytest.mark.parametrize("train", [False, True])
def test_repeat_computes_the_bits_of_serial(train: bool):
    apply = lambda model, params: jax.jit(model.apply, static_argnames="train")(params, {}, X, key=KEY, train=train)[0]
    params, _ = serial(BLOCK, BLOCK, BLOCK).init(KEY, X)
    same_bits(apply(repeat(3, BLOCK), stacked(params)), apply(serial(BLOCK, BLOCK, BLOCK), params))


def test_repeat_threads_a_state_for_each_block():
    block = serial(dense(4), batch_norm())
    row = serial(block, block)
    params, state = row.init(KEY, X)
    _, after = row.apply(params, state, X, train=True)
    _, found = repeat(2, block).apply(stacked(params), stacked(state), X, train=True)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), found, stacked(after))


def test_repeat_hands_further_inputs_to_every_block():
    add = lambda x, y: x + y
    model = repeat(3, serial(add))
    np.testing.assert_array_equal(model.apply(*model.init(KEY, X, X), X, jnp.ones((3, 4)))[0], X + 1.0 + 1.0 + 1.0)


def test_the_program_of_repeat_does_not_grow_with_depth():
    def lines(model: Layer) -> int:
        params, state = model.init(KEY, X)
        program = all_of_training(model)
        return len(str(jax.make_jaxpr(program)(params, state, X, KEY)).splitlines())

    assert lines(repeat(12, BLOCK)) == lines(repeat(3, BLOCK))
    assert lines(serial(*[BLOCK] * 6)) > 1.5 * lines(serial(*[BLOCK] * 3))


def test_initialising_repeat_traces_no_more_for_more_blocks():
    def traces(n: int) -> int:
        block = residual(serial(dense(4), jnp.tanh))
        repeat(n, block).init(KEY, X)  # what is traced once in a process is traced now
        with counting() as compiles:
            jax.make_jaxpr(repeat(n, block).init)(KEY, X)
        return compiles.traces

    assert traces(12) <= traces(3)


def test_repeat_refuses_a_block_that_changes_the_shape():
    with pytest.raises(ValueError, match="repeat: the block takes .* and gives .*: it has to keep the shape"):
        repeat(2, dense(3)).init(KEY, X)


@pytest.mark.parametrize("n", [0, -1])
def test_repeat_refuses_a_number_that_is_not_positive(n: int):
    with pytest.raises(ValueError, match="n: expected a positive whole number, found"):
        repeat(n, dense(4))


# --- remat --------------------------------------------------------------------------------------------------------


@pytest.mark.few(1)
@pytest.mark.parametrize("policy", [None, jax.checkpoint_policies.dots_saveable])
def test_remat_changes_no_value_and_no_gradient(policy: Any):
    block = serial(dense(4), batch_norm(), dropout(0.5))
    plain, wrapped = block, remat(block, policy=policy)
    params, state = plain.init(KEY, X)
    same_bits(wrapped.init(KEY, X), (params, state))
    found, expected = (jax.jit(all_of_training(model))(params, state, X, KEY) for model in (wrapped, plain))
    # The backward pass may take sums in another order.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), found, expected)


def test_remat_is_in_the_program():
    def program(model: Layer) -> str:
        return str(jax.make_jaxpr(all_of_training(model))(*model.init(KEY, X), X, KEY))

    assert "remat" in program(remat(BLOCK)) or "checkpoint" in program(remat(BLOCK))
    assert "remat" not in program(BLOCK) and "checkpoint" not in program(BLOCK)


def test_remat_keeps_less_for_the_backward_pass():
    deep = serial(*[serial(dense(4), jnp.tanh)] * 4)

    def kept(model: Layer) -> int:
        params, state = model.init(KEY, X)
        backward = jax.vjp(lambda x: model.apply(params, state, x)[0], X)[1]
        own = {leaf.unsafe_buffer_pointer() for leaf in [X, *jax.tree.leaves(params)]}
        return sum(leaf.unsafe_buffer_pointer() not in own for leaf in jax.tree.leaves(backward))

    assert kept(remat(deep)) < kept(deep)


WIDTH, ROWS = 64, 32
WIDE = residual(serial(layer_norm(), dense(4 * WIDTH), relu(), dense(WIDTH), dropout(0.1)))


def inputs_kept(wrap: Any) -> float:
    """Returns how much memory one more block of a `repeat` takes in training, in inputs of a block."""

    def needed(n: int) -> int:
        model, x = repeat(n, wrap(WIDE)), jnp.zeros((ROWS, WIDTH))
        params, _ = jax.eval_shape(model.init, KEY, x)
        loss = lambda params: (model.apply(params, {}, x, key=KEY, train=True)[0] ** 2).sum()
        analysis: Any = jax.jit(jax.grad(loss)).lower(params).compile().memory_analysis()
        return analysis.temp_size_in_bytes

    return (needed(11) - needed(3)) / 8 / (4 * ROWS * WIDTH)


@pytest.mark.slow
def test_repeat_of_remat_keeps_the_inputs_of_blocks_alone():
    assert inputs_kept(lambda block: block) > 8
    assert 1 <= inputs_kept(remat) < 1.1


@pytest.mark.parametrize(
    ("policy", "low", "high"),
    [
        ("nothing", 1, 1.1),
        ("dots", 5, 5.1),  # and what the first product gives, four times as wide
        pytest.param("dots_with_no_batch_dims", 5, 5.1, marks=pytest.mark.slow),
        pytest.param("everything", 8, 30, marks=pytest.mark.slow),
        pytest.param(jax.checkpoint_policies.dots_saveable, 5, 5.1, marks=pytest.mark.slow),
    ],
)
def test_a_policy_says_what_remat_keeps(policy: Any, low: float, high: float):
    assert low <= inputs_kept(lambda block: remat(block, policy=policy)) < high


def test_products_of_two_activations_are_products_with_batch_dims():
    model = lambda policy: remat(lambda x: jnp.sin(x @ x.swapaxes(1, 2)), policy=policy)  # pyright: ignore[reportArgumentType]
    x = jnp.ones((2, 3, 3))
    kept = lambda policy: str(jax.make_jaxpr(jax.grad(lambda x: model(policy).apply({}, {}, x)[0].sum()))(x))
    assert kept("dots").count("dot_general") < kept("dots_with_no_batch_dims").count("dot_general")


def test_remat_refuses_a_policy_that_it_does_not_know():
    with pytest.raises(ValueError, match=r"policy: expected one of \['nothing', .*found 'dot'; did you mean 'dots'"):
        remat(dense(3), policy="dot")


# --- cast ---------------------------------------------------------------------------------------------------------


def test_cast_computes_in_its_type_and_keeps_everything_else_float32():
    seen = []

    def look(x: Any) -> Any:
        seen.append(x.dtype.name)
        return x

    model = cast(serial(look, dense(4), look, batch_norm(), look), jnp.bfloat16)
    params, state = model.init(KEY, X)
    del seen[:]
    y, state = model.apply(params, state, X, train=True)
    assert seen == ["bfloat16"] * 3
    assert {leaf.dtype.name for leaf in jax.tree.leaves((params, state, y))} == {"float32"}


def test_cast_is_close_to_float32():
    block = serial(dense(16), relu(), dense(4))
    params, state = block.init(KEY, X)
    half, full = (model.apply(params, state, X)[0] for model in (cast(block, jnp.bfloat16), block))
    assert not np.array_equal(half, full)
    np.testing.assert_allclose(half, full, atol=0.03 * np.abs(full).max())  # bfloat16 has eight bits: 0.4% a step


@pytest.mark.slow
def test_gradients_through_cast_are_float32():
    model = cast(BLOCK, jnp.bfloat16)
    gradients = all_of_training(model)(*model.init(KEY, X), X, KEY)[1]
    assert {leaf.dtype.name for leaf in jax.tree.leaves(gradients)} == {"float32"}


def test_cast_initialises_as_the_layer_itself_and_draws_as_it():
    same_bits(cast(BLOCK, jnp.bfloat16).init(KEY, X), BLOCK.init(KEY, X))
    drop = dropout(0.5)
    ones = jnp.ones(100)
    same_bits(cast(drop, jnp.bfloat16).apply({}, {}, ones, key=KEY)[0], drop.apply({}, {}, ones, key=KEY)[0])


def test_cast_leaves_integers_alone():
    assert cast(lambda x: x + 1, jnp.bfloat16).apply({}, {}, jnp.arange(3))[0].dtype == jnp.int32  # pyright: ignore[reportArgumentType]


def test_cast_refuses_a_type_that_is_not_floating():
    with pytest.raises(TypeError, match="dtype: expected a floating type to compute in, found int32"):
        cast(dense(3), jnp.int32)


# --- frozen -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.mixed_dtypes(reason="optax promotes its step count by design")
def test_frozen_weights_are_beyond_the_reach_of_weight_decay():
    model = serial(body=frozen(serial(dense(4), batch_norm(), dropout(0.5))), head=dense(1))
    params, state = model.init(KEY, X)
    assert list(params) == ["head"]
    optimizer = optax.adamw(0.1, weight_decay=0.5)
    (_, (_, after)), (gradients, _) = all_of_training(model)(params, state, X, KEY)
    updates, _ = optimizer.update(gradients, optimizer.init(params), params)
    learned: Any = optax.apply_updates(params, updates)
    assert np.any(learned["head"]["kernel"] != params["head"]["kernel"])
    same_bits(after, state)


def test_frozen_runs_in_evaluation_mode():
    block = serial(dense(4), batch_norm(), dropout(0.5))
    params, state = block.init(KEY, X)
    y, after = frozen(block).apply({}, {"params": params, "state": state}, X, key=KEY, train=True)
    same_bits(y, block.apply(params, state, X)[0])
    same_bits(after, {"params": params, "state": state})
    frozen(dropout(0.5)).apply({}, {}, X, train=True)  # needs no key


def test_gradients_flow_through_frozen_to_its_input():
    params, state = dense(4).init(KEY, X)
    model = frozen(dense(4))
    through = jax.grad(lambda x, state: model.apply({}, state, x)[0].sum(), argnums=(0, 1))
    of_x, of_state = through(X, {"params": params})
    np.testing.assert_allclose(of_x, np.broadcast_to(params["kernel"].sum(1), (3, 4)), rtol=1e-6)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(of_state))


def test_frozen_initialises_as_the_layer_itself():
    block = serial(dense(4), batch_norm())
    params, state = block.init(KEY, X)
    same_bits(frozen(block).init(KEY, X), ({}, {"params": params, "state": state}))
    assert frozen(relu()).init(KEY, X) == ({}, {})


# --- all of them ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrapper", [lambda b: repeat(2, b), remat, lambda b: cast(b, "float32"), frozen])
def test_wrappers_refuse_what_is_no_layer(wrapper: Any):
    with pytest.raises(TypeError, match="block: expected a layer or a function of arrays"):
        wrapper(dense)


def test_a_key_of_repeat_is_the_key_of_the_block_of_that_number():
    drop = repeat(3, dropout(0.5))
    ones = jnp.ones(50)
    expected = ones
    for i in range(3):
        expected = dropout(0.5).apply({}, {}, expected, key=derive(KEY, str(i)))[0]
    np.testing.assert_array_equal(drop.apply({}, {}, ones, key=KEY)[0], expected)
