from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.core import Tracer

from dlcore.compose import Call, compose, derive
from dlcore.core import Layer, as_layer, lambda_layer, layer
from dlcore.layers import batch_norm, dense, dropout, relu, remat, serial
from tests.compiles import counting

KEY = jax.random.key(0)
X = jnp.linspace(-1.0, 1.0, 12).reshape(3, 4)


@layer
def noise(size: int = 0) -> Any:
    """Gives what it draws, so that a test sees its key; with `size`, it has params as well."""

    def init(key: Any, *xs: Any) -> tuple[dict, dict]:
        return ({"kernel": jax.random.normal(key, (size,))} if size else {}), {}

    def apply(params: Any, state: Any, *xs: Any, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        if key is None:
            return jnp.zeros(4), state
        return jax.random.normal(key, (4,)), state

    return init, apply


@layer
def counter() -> Any:
    """Gives how often it has been called, from its state."""

    def apply(params: Any, state: Any, *xs: Any, key: Any = None, train: bool = False) -> tuple[Any, Any]:
        return state["calls"], {"calls": state["calls"] + 1}

    return lambda key, *xs: ({}, {"calls": jnp.zeros((), jnp.int32)}), apply


def run(model: Layer, *xs: Any, key: Any = None, train: bool = False) -> tuple[Any, Any]:
    return model.apply(*model.init(KEY, *xs), *xs, key=key, train=train)


def layer_notes(error: BaseException) -> list[str]:
    return [note for note in getattr(error, "__notes__", []) if note.startswith("in layer ")]


# --- layers -------------------------------------------------------------------------------------------------------


def test_a_layer_factory_may_return_a_pair_or_a_layer_and_nothing_else():
    with pytest.raises(TypeError, match=r"returned 3; a layer factory returns a Layer or \(init, apply\)"):
        layer(lambda: 3)()


def test_a_layer_around_a_finished_layer_has_a_recipe_of_its_own():
    @layer
    def network() -> Any:
        return serial(dense(3))

    assert repr(network()) == "network()" and repr(serial(dense(3))) == "serial(dense(3))"
    assert network() is network()


def test_init_reads_only_shapes():
    seen: list[Any] = []
    probe = Layer(lambda key, x: (seen.append(x), ({}, {}))[1], lambda params, state, x, **_: (x, state))
    for given in (X, np.ones((3, 4)), jax.ShapeDtypeStruct((3, 4), jnp.float32), jnp.full((3, 4), jnp.nan)):
        probe.init(KEY, given)
    assert seen == [jax.ShapeDtypeStruct((3, 4), jnp.float32)] * 4


def test_what_is_no_layer_is_refused_with_the_repair():
    with pytest.raises(TypeError, match=r"expected a layer or a function of arrays, found <function dense.*\(\.\.\.\)"):
        serial(dense)
    with pytest.raises(TypeError, match="1: expected a layer"):
        serial(dense(3), 3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="expected a layer"):
        as_layer(dict)
    assert as_layer(jnp.tanh) is lambda_layer(jnp.tanh)


def test_a_model_built_anew_traces_nothing():
    def model() -> Layer:
        return serial(dense(4), relu(), block=compose(forward, hidden=dense(4)))

    def forward(call: Call, x: Any) -> Any:
        traces.append(x)
        return call.hidden(x)

    traces: list[Any] = []
    first = model()
    params, state = first.init(KEY, X)
    jax.jit(first.apply)(params, state, X)
    del traces[:]
    with counting() as compiles:
        jax.jit(model().apply)(params, state, X)
    assert traces == [] and compiles.traces == 0 and compiles.lowerings == 0, compiles


def test_a_layer_of_another_recipe_is_traced_anew():
    model = serial(dense(4))
    params, state = model.init(KEY, X)
    with counting() as compiles:
        jax.jit(serial(dense(4), lambda_layer(jnp.sin)).apply)(params, state, X)
    assert compiles.traces > 0


# --- compose: params and state --------------------------------------------------------------------------------------


def test_a_child_called_twice_shares_its_weights():
    model = compose(lambda call, x: call.f(call.f(x)), f=dense(4))
    params, state = model.init(KEY, X)
    once = lambda x: x @ params["f"]["kernel"] + params["f"]["bias"]
    assert list(params) == ["f"]
    np.testing.assert_allclose(model.apply(params, state, X)[0], once(once(X)), rtol=1e-6)


def test_state_threads_through_the_calls_in_order():
    model = compose(
        lambda call, x: (call.count(), call.other(), call.count(), call.count()), count=counter(), other=counter()
    )
    y, state = run(model, X)
    assert [int(i) for i in y] == [0, 0, 1, 2]
    assert {name: int(own["calls"]) for name, own in state.items()} == {"count": 3, "other": 1}


def test_batch_norm_called_twice_moves_its_statistics_twice():
    norm = batch_norm(momentum=0.5)
    model = compose(lambda call, x: call.norm(x) + call.norm(2 * x), norm=norm)
    params, state = model.init(KEY, X)
    after_one = norm.apply({**params["norm"]}, state["norm"], X, train=True)[1]
    after_two = norm.apply({**params["norm"]}, after_one, 2 * X, train=True)[1]
    found = model.apply(params, state, X, train=True)[1]["norm"]
    jax.tree.map(np.testing.assert_array_equal, found, after_two)


def test_apply_leaves_the_state_that_it_was_given_as_it_was():
    model = compose(lambda call, x: call.count(), count=counter())
    params, state = model.init(KEY, X)
    model.apply(params, state, X)
    assert int(state["count"]["calls"]) == 0


def test_one_layer_under_two_names_does_not_share():
    shared = dense(4)
    params, _ = compose(lambda call, x: call.a(x) + call.b(x), a=shared, b=shared).init(KEY, X)
    assert not np.array_equal(params["a"]["kernel"], params["b"]["kernel"])


def test_empty_branches_are_left_out():
    params, state = serial(relu(), serial(relu()), norm=batch_norm()).init(KEY, X)
    assert list(params) == ["norm"] and list(state) == ["norm"]
    assert serial(relu()).init(KEY, X) == ({}, {})


def test_weights_are_tied_by_reading_a_childs_params():
    model = compose(lambda call, x: call.embed(x) @ call.embed.params["kernel"].T, embed=dense(7, use_bias=False))
    params, state = model.init(KEY, X)
    kernel = params["embed"]["kernel"]
    np.testing.assert_allclose(model.apply(params, state, X)[0], X @ kernel @ kernel.T, rtol=1e-5, atol=1e-6)
    gradient = jax.grad(lambda p: model.apply(p, state, X)[0].sum())(params)["embed"]["kernel"]
    expected = jax.grad(lambda kernel: (X @ kernel @ kernel.T).sum())(kernel)
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-6)


def test_a_childs_params_are_read_only_and_read_after_its_first_call():
    def write(call: Call, x: Any) -> Any:
        call.f(x)
        call.f.params["kernel"] = x  # pyright: ignore[reportIndexIssue]

    with pytest.raises(TypeError, match="does not support item assignment"):
        compose(write, f=dense(4)).init(KEY, X)
    with pytest.raises(ValueError, match="params of child 'f' are read before its first call"):
        compose(lambda call, x: (call.f.params, call.f(x))[1], f=dense(4)).init(KEY, X)


def test_a_child_reached_only_in_training_is_initialised():
    model = compose(lambda call, x: call.extra(x) if call.train else x, extra=dense(4))
    params, state = model.init(KEY, X)
    assert list(params) == ["extra"]
    np.testing.assert_array_equal(model.apply(params, state, X)[0], X)
    assert not np.array_equal(model.apply(params, state, X, train=True)[0], X)


def test_a_child_that_is_never_called_is_an_error():
    def forgetful(call: Call, x: Any) -> Any:
        return call.used(x)

    with pytest.raises(ValueError, match="child 'unused' is never called by forgetful"):
        compose(forgetful, used=relu(), unused=dense(3)).init(KEY, X)


def test_a_second_call_that_needs_other_params_is_an_error():
    with pytest.raises(ValueError, match=r"child 'f' is called with \(3, 4\) and \(3, 5\), which need different"):
        compose(lambda call, x: call.f(call.f(x)), f=dense(5)).init(KEY, X)


def test_a_second_call_of_other_size_but_the_same_params_is_fine():
    model = compose(lambda call, x: call.f(x).sum() + call.f(x[:1]).sum(), f=dense(5))
    assert run(model, X)[0].shape == ()


def test_unknown_names_in_params_and_state_are_errors_with_a_suggestion():
    model = serial(encoder=dense(4), norm=batch_norm())
    params, state = model.init(KEY, X)
    with pytest.raises(ValueError, match="params hold 'encodr', which is no child here; did you mean 'encoder'?"):
        model.apply({"encodr": params["encoder"], "norm": params["norm"]}, state, X)
    with pytest.raises(ValueError, match="state hold 'nrm'"):
        model.apply(params, {"nrm": state["norm"]}, X)
    with pytest.raises(TypeError, match="params: expected a dict by child name, found tuple"):
        model.apply((params,), state, X)


def test_missing_names_in_params_and_state_are_errors_that_say_where():
    model = serial(encoder=dense(4), norm=batch_norm())
    params, state = model.init(KEY, X)
    with pytest.raises(ValueError, match="expected (params|state) .*found nothing") as caught:
        model.apply({"norm": params["norm"]}, state, X)
    assert layer_notes(caught.value) == ["in layer encoder"]
    with pytest.raises(ValueError, match="expected (params|state) .*found nothing") as caught:
        model.apply(params, {}, X)
    assert layer_notes(caught.value) == ["in layer norm"]


def test_params_of_another_width_are_errors_and_are_not_broadcast():
    with pytest.raises(ValueError, match=r"expected params .*kernel \(4, 3\).*found .*kernel \(4, 1\)"):
        dense(3).apply(*dense(1).init(KEY, X), X)


def test_a_mistyped_child_gets_a_suggestion():
    with pytest.raises(AttributeError, match="there is no child 'encodr'; did you mean 'encoder'?"):
        compose(lambda call, x: call.encodr(x), encoder=relu()).init(KEY, X)


def test_children_are_called_by_attribute_and_by_name():
    model = compose(lambda call, x: call["0"](x) + call.own(x), **{"0": dense(2)}, own=dense(2))
    assert run(model, X)[0].shape == (3, 2)


@pytest.mark.parametrize("name", ["train", "_hidden"])
def test_names_that_call_needs_for_itself_are_refused(name: str):
    with pytest.raises(ValueError, match=f"child '{name}'"):
        serial(**{name: relu()})


def test_names_of_one_crc_are_refused():
    one, other = "gate_audio_gate", "pool_dense_body"  # found by search
    assert zlib.crc32(one.encode()) == zlib.crc32(other.encode())
    with pytest.raises(ValueError, match=f"'{one}' and '{other}' have the same CRC-32: rename one"):
        serial(**{one: relu(), other: relu()})


def test_a_child_may_be_called_forward():
    assert run(compose(lambda call, x: call.forward(x), forward=dense(2)), X)[0].shape == (3, 2)


# --- compose: keys ------------------------------------------------------------------------------------------------


def by_hand(key: Any, name: str, index: int) -> Any:
    return jax.random.fold_in(jax.random.fold_in(key, zlib.crc32(name.encode())), index)


def test_keys_are_folded_from_the_name_and_the_number_of_the_call():
    model = compose(lambda call: (call.a(), call.b(), call.a(), call.a()), a=noise(), b=noise())
    y, _ = run(model, key=KEY)
    expected = [by_hand(KEY, name, index) for name, index in [("a", 0), ("b", 0), ("a", 1), ("a", 2)]]
    for found, key in zip(y, expected, strict=True):
        np.testing.assert_array_equal(found, jax.random.normal(key, (4,)))
    np.testing.assert_array_equal(jax.random.key_data(derive(KEY, "a", 2)), jax.random.key_data(expected[-1]))


def test_keys_fold_down_through_the_levels():
    inner = compose(lambda call: call.a(), a=noise(4))
    outer = compose(lambda call: call.inner(), inner=inner)
    key = by_hand(by_hand(KEY, "inner", 0), "a", 0)
    params, state = outer.init(KEY)
    np.testing.assert_array_equal(params["inner"]["a"]["kernel"], jax.random.normal(key, (4,)))
    np.testing.assert_array_equal(outer.apply(params, state, key=KEY)[0], jax.random.normal(key, (4,)))


def test_adding_a_child_leaves_the_draws_of_the_others_as_they_were():
    few = compose(lambda call: {"a": call.a(), "b": call.b()}, a=noise(4), b=noise(4))
    many = compose(lambda call: {"new": call.new(), "b": call.b(), "a": call.a()}, new=noise(4), a=noise(4), b=noise(4))
    for name in ("a", "b"):
        np.testing.assert_array_equal(run(few, key=KEY)[0][name], run(many, key=KEY)[0][name])
        np.testing.assert_array_equal(few.init(KEY)[0][name]["kernel"], many.init(KEY)[0][name]["kernel"])


def test_a_layer_draws_if_and_only_if_it_gets_a_key():
    model = serial(dropout(0.5))
    np.testing.assert_array_equal(run(model, X)[0], X)
    assert not np.array_equal(run(model, X, key=KEY)[0], X)
    with pytest.raises(ValueError, match="needs a key"):
        run(model, X, train=True)


# --- compose: transformations of the user's own ----------------------------------------------------------------------


def _in_vmap(f: Callable[..., Any], x: Any) -> Any:
    return jax.vmap(f)(x)


def _in_grad(f: Callable[..., Any], x: Any) -> Any:
    return jax.grad(lambda x: f(x).sum())(x)


def _in_scan(f: Callable[..., Any], x: Any) -> Any:
    return jax.lax.scan(lambda carry, _: (f(carry), None), x, length=2)[0]


def _in_jit(f: Callable[..., Any], x: Any) -> Any:
    return jax.jit(f)(x)


TRANSFORMATIONS = [_in_vmap, _in_grad, _in_scan, _in_jit]


@pytest.mark.parametrize("transformed", TRANSFORMATIONS)
@pytest.mark.parametrize("compiled", [False, True])
def test_a_stateful_child_inside_a_transformation_is_an_error(transformed: Callable[..., Any], compiled: bool):
    model = compose(lambda call, x: transformed(call.norm, x), norm=batch_norm())
    params, state = model.init(KEY, X)
    apply = jax.jit(model.apply) if compiled else model.apply
    with pytest.raises(
        ValueError, match="has state, and is called inside a vmap.*use `repeat`, `recurrent` or `remat`"
    ):
        apply(params, state, X)


@pytest.mark.parametrize("transformed", TRANSFORMATIONS)
def test_a_random_child_inside_a_transformation_is_an_error(transformed: Callable[..., Any]):
    model = compose(lambda call, x: transformed(call.block, x), block=serial(dense(4), dropout(0.5)))
    params, state = model.init(KEY, X)
    with pytest.raises(ValueError, match="draws random numbers, and is called inside"):
        model.apply(params, state, X, key=KEY, train=True)
    model.apply(params, state, X)  # without a key it draws nothing


@pytest.mark.parametrize("transformed", TRANSFORMATIONS)
def test_a_child_without_state_and_draws_may_be_transformed(transformed: Callable[..., Any]):
    model = compose(lambda call, x: transformed(call.block, x), block=remat(serial(dense(4), relu())))
    params, state = model.init(KEY, X)
    block = params["block"]
    plain = lambda x: jax.nn.relu(x @ block["0"]["kernel"] + block["0"]["bias"])
    found, _ = model.apply(params, state, X, key=KEY, train=True)
    np.testing.assert_allclose(found, transformed(plain, X), rtol=1e-6, atol=1e-6)


def test_a_whole_layer_may_be_transformed():
    model = serial(dense(4), batch_norm(), dropout(0.5))
    params, state = model.init(KEY, X)
    keys = jax.random.split(KEY, 2)
    y, _ = jax.vmap(lambda key: model.apply(params, state, X, key=key, train=True))(keys)
    np.testing.assert_allclose(y[1], model.apply(params, state, X, key=keys[1], train=True)[0], rtol=1e-5, atol=1e-6)


# --- compose: paths, names, cost --------------------------------------------------------------------------------------


class Surprise(Exception):
    """An exception of somebody else's."""


def test_an_exception_keeps_its_type_and_gains_exactly_one_note_with_the_path():
    def fail(x: Any) -> Any:
        if isinstance(x, Tracer):
            return x
        raise Surprise("no")

    block = compose(lambda call, x: call.attention(x), attention=lambda_layer(fail))
    model = serial(encoder=serial(relu(), block))
    params, state = model.init(KEY, X)
    with pytest.raises(Surprise, match="^no") as caught:
        model.apply(params, state, X)
    assert layer_notes(caught.value) == ["in layer encoder/1/attention"]


def test_the_note_is_there_at_init_and_in_compiled_code_too():
    model = serial(jnp.abs, head=serial(inner=dense(3)))
    params, state = model.init(KEY, X)
    for call in (lambda: model.init(KEY, X.astype(int)), lambda: jax.jit(model.apply)(params, state, X[:, :2])):
        with pytest.raises((TypeError, ValueError)) as caught:
            call()
        assert layer_notes(caught.value) == ["in layer head/inner"]


def test_names_of_layers_are_in_the_lowered_text():
    model = serial(encoder=serial(attention=dense(3)))
    params, state = model.init(KEY, X)
    text = jax.jit(model.apply).lower(params, state, X).as_text(debug_info=True)
    assert "encoder/attention" in text


def test_init_costs_no_more_than_a_few_traces_a_level():
    traces: list[None] = []

    def nest(depth: int) -> Layer:
        if depth == 0:
            return dense(4)

        def forward(call: Call, x: Any) -> Any:
            traces.append(None)
            return call.inner(x)

        return compose(forward, inner=nest(depth - 1))

    nest(12).init(KEY, X)
    assert len(traces) == 2 * 12  # once for evaluation, once for training


def test_plan_tells_the_children_and_their_shapes():
    plan = serial(dense(5), norm=batch_norm()).plan(X)
    assert list(plan.children) == ["0", "norm"]
    assert plan.children["0"].layer is dense(5)
    assert plan.output == jax.ShapeDtypeStruct((3, 5), jnp.float32)
    assert plan.params["0"]["kernel"].shape == (4, 5) and plan.state["norm"]["mean"].shape == (5,)
    assert re.fullmatch(r"ShapeDtypeStruct.*", repr(plan.inputs[0]))
