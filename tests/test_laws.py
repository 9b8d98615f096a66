"""Every layer and model keeps the laws: a new factory is found here by itself, and asks for a row in the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.core import Tracer

from dlcore import activations, layers, models
from dlcore.compose import Call
from dlcore.core import Layer, layer
from dlcore.layers import _activation, dense, dropout, layer_norm, rnn_cell, serial
from dlcore.testing import check_layer


def _normal(*shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


def _block() -> Layer:
    return serial(dense(3), dropout(0.5))


def _twice_and_tied(call: Call, x: Any) -> Any:
    return call.norm(call.norm(call.hidden(x))) @ call.hidden.params["kernel"].T.astype(x.dtype)


def _from_flax() -> Layer:
    from flax import linen

    return layers.from_flax(linen.Dense(3))


_ROW = _normal(2, 4, 3)
_IMAGE = _normal(2, 4, 4, 3)
_MASK = jnp.arange(4) < jnp.array([[4], [2]])

_ACTIVATIONS = sorted(set(activations.__all__) - {"maxout", "prelu", "swish"})

# Factory -> its layer in a tiny configuration, and the inputs.
_EXAMPLES: dict[str, tuple[Callable[[], Layer], tuple[Any, ...]]] = {
    **{name: (getattr(layers, name), (_normal(2, 3, 4),)) for name in _ACTIVATIONS},
    "adain": (lambda: layers.adain(), (_IMAGE, _normal(2, 3, 3, 3))),
    "adalin": (lambda: layers.adalin(), (_IMAGE, _normal(2, 3), _normal(2, 3))),
    "drop_path": (lambda: layers.drop_path(0.5), (_ROW,)),
    "gaussian_noise": (lambda: layers.gaussian_noise(0.5), (_ROW,)),
    "group_norm": (lambda: layers.group_norm(3), (_IMAGE,)),
    "instance_norm": (lambda: layers.instance_norm(), (_IMAGE,)),
    "rms_norm": (lambda: layers.rms_norm(), (_ROW,)),
    "spatial_dropout": (lambda: layers.spatial_dropout(0.5), (_ROW,)),
    "spectral_norm": (lambda: layers.spectral_norm(serial(dense(4), layers.batch_norm())), (_ROW,)),
    "weight_norm": (lambda: layers.weight_norm(serial(layers.conv(4, 3), dropout(0.5))), (_IMAGE,)),
    "gru_cell": (lambda: layers.gru_cell(3), (_normal(2, 3), _normal(2, 4))),
    "lstm_cell": (lambda: layers.lstm_cell(3), (None, _normal(2, 4))),
    "stacked": (lambda: layers.stacked(rnn_cell(3), layers.gru_cell(2)), (None, _normal(2, 4))),
    "unroll": (lambda: layers.unroll(rnn_cell(3), 4), (_normal(2, 3),)),
    "learned_positions": (lambda: layers.learned_positions(6), (_ROW,)),
    "multi_head_attention": (
        lambda: layers.multi_head_attention(4, kv_heads=2, causal=True, dropout=0.5),
        (_normal(2, 3, 8),),
    ),
    "sinusoidal_positions": (lambda: layers.sinusoidal_positions(), (_normal(2, 3, 4),)),
    "avg_pool": (lambda: layers.avg_pool(2), (_IMAGE,)),
    "batch_norm": (lambda: layers.batch_norm(), (_ROW, _MASK)),
    "bidirectional": (lambda: layers.bidirectional(rnn_cell(3)), (_ROW, _MASK)),
    "cast": (lambda: layers.cast(serial(_block(), layers.batch_norm()), jnp.bfloat16), (_ROW,)),
    "compose": (lambda: layers.compose(_twice_and_tied, hidden=dense(4), norm=layers.batch_norm()), (_ROW,)),
    "conv": (lambda: layers.conv(4, 3, strides=2), (_IMAGE,)),
    "dense": (lambda: dense(3), (_ROW,)),
    "dropout": (lambda: dropout(0.5), (_ROW,)),
    "embed": (lambda: layers.embed(5, 3), (jnp.array([[0, 4, 2, 1]]),)),
    "flatten": (lambda: layers.flatten(), (_ROW,)),
    "from_flax": (_from_flax, (_ROW,)),
    "frozen": (lambda: layers.frozen(serial(_block(), layers.batch_norm())), (_ROW,)),
    "gated_dense": (lambda: layers.gated_dense(3), (_ROW,)),
    "global_avg_pool": (lambda: layers.global_avg_pool(), (_IMAGE,)),
    "lambda_layer": (lambda: layers.lambda_layer(activations.tanh), (_ROW,)),
    "layer_norm": (lambda: layer_norm(), (_ROW,)),
    "lenet5": (lambda: models.lenet5(classes=3), (_normal(1, 12, 12, 1),)),
    "linear": (lambda: models.linear(), (_ROW,)),
    "max_pool": (lambda: layers.max_pool(2), (_IMAGE,)),
    "maxout": (lambda: layers.maxout(3, 2), (_ROW,)),
    "mlp": (lambda: models.mlp((4,), classes=3, dropout=0.5), (_ROW,)),
    "parallel": (lambda: layers.parallel(dense(3), dropout(0.5), layers.relu()), (_ROW,)),
    "recurrent": (lambda: layers.recurrent(rnn_cell(3), return_carry=True), (_ROW, _MASK, _normal(2, 3))),
    "remat": (lambda: layers.remat(_block()), (_ROW,)),
    "repeat": (lambda: layers.repeat(3, serial(dense(3), layer_norm(), dropout(0.5))), (_ROW,)),
    "residual": (lambda: layers.residual(_block(), shortcut=dense(3)), (_ROW,)),
    "resize": (lambda: layers.resize((3, 5)), (_IMAGE,)),
    "prelu": (lambda: layers.prelu(), (_ROW,)),
    "rnn_cell": (lambda: rnn_cell(3), (_normal(2, 3), _normal(2, 3))),
    "serial": (lambda: serial(_block(), layers.batch_norm(), head=dropout(0.5)), (_ROW,)),
    "softmax_regression": (lambda: models.softmax_regression(3), (_ROW,)),
    "adaptive_avg_pool": (lambda: layers.adaptive_avg_pool((3, 2)), (_IMAGE,)),
    "adaptive_max_pool": (lambda: layers.adaptive_max_pool((3, 2)), (_IMAGE,)),
    "conv_transpose": (lambda: layers.conv_transpose(2, 3, strides=2), (_IMAGE,)),
    "depthwise_conv": (lambda: layers.depthwise_conv(3, multiplier=2), (_IMAGE,)),
    "global_max_pool": (lambda: layers.global_max_pool(), (_IMAGE,)),
    "pixel_shuffle": (lambda: layers.pixel_shuffle(2), (_normal(1, 2, 2, 4),)),
    "pixel_unshuffle": (lambda: layers.pixel_unshuffle(2), (_IMAGE,)),
    "separable_conv": (lambda: layers.separable_conv(4, 3), (_IMAGE,)),
    "subsample": (lambda: layers.subsample(2), (_IMAGE,)),
    "upsample": (lambda: layers.upsample(2, method="bilinear"), (_IMAGE,)),
}

# No dtype may change by promotion, except inside what is not ours.
_PROMOTES = {"from_flax"}

_FACTORIES = sorted(
    name
    for room in (layers, models)
    for name in room.__all__
    if getattr(getattr(room, name), "is_recipe", False) and getattr(room, name).__name__ == name  # not an alias
)


# One function each, element by element and without parameters: what one of them keeps, all but surely all do.
_ALIKE = {name for name in _FACTORIES if hasattr(_activation, name)} - {"relu", "step", "softmax"}
_SLOW = _ALIKE | {"weight_norm"}  # whose bits are those of optimised programs


@pytest.mark.few(10)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in _SLOW else []) for name in _FACTORIES]
)
def test_every_layer_and_model_keeps_the_laws(name: str) -> None:
    assert name in _EXAMPLES, f"{name} is new: give it a row in _EXAMPLES, with a tiny configuration and inputs"
    build, inputs = _EXAMPLES[name]
    made = build()
    assert made.recipe is not None and made.recipe.factory.__name__ == name
    with jax.numpy_dtype_promotion("standard" if name in _PROMOTES else "strict"):
        check_layer(made, *inputs)


def test_every_example_belongs_to_a_factory() -> None:
    assert sorted(_EXAMPLES) == _FACTORIES


@pytest.mark.slow
def test_a_layer_keeps_the_laws_in_float64_too() -> None:
    check_layer(serial(dense(3), layers.batch_norm(), layers.max_pool(2)), _ROW, dtypes=["float64"])


# --- the law book itself: each law is broken once -------------------------------------------------------------------


def _check(init: Callable[..., Any], apply: Callable[..., Any]) -> None:
    check_layer(Layer(init, apply), jnp.ones((2, 3)), dtypes=["float32"])


def _no_params(key: Any, x: Any) -> tuple[dict, dict]:
    return {}, {}


def _identity(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[Any, Any]:
    return x, state


def _drawing(draw: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        if train and key is None:
            raise ValueError("it needs a key")
        return x if key is None else x + draw(key, x), state

    return apply


def test_check_layer_finds_a_factory_whose_products_are_not_interned() -> None:
    made = layers.relu()
    unlike = layer(lambda: layers.relu())()
    unlike.recipe = made.recipe
    with pytest.raises(AssertionError, match="equal recipes are one object"):
        check_layer(unlike, _ROW)


def test_check_layer_finds_an_init_whose_bits_depend_on_the_compiler() -> None:
    # The compiler merges the factor with constants of the draw.
    init = lambda key, x: ({"kernel": 0.3 * jax.random.normal(key, (64, 64))}, {})
    with pytest.raises(AssertionError, match="init gives the same bits"):
        _check(init, _identity)


@pytest.mark.parametrize("params", [{"inner": {}}, {"kernel": 1.0}, [jnp.ones(3)]])
def test_check_layer_finds_params_that_are_not_nested_dicts_of_arrays(params: Any) -> None:
    with pytest.raises(AssertionError, match="nested dicts"):
        _check(lambda key, x: (params, {}), _identity)


def test_check_layer_finds_evaluation_that_changes_from_call_to_call() -> None:
    calls: list[None] = []

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        calls.append(None)
        return x + len(calls), state

    with pytest.raises(AssertionError, match="evaluation is deterministic"):
        _check(_no_params, apply)


def test_check_layer_finds_compiled_results_that_differ_from_eager_ones() -> None:
    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        return x + isinstance(x, Tracer), state

    with pytest.raises(AssertionError, match="compiled agrees with eager"):
        _check(_no_params, apply)


def test_check_layer_finds_gradients_that_are_not_finite() -> None:
    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        return jnp.linalg.norm(x - x, axis=-1), state

    with pytest.raises(AssertionError, match="gradients are finite"):
        _check(_no_params, apply)


def test_check_layer_finds_state_that_changes_its_dtype() -> None:
    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        return x, {"count": state["count"] + 1.0 if train else state["count"]}

    with pytest.raises(AssertionError, match="state keeps its structure"):
        _check(lambda key, x: ({}, {"count": jnp.zeros((), jnp.int32)}), apply)


def test_check_layer_finds_a_plan_that_is_wrong() -> None:
    made = layers.relu()
    wrong = Layer(None, made.apply, lambda x: made.plan(x)._replace(output=jax.ShapeDtypeStruct((1,), x.dtype)))
    with pytest.raises(AssertionError, match="plan foretells"):
        check_layer(wrong, _ROW)


def test_check_layer_finds_outputs_of_another_floating_type() -> None:
    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        return x.astype(jnp.float16), state

    with pytest.raises(AssertionError, match="outputs keep the floating type"):
        _check(_no_params, apply)


def test_check_layer_finds_draws_that_do_not_ask_for_a_key() -> None:
    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        return x if key is None else x * jax.random.uniform(key), state

    with pytest.raises(AssertionError, match="draws need a key in training"):
        _check(_no_params, apply)


def test_check_layer_finds_draws_that_are_the_same_for_every_key() -> None:
    with pytest.raises(AssertionError, match="apply maps over keys"):
        _check(_no_params, _drawing(lambda key, x: 0 * jax.random.uniform(key)))


def _draw_twice(key: Any, x: Any) -> Any:
    return jax.random.uniform(key) + jax.random.normal(key)


def _draw_from_one_child_twice(key: Any, x: Any) -> Any:
    return sum(jax.random.uniform(jax.random.fold_in(key, 3)) for _ in range(2))


def _draw_alike_at_every_step(key: Any, x: Any) -> Any:
    step = lambda carry, _: (carry + jax.random.uniform(jax.random.fold_in(key, 3)), None)
    return jax.lax.scan(step, 0.0, length=3)[0]


@pytest.mark.parametrize("draw", [_draw_twice, _draw_from_one_child_twice, _draw_alike_at_every_step])
def test_check_layer_finds_a_key_that_is_used_twice(draw: Callable[[Any, Any], Any]) -> None:
    with pytest.raises(AssertionError, match="no key is used twice"):
        _check(_no_params, _drawing(draw))
