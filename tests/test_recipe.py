from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dlcore import activations, initializers
from dlcore.core import lambda_layer
from dlcore.errors import DlcoreError
from dlcore.initializers import normal
from dlcore.json_form import from_json, reference, to_json
from dlcore.layers import cast, compose, conv, dense, relu, repeat, residual, serial
from dlcore.recipe import Function, Value, recipe, recipe_of

constant: Callable[..., Any] = initializers.constant  # of more than its hints say


@recipe
def keep(value: Any = None, *more: Any, option: Any = None, **named: Any) -> Any:
    return lambda: (value, more, option, named)


@recipe
def named_only(*, rate: float) -> Any:
    return lambda: rate


def _as_pair(made: Any) -> Any:
    return optax.GradientTransformation(made.init, Function(made.update))  # pyright: ignore[reportArgumentType]


def _descent(rate: float) -> Any:
    return optax.sgd(rate)


descent: Callable[..., Any] = recipe(_descent, _as_pair)


# --- one object ----------------------------------------------------------------------------------------------------


def test_equal_calls_return_one_object_however_they_are_written():
    assert dense(128) is dense(features=128, use_bias=True)
    assert serial(dense(3), head=relu()) is serial(dense(3), head=relu())
    assert conv(3, (2, 2)) is not conv(3, [2, 2])


def test_values_are_equal_only_where_they_are_one_object():
    assert dense(3) == dense(3) != dense(4)
    assert len({dense(3), dense(3), dense(4)}) == 2


@pytest.mark.parametrize(
    "several",
    [
        (1, 1.0, True, np.int32(1), np.float32(1), np.float64(1), np.bool_(True), "1", b"1"),
        (0.0, -0.0, 0, False, None, ""),
        ((1,), [1], (1.0,), ((1,),), {1: 1}, {1.0: 1}, {True: 1}, {1: True}),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (np.zeros(2), np.zeros(2, np.float32), np.zeros((2, 1)), jnp.zeros(2), np.array([0.0, -0.0])),
        (jnp.asarray(1.0, jnp.float32), jnp.asarray(1.0)),  # the second one is weakly typed
        (jax.random.key(0), jax.random.key(1), jax.random.key_data(jax.random.key(0))),
        (float("nan"), float("inf"), -float("inf")),
    ],
    ids=lambda several: repr(several[0]),
)
def test_arguments_of_another_type_or_value_make_another_object(several: tuple[Any, ...]):
    made = [keep(value) for value in several]
    assert len(set(made)) == len(made)


@pytest.mark.parametrize(
    "make",
    [
        lambda: float("nan"),
        lambda: np.arange(3.0),
        lambda: jnp.arange(3.0),
        lambda: jax.random.key(3),
        lambda: np.float32(0.5),
        lambda: [1, (2, {"a": [np.arange(2)]})],
        lambda: normal(0.1),
        lambda: b"bytes",
    ],
)
def test_equal_arguments_that_are_other_objects_make_one_object(make: Callable[[], Any]):
    assert keep(make()) is keep(make())
    assert keep(0, make(), name=make()) is keep(0, make(), name=make())


def test_dtypes_are_canonical():
    spellings = [jnp.float32, np.float32, np.dtype("float32"), jnp.dtype("float32")]
    assert len({keep(dtype) for dtype in spellings}) == 1
    assert keep(jnp.bfloat16) is keep(jnp.zeros(1, jnp.bfloat16).dtype) is not keep(jnp.float16)
    assert keep(jnp.float32)()[0] == np.dtype("float32")


def test_functions_are_compared_by_identity():
    one, other = (lambda x: x), (lambda x: x)
    assert lambda_layer(one) is lambda_layer(one)
    assert lambda_layer(one) is not lambda_layer(other)


def test_tracers_are_compared_by_identity():
    seen = []

    def trace(x: Any, y: Any) -> Any:
        seen.extend([keep(x) is keep(x), keep(x) is keep(y), keep(x) is keep(x + 0)])
        return x

    jax.make_jaxpr(trace)(1.0, 1.0)
    assert seen == [True, False, False]


def test_a_list_changed_by_the_caller_afterwards_changes_nothing():
    inner = [1, 2]
    given = [inner, {"a": inner}]
    made = keep(given)
    inner.append(3)
    given.append(4)
    assert made()[0] == [[1, 2], {"a": [1, 2]}]
    assert made is keep([[1, 2], {"a": [1, 2]}]) is not keep(given)
    assert repr(made) == "keep(value=[[1, 2], {'a': [1, 2]}])"


def test_an_array_changed_by_the_caller_afterwards_changes_nothing():
    given = np.arange(3.0)
    made = keep(given)
    given[0] = 7.0
    np.testing.assert_array_equal(made()[0], [0.0, 1.0, 2.0])
    assert made is keep(np.arange(3.0)) is not keep(given)


@pytest.mark.slow
def test_a_value_lives_only_as_long_as_somebody_holds_it():
    made = keep("nobody else has this one")
    seen = weakref.ref(made)
    assert keep("nobody else has this one") is made
    del made
    gc.collect()
    assert seen() is None


@pytest.mark.slow
def test_a_layer_is_collected_too_although_its_functions_know_it():
    seen = weakref.ref(serial(dense(12345), relu()))
    gc.collect()
    assert seen() is None


@pytest.mark.slow
def test_an_argument_stays_alive_as_long_as_the_value():
    function = lambda x: x
    made, seen = lambda_layer(function), weakref.ref(function)
    del function
    gc.collect()
    assert seen() is not None
    del made
    gc.collect()
    assert seen() is None


# --- pairs, like optax's ------------------------------------------------------------------------------------------


def test_a_pair_is_found_again_by_its_update_function():
    made = descent(0.5)
    assert made is descent(0.5) is not descent(0.25)
    assert repr(recipe_of(made)) == "_descent(0.5)"
    gradients = {"w": jnp.ones(2)}
    updates, _ = made.update(gradients, made.init(gradients))
    np.testing.assert_array_equal(updates["w"], [-0.5, -0.5])


def test_a_pair_is_an_argument_compared_by_value():
    assert keep(descent(0.5)) is keep(descent(0.5)) is not keep(descent(0.25))


def test_half_a_pair_and_a_changed_pair_have_no_recipe():
    made = descent(0.5)
    assert recipe_of(made.update) is None
    assert recipe_of(made._replace(init=lambda params: ())) is None
    assert recipe_of(optax.sgd(0.5)) is None


@pytest.mark.slow
def test_a_pair_lives_only_as_long_as_somebody_holds_it():
    made = descent(0.125)
    seen = weakref.ref(made.update)
    del made
    gc.collect()
    assert seen() is None


# --- repr and recipe ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (lambda: dense(128), "dense(128)"),
        (lambda: dense(128, use_bias=False), "dense(128, use_bias=False)"),
        (lambda: dense(3, kernel_init=normal(0.1)), "dense(3, kernel_init=normal(stddev=0.1))"),
        (lambda: dense(3, kernel_init=normal(0.01)), "dense(3, kernel_init=normal())"),
        (lambda: serial(dense(3), relu(), head=dense(1)), "serial(dense(3), relu(), head=dense(1))"),
        (lambda: residual(serial()), "residual(serial())"),
        (lambda: cast(dense(3), jnp.bfloat16), "cast(dense(3), bfloat16)"),
        (lambda: constant(np.zeros((2, 3), np.float32)), "constant(<float32[2, 3]>)"),
        (lambda: lambda_layer(activations.relu), "lambda_layer(relu)"),
        (lambda: lambda_layer(jnp.tanh), "lambda_layer(tanh)"),
        (lambda: lambda_layer(jax.nn.relu), "lambda_layer(relu)"),
        (lambda: keep(1, 2, option=None, a=3), "keep(value=1, 2, a=3)"),
        (lambda: named_only(rate=0.5), "named_only(rate=0.5)"),
    ],
)
def test_the_repr_is_the_call_that_makes_the_value(made: Callable[[], Any], text: str):
    assert repr(made()) == text


def test_a_recipe_without_addresses_is_the_same_text_in_every_process():
    assert "0x" not in repr(serial(dense(3), jax.nn.relu, jnp.tanh, lambda x: x))


def test_the_recipe_holds_the_factory_and_its_arguments_with_defaults():
    made = recipe_of(dense(3))
    assert made is not None and made.factory is dense
    assert made.bound.arguments["features"] == 3 and made.bound.arguments["use_bias"] is True
    assert recipe_of(lambda x: x) is None and recipe_of(3) is None and recipe_of((1, 2)) is None


def test_a_value_without_a_recipe_has_the_ordinary_repr():
    assert "Value object" in repr(Value())


def test_a_function_keeps_name_documentation_and_signature():
    assert dense.__name__ == "dense" and "Fully connected" in (dense.__doc__ or "")
    assert normal(0.1)(jax.random.key(0), (2,)).shape == (2,)


def test_a_mistyped_name_gets_a_suggestion():
    with pytest.raises(TypeError, match=r"dense: .*'use_bais'; did you mean 'use_bias'\?"):
        dense(3, use_bais=False)  # pyright: ignore[reportCallIssue]


def test_a_missing_argument_is_named_with_the_signature():
    with pytest.raises(TypeError, match=r"dense: missing a required argument: 'features'; it takes \(features"):
        dense()  # pyright: ignore[reportCallIssue]


def test_a_refused_argument_leaves_nothing_behind():
    for _ in range(2):
        with pytest.raises(ValueError, match="features"):
            dense(0)


# --- JSON ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: dense(128, use_bias=False),
        lambda: serial(dense(3), activations.relu, head=residual(dense(2))),
        lambda: repeat(2, cast(dense(3), jnp.bfloat16)),
        lambda: conv(3, (2, 2), padding=[(0, 1), (1, 0)]),
        lambda: dense(3, kernel_init=constant(np.arange(3.0))),
        lambda: dense(3, kernel_init=constant(np.float32(0.5)), bias_init=constant(np.float64(0.5))),
        lambda: constant(float("inf")),
        lambda: constant(-0.0),
        lambda: compose(_dlcore_function(), encoder=dense(3)),
        lambda: serial(recipe=dense(3), tuple=dense(2), dtype=relu()),
    ],
)
def test_json_gives_the_same_object_back(make: Callable[[], Any]):
    assert from_json(json.loads(json.dumps(to_json(make())))) is make()


def _dlcore_function() -> Any:
    return activations.identity  # not a sensible forward, but one that has a name in dlcore


def test_json_reads_well():
    assert to_json(serial(dense(3), head=relu())) == {
        "recipe": "dlcore.layers.serial",
        "arguments": {
            "layers": {"tuple": [{"recipe": "dlcore.layers.dense", "arguments": {"features": 3}}]},
            "named": {"dict": {"head": {"recipe": "dlcore.layers.relu", "arguments": {}}}},
        },
    }


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (3, 3),
        (None, None),
        ([1, "a"], [1, "a"]),
        ((1, True), {"tuple": [1, True]}),
        ({"a": 1.5}, {"dict": {"a": 1.5}}),
        (np.dtype("float32"), {"dtype": "float32"}),
        (np.arange(2, dtype=np.int32), {"array": [0, 1], "dtype": "int32"}),
        (activations.gelu, {"function": "dlcore.activations.gelu"}),
        (abs, {"opaque": "abs"}),
        (1j, {"opaque": "1j"}),
        (np.zeros(5000), {"opaque": "<float64[5000]>"}),
        ({1: 2}, {"opaque": "{1: 2}"}),
    ],
)
def test_every_argument_has_a_form(value: Any, form: Any):
    assert to_json(value) == form


@pytest.mark.parametrize(
    "form",
    [
        {"recipe": "os.system", "arguments": {"command": "true"}},
        {"recipe": "dlcore.recipe.from_json", "arguments": {"data": 1}},  # dlcore's, but no factory
        {"recipe": "dlcore_evil.layers.dense", "arguments": {}},
        {"recipe": "dlcore.layers._dense.dense", "arguments": {"features": 3}},
        {"recipe": "dlcore.nothing.here", "arguments": {}},
        {"recipe": "dlcore.layers.dense", "arguments": {"features": 3, "use_bais": True}},
        {"recipe": "dlcore.layers.dense", "arguments": {"features": {"opaque": "3"}}},
        {"recipe": "tests.test_recipe.keep", "arguments": {}},
        {"function": "os.getcwd"},
        {"function": "dlcore.recipe.functools"},
        {"function": "dlcore.recipe._find"},
        {"function": "dlcore.core.get_opaque_trace_state"},  # imported there, but not ours
        {"function": "dlcore.core.Layer"},
        {"opaque": "<lambda>"},
        {"nonsense": 1},
        {},
    ],
    ids=json.dumps,
)
def test_what_is_not_dlcores_is_refused_and_named(form: Any):
    with pytest.raises(DlcoreError):
        from_json(form)


def test_a_factory_outside_dlcore_has_a_form_that_only_people_can_read():
    assert to_json(keep(3))["arguments"] == {"value": 3, "more": {"tuple": []}, "named": {"dict": {}}}
    assert not reference(keep).startswith("dlcore.")
