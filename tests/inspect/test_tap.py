import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.compose import compose
from dlcore.core import lambda_layer
from dlcore.inspect import tap
from dlcore.layers import dense, dropout, relu, remat, repeat, residual, serial

x = jnp.linspace(-1.0, 1.0, 12).reshape(3, 4)


def made(layer, *xs):
    return layer, *layer.init(jax.random.key(0), *xs)


def test_outputs_come_by_path_in_the_order_in_which_they_are_made():
    model = serial(dense(5), block=residual(serial(dense(5), act=relu())), head=dense(2))
    found = tap(*made(model, x), x)
    assert list(found) == ["0", "block/block/0", "block/block/act", "block/block", "block", "head", ""]


def test_outputs_are_those_of_the_layers_called_one_by_one():
    model, params, state = made(serial(dense(5), relu(), head=dense(2)), x)
    found = tap(model, params, state, x)
    hidden = x @ params["0"]["kernel"] + params["0"]["bias"]
    np.testing.assert_array_equal(found["0"], hidden)
    np.testing.assert_array_equal(found["1"], np.maximum(hidden, 0))
    np.testing.assert_array_equal(found[""], found["head"])
    np.testing.assert_array_equal(found[""], model.apply(params, state, x)[0])


def test_edit_replaces_an_output_for_all_that_follows_and_nothing_before():
    model, params, state = made(serial(dense(5), relu(), head=dense(2)), x)
    plain, edited = tap(model, params, state, x), tap(model, params, state, x, edit={"1": jnp.zeros_like})
    np.testing.assert_array_equal(edited["0"], plain["0"])
    np.testing.assert_array_equal(edited["1"], jnp.zeros((3, 5)))
    np.testing.assert_array_equal(edited[""], jnp.broadcast_to(params["head"]["bias"], (3, 2)))


def test_edit_of_the_whole_and_of_a_combinator():
    model, params, state = made(serial(body=serial(dense(4)), head=lambda x: x + 1), x)
    found = tap(model, params, state, x, edit={"": lambda y: -y, "body": jnp.ones_like})
    np.testing.assert_array_equal(found["body"], jnp.ones((3, 4)))
    np.testing.assert_array_equal(found[""], -2 * jnp.ones((3, 4)))
    np.testing.assert_array_equal(found["head"], 2 * jnp.ones((3, 4)))


def test_leaf_has_one_output_which_can_be_edited():
    layer, params, state = made(dense(2), x)
    assert list(tap(layer, params, state, x)) == [""]
    np.testing.assert_array_equal(tap(layer, params, state, x, edit={"": jnp.zeros_like})[""], jnp.zeros((3, 2)))


def test_second_call_of_a_child_has_a_path_and_an_edit_of_its_own():
    model = compose(lambda call, x: call.double(call.double(call.double(x))), double=lambda_layer(lambda x: 2 * x))
    found = tap(model, {}, {}, 1.0, edit={"double:1": lambda y: y + 1})
    assert found == {"double": 2.0, "double:1": 5.0, "double:2": 10.0, "": 10.0}


def test_repeat_shows_each_of_its_blocks_and_remat_steps_aside():
    model, params, state = made(serial(blocks=repeat(3, remat(residual(serial(dense(4)))))), x)
    found = tap(model, params, state, x)
    inside = [f"blocks/{i}{end}" for i in range(3) for end in ("/block/0", "/block", "")]
    assert list(found) == [*inside, "blocks", ""]
    # The scan and the blocks one after another round differently, by a few units in the last place.
    np.testing.assert_allclose(found[""], model.apply(params, state, x)[0], rtol=1e-5)
    last = tap(model, params, state, x, edit={"blocks/2/block": jnp.zeros_like})
    np.testing.assert_array_equal(last[""], found["blocks/1"])


def test_key_and_train_reach_the_layers():
    model, params, state = made(serial(dense(64), drop=dropout(0.5)), x)
    key = jax.random.key(7)
    found = tap(model, params, state, x, key=key, train=True)
    np.testing.assert_array_equal(found["drop"], model.apply(params, state, x, key=key, train=True)[0])
    assert 0.2 < float((found["drop"] == 0).mean()) < 0.8
    with pytest.raises(ValueError, match="needs a key"):
        tap(model, params, state, x, train=True)


def test_tap_can_be_jitted():
    model, params, state = made(serial(dense(5), relu(), head=dense(2)), x)
    edit = {"1": lambda y: y * 2}
    eager = tap(model, params, state, x, edit=edit)
    jitted = jax.jit(lambda params, x: tap(model, params, state, x, edit=edit))(params, x)
    assert set(eager) == set(jitted)
    for path in eager:
        np.testing.assert_allclose(jitted[path], eager[path], rtol=1e-5, atol=1e-6)  # fused, so rounded otherwise


def test_gradient_by_an_edit_is_the_gradient_by_the_hidden_output():
    model, params, state = made(serial(dense(5), act=jnp.tanh, head=dense(2)), x)

    def loss(change):
        return tap(model, params, state, x, edit={"act": lambda y: y + change})[""].sum()

    expected = jnp.broadcast_to(params["head"]["kernel"].sum(1), (3, 5))
    np.testing.assert_allclose(jax.grad(loss)(jnp.zeros((3, 5))), expected, rtol=1e-6)
    np.testing.assert_allclose(jax.jit(jax.grad(loss))(jnp.zeros((3, 5))), expected, rtol=1e-6)


def test_unknown_path_is_an_error_with_a_suggestion():
    model, params, state = made(serial(encoder=serial(dense(2)), head=dense(2)), x)
    with pytest.raises(ValueError, match="no output 'encoder/O'; did you mean 'encoder/0'"):
        tap(model, params, state, x, edit={"encoder/O": jnp.zeros_like})
    with pytest.raises(ValueError, match="no output 'head'; known names: ''"):
        tap(dense(2), *dense(2).init(jax.random.key(0), x), x, edit={"head": jnp.zeros_like})


def test_edit_that_is_no_function_is_an_error():
    model, params, state = made(serial(dense(2)), x)
    with pytest.raises(TypeError, match=r"edit\['0'\]: expected a function"):
        tap(model, params, state, x, edit={"0": jnp.zeros((3, 2))})  # pyright: ignore[reportArgumentType]


def test_layer_inside_a_vmap_of_the_users_own_is_left_out_but_can_be_edited():
    model = compose(
        lambda call, x: call.sum(jax.vmap(call.double)(x)),
        double=lambda_layer(lambda x: 2 * x),
        sum=lambda_layer(jnp.sum),
    )
    assert list(tap(model, {}, {}, x)) == ["sum", ""]
    edited = tap(model, {}, {}, x, edit={"double": jnp.ones_like})
    assert list(edited) == ["sum", ""]
    assert float(edited["sum"]) == x.size


def test_layers_below_a_gradient_within_the_model_do_not_leak():
    model = compose(lambda call, x: jax.grad(lambda x: call.energy(x).sum())(x), energy=lambda_layer(jnp.square))
    found = jax.jit(lambda x: tap(model, {}, {}, x))(x)
    assert list(found) == [""]
    np.testing.assert_allclose(found[""], 2 * x)
