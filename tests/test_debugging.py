"""`debug()` looks at values inside compiled code, and costs nothing while it is off."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dlcore as dl


def _log_of(x):
    return jnp.log(x)


@pytest.fixture(scope="module")
def nested():
    model = dl.serial(first=dl.dense(3), block=dl.residual(dl.serial(norm=dl.layers.layer_norm(), log=_log_of)))
    return model, *model.init(jax.random.key(0), jnp.ones((4, 3)))


def test_it_names_the_innermost_layer_that_makes_a_number_not_finite(nested):
    model, params, state = nested
    with pytest.raises(FloatingPointError, match=r"^in layer block/block/log: \d+ of 12 outputs are not finite; all"):
        with dl.debug():
            jax.jit(model.apply)(params, state, jnp.eye(4, 3))


def test_it_works_without_jit_and_in_gradients_and_lanes(nested):
    model, params, state = nested
    loss = lambda params, x: model.apply(params, state, x)[0].sum()
    lanes = jax.jit(jax.vmap(loss, (None, 0)))
    for call, x in ((loss, jnp.eye(4, 3)), (jax.jit(jax.grad(loss)), jnp.eye(4, 3)), (lanes, jnp.ones((2, 4, 3)))):
        with pytest.raises(FloatingPointError, match="in layer block/block/log"):
            with dl.debug():
                call(params, x)


def test_parameters_that_are_not_finite_are_told_apart():
    model = dl.serial(a=dl.dense(2), b=dl.dense(2))
    params, state = model.init(jax.random.key(0), jnp.ones((1, 2)))
    params["a"]["kernel"] = params["a"]["kernel"].at[0, 0].set(jnp.nan)
    with pytest.raises(FloatingPointError, match="in layer a: 1 of 2 outputs .* its parameters are not either"):
        with dl.debug():
            jax.jit(model.apply)(params, state, jnp.ones((1, 2)))


def test_an_id_out_of_range_is_named_inside_compiled_code():
    model = dl.serial(words=dl.layers.embed(5, 3), mean=dl.dense(1))
    params, state = model.init(jax.random.key(0), jnp.zeros((1, 2), int))
    run = jax.jit(model.apply)
    assert np.isnan(run(params, state, jnp.array([[0, 5]]))[0]).any()  # what happens without
    with pytest.raises(FloatingPointError, match=r"in layer words: embed\(5\): expected ids in \[0, 5\)"):
        with dl.debug():
            run(params, state, jnp.array([[0, 5]]))
    with dl.debug():
        run(params, state, jnp.array([[0, 4]]))


def test_off_it_leaves_the_program_as_it_was(nested):
    model, params, state = nested
    x = jnp.eye(4, 3)
    before = jax.jit(model.apply).lower(params, state, x).as_text()
    with dl.debug():
        during = jax.jit(model.apply).lower(params, state, x).as_text()
    assert jax.jit(model.apply).lower(params, state, x).as_text() == before
    assert "callback" in during and "callback" not in before


def test_all_is_well_where_all_is_finite():
    with dl.debug():
        run = dl.fit(dl.models.mlp((4,)), dl.data.iris(), epochs=1)
    assert run.stopped == "finished"


def test_a_training_run_names_the_layer_and_not_only_the_step():
    model = dl.serial(out=dl.dense(3), root=jnp.sqrt)
    with pytest.raises(FloatingPointError, match="in layer root: .* outputs are not finite"):
        with dl.debug():
            run = dl.fit(model, dl.data.iris(), epochs=1, optimizer=dl.optim.sgd(1.0))
            assert run.stopped.startswith("non-finite at step")


def test_an_error_of_the_block_itself_goes_first():
    with pytest.raises(KeyError), dl.debug():
        jax.jit(dl.serial(log=_log_of).apply)({}, {}, -jnp.ones(2))
        raise KeyError("mine")
    with dl.debug():  # what was found then is not told now
        pass
