"""A model computes in bfloat16 or float16; all that is carried on stays float32."""

from __future__ import annotations

import functools
from types import SimpleNamespace
from typing import Any

import flax.training.dynamic_scale
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import dlcore as dl
from dlcore import layers, losses, metrics, optim
from dlcore.compose import derive
from dlcore.train import LossScale, TrainState, _rewind, gradient_step, supervised
from dlcore.train import _loss_scale as scaling
from dlcore.train._hparams import as_arrays
from dlcore.train._objective import build_layer
from dlcore.train._precision import as_dtype, has_bfloat16
from dlcore.train._program import program
from dlcore.train._rewind import is_small
from dlcore.train._setup import prepare
from tests.compiles import counting

OPTIONS: dict[str, Any] = {"progress": False, "batch_size": 8, "epochs": 3, "optimizer": dl.optim.adam(0.02)}


def overflowing(predictions, targets):
    """A loss that is finite, and whose gradient times 2**15 is not in float16."""
    return 300 * losses.cross_entropy(predictions, targets)


BF16: dict[str, Any] = {"policy": "bf16"}
SCALED: dict[str, Any] = {"policy": "fp16", "accumulate": 2, "loss": overflowing}
BY_STEP = pytest.param(False, marks=pytest.mark.slow, id="checked by step")
CHECKED = pytest.mark.parametrize("small", [pytest.param(True, id="checked by chunk"), BY_STEP])


def fit(model, data, **options) -> dl.Run:
    return dl.fit(model, data, **(OPTIONS | options))


def bits(tree):
    leaves = jax.tree.leaves(tree)
    plain = [jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x for x in leaves]
    return [np.asarray(leaf).tobytes() for leaf in plain]


def assert_same_run(one, other):
    assert bits((one.params, one.state, one.final)) == bits((other.params, other.state, other.final))
    for name in other.metrics:
        np.testing.assert_array_equal(one.metrics[name], other.metrics[name], err_msg=name)


def products(jaxpr: Any) -> list[str]:
    """Returns the types of the operands of all matrix products, inner programs included."""
    found = []
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            found += [str(operand.aval.dtype) for operand in equation.invars]
        for inner in jax.tree.leaves(equation.params, is_leaf=lambda x: hasattr(x, "eqns") or hasattr(x, "jaxpr")):
            inner = getattr(inner, "jaxpr", inner)
            found += products(inner) if hasattr(inner, "eqns") else []
    return found


# --- what computes in which type -------------------------------------------------------------------------------------


@pytest.mark.few(1)
@pytest.mark.parametrize(("policy", "dtype"), [("bf16", "bfloat16"), ("fp16", "float16"), (None, "float32")])
def test_products_are_of_the_policy_and_what_is_carried_is_float32(model, data, policy, dtype):
    setup = prepare(model, data, policy=policy, batch_size=8)
    start = program(setup.model, setup.objective, setup.optimizer, setup.step, 8, None, None, setup.scaled).init
    carry = jax.eval_shape(
        lambda key: start((key, as_arrays(setup.hparams)), None, None, inputs=setup.shapes), jax.random.key(0)
    )
    batch = {name: array[:8] for name, array in data.train.items()}
    found = products(jax.make_jaxpr(setup.step)(carry, batch).jaxpr)
    assert len(found) >= 8 and set(found) == {dtype}
    after, told = jax.eval_shape(setup.step, carry, batch)
    carried = (after.params, after.state, after.opt_state, after.extra, told)
    floating = {leaf.dtype.name for leaf in jax.tree.leaves(carried) if jnp.issubdtype(leaf.dtype, jnp.inexact)}
    assert floating == {"float32"} and jax.tree.structure(after) == jax.tree.structure(carry)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["bf16", "fp16"])
def test_digits_are_learnt_as_in_float32(policy):
    options: dict[str, Any] = {"epochs": 12, "batch_size": 64, "progress": False}
    full, half = (
        dl.fit(dl.models.mlp((32,), classes=10), dl.data.digits(), policy=p, **options) for p in (None, policy)
    )
    for name in ("accuracy", "test_accuracy"):
        assert abs(full.summary()[name] - half.summary()[name]) < 0.02
    assert not np.array_equal(full.metrics["loss"], half.metrics["loss"]) and full.summary()["accuracy"] > 0.9


def test_float32_is_no_policy(model, data):
    one, other = (prepare(model, data, policy=policy, batch_size=8) for policy in ("float32", None))
    assert one.model is model and one.step is other.step


@pytest.mark.parametrize("policy", ["bf16", pytest.param("fp16", marks=pytest.mark.slow)])
def test_predictions_and_evaluations_are_those_of_the_model_that_was_trained(model, data, policy):
    run = fit(model, data, policy=policy)
    x, y = data.test["x"], data.test["y"]
    trained = layers.cast(model, as_dtype(policy))
    expected = trained.apply(run.params, run.state, x)[0]
    predicted = run.predict(x)
    assert predicted.dtype == jnp.float32
    np.testing.assert_allclose(predicted, expected, atol=0.02)
    full = model.apply(run.params, run.state, x)[0]
    assert np.abs(predicted - full).max() > 1e-5  # the model in float32 says something else
    logits = optax.losses.softmax_cross_entropy_with_integer_labels(predicted, jnp.asarray(y))
    np.testing.assert_allclose(run.metrics["test_loss"], logits.mean(), rtol=2e-3)


@pytest.mark.slow
def test_a_function_of_the_hyperparameters_builds_the_model(data):
    def build(hparams):
        return dl.models.mlp((8,), classes=3, dropout=hparams["rate"])

    options: dict[str, Any] = {"policy": "bf16", "hparams": {"rate": 0.1}}
    run = fit(build, data, **options)
    assert run.headline().startswith("cast(mlp(")
    assert run.predict(data.test["x"]).dtype == jnp.float32
    given = {k: v for k, v in OPTIONS.items() if k in ("batch_size", "optimizer")} | options
    assert prepare(build, data, **given).model is prepare(build, data, **given).model is run.model
    wide = lambda hparams: dl.models.mlp((hparams["width"],), classes=3)
    layer = build_layer(prepare(wide, data, policy="fp16", hparams={"width": 5}, batch_size=8).model, {})
    assert repr(layer) == "cast(mlp(hidden=(5,), classes=3), float16)"


@pytest.mark.slow
def test_equal_runs_find_the_same_programs(data):
    make = lambda key: fit(dl.models.softmax_regression(3), data, **SCALED, key=key)
    first = make(0)
    with counting() as counts:
        second = make(1)
        second.predict(data.test["x"])
        second.evaluate("validation")
    assert second.model is first.model
    assert not [name for name in counts.names["lowered"] if name in ("chunk", "evaluate", "init_lanes")], counts


@pytest.mark.slow
def test_whole_runs_as_functions_compute_in_the_policy(model, data):
    options: dict[str, Any] = {k: v for k, v in OPTIONS.items() if k != "progress"} | {
        "policy": "fp16",
        "accumulate": 2,
    }
    found = jax.jit(dl.make_run(model, data, **options))(jax.random.key(0))
    run = fit(model, data, policy="fp16", accumulate=2)
    np.testing.assert_allclose(found.metrics["loss"], run.metrics["loss"], rtol=1e-2)
    assert found.metrics["loss_scale"][-1] == 2.0**15


@pytest.mark.slow
def test_precision_may_be_an_axis_of_a_sweep(model, data):
    space = {"policy": ["float32", "bf16", "fp16"], "accumulate": [1, 2]}
    result = dl.sweep(model, data, space=space, epochs=1, batch_size=8, progress=False)
    assert len(result.rows) == 6 and {row["policy"] for row in result.rows} == set(space["policy"])
    assert all(np.isfinite(row["validation_loss"]) for row in result.rows)


# --- names -----------------------------------------------------------------------------------------------------------


def test_half_is_what_the_device_computes_in(monkeypatch):
    device = lambda platform, **own: SimpleNamespace(platform=platform, **own)
    assert has_bfloat16(device("tpu")) and has_bfloat16(device("cpu"))
    assert has_bfloat16(device("gpu", compute_capability="8.0")) and has_bfloat16(
        device("gpu", compute_capability="12.0")
    )
    for capability in ("7.5", "gfx90a"):
        assert not has_bfloat16(device("gpu", compute_capability=capability))
    for capability, dtype in (("9.0", jnp.bfloat16), ("7.0", jnp.float16)):
        monkeypatch.setattr(jax, "devices", lambda one=device("gpu", compute_capability=capability): [one])
        assert as_dtype("half") == dtype


@pytest.mark.parametrize(("policy", "nearest"), [("bf61", "bf16"), ("Half", "half"), (16, "fp16"), (jnp.bfloat16, "")])
def test_other_policies_are_refused(model, data, policy, nearest):
    with pytest.raises(ValueError, match=f"policy: expected one of .*'half'.* or None, found .*{nearest}"):
        fit(model, data, policy=policy)


def test_what_has_no_model_to_wrap_is_told_of_cast(model, data):
    objective = supervised(model, losses.cross_entropy)
    with pytest.raises(ValueError, match="policy: it is for a model with a loss, .*objective.*`dl.layers.cast`"):
        fit(model, data, policy="bf16", objective=objective)
    with pytest.raises(ValueError, match="policy: .*'step'.*`dl.layers.cast`"):
        fit(model, data, policy="bf16", step=gradient_step(objective, optim.sgd(0.1)))
    run = fit(
        model, data, objective=supervised(layers.cast(model, "bfloat16"), losses.cross_entropy, [metrics.accuracy])
    )
    np.testing.assert_array_equal(run.metrics["loss"], fit(model, data, policy="bf16").metrics["loss"])


# --- on disk ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [pytest.param("bf16", marks=pytest.mark.slow), "fp16"])
def test_a_run_goes_on_to_the_same_bits(data, tmp_path, policy):
    model, options = dl.models.softmax_regression(3), SCALED | {"policy": policy}
    whole = fit(model, data, epochs=6, **options)
    fit(model, data, out=tmp_path, **options)
    assert_same_run(fit(model, data, out=tmp_path, epochs=6, resume=True, **options), whole)
    loaded = dl.load(tmp_path, data=data, loss=overflowing)
    assert_same_run(loaded, whole)
    np.testing.assert_array_equal(loaded.predict(data.test["x"]), whole.predict(data.test["x"]))
    with pytest.raises(ValueError, match=f"another configuration: accumulate: 2 -> 1; policy: '{policy}' -> None"):
        fit(model, data, out=tmp_path, resume=True, loss=overflowing)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["bf16", "fp16"])
def test_norms_and_draws_go_on_to_the_same_bits(model, data, policy):
    options = SCALED | {"policy": policy}
    assert_same_run(fit(model, data, **options).resume(epochs=6, progress=False), fit(model, data, epochs=6, **options))


@pytest.mark.slow
def test_recipes_and_policies_are_read_from_disk(tmp_path):
    model = dl.models.softmax_regression(3)
    run = dl.fit(model, dl.data.iris(), policy="fp16", epochs=1, batch_size=16, out=tmp_path, progress=False)
    loaded = dl.load(tmp_path)
    assert loaded.model is run.model is layers.cast(model, jnp.float16)
    assert dl.verify(tmp_path).ok


def test_a_fork_may_change_the_precision(data):
    before = fit(dl.models.softmax_regression(3), data, **SCALED, epochs=2)
    assert before.final.extra.scale < 2.0**15
    full = before.fork(policy=None, epochs=3, progress=False)
    assert full.final.extra is None and full.final.step == 15
    again = full.fork(policy="fp16", epochs=4, progress=False)
    assert again.metrics["loss"].shape == (20,) and again.final.extra.scale < 2.0**15


@pytest.mark.slow
def test_each_lane_has_a_scale_of_its_own(model, data):
    both = fit(model, data, seeds=2, **SCALED)
    for lane in (0, 1):
        assert_same_run(both.lane(lane), fit(model, data, key=lane, **SCALED))


# --- the scale of the loss -------------------------------------------------------------------------------------------


def product(params, state, batch, *, key, train, hparams):
    loss = jnp.sum(params["w"].astype(jnp.float16) * batch["c"].astype(jnp.float16)).astype(jnp.float32)
    return loss, ({"seen": state["seen"] + 1}, {"loss": loss})


def start(optimizer, scale: Any = LossScale.first()) -> Any:
    params = {"w": jnp.array([0.5, 0.25])}
    return TrainState(
        jnp.int32(0), params, {"seen": jnp.int32(0)}, optimizer.init(params), jax.random.key(0), {}, extra=scale
    )


def batch_of(c) -> Any:
    return {"c": jnp.full(2, c, jnp.float32)}


def test_the_scales_are_those_of_flax(monkeypatch):
    monkeypatch.setattr(scaling, "PATIENCE", 3)
    planted = [1, 1, 40, 1, 1, 1, 1, 1, 1, 1, 1, 7, 7, 1, 1, 1, 300, 300, 1, 1, 1, 1]
    optimizer = optax.adam(0.1)
    step = jax.jit(gradient_step(product, optimizer, loss_scaling=True))
    theirs = flax.training.dynamic_scale.DynamicScale(growth_interval=2, scale=jnp.float32(2.0**15))
    carry = start(optimizer)
    params, opt_state, seen = carry.params, carry.opt_state, []
    for c in planted:
        batch = batch_of(c)
        objective = lambda params: product(params, carry.state, batch, key=None, train=True, hparams={})[0]  # noqa: B023
        theirs, is_finite, _, gradient = theirs.value_and_grad(objective)(params)
        update, after = optimizer.update(gradient, opt_state, params)
        if is_finite:
            params, opt_state = optax.apply_updates(params, update), after
        carry, told = step(carry, batch)
        seen.append(bool(is_finite))
        assert carry.extra.scale == theirs.scale
        assert np.isfinite(told["gradient"]["w"]).all() and np.any(told["gradient"]["w"]) == seen[-1]
    assert 3 <= seen.count(False) < len(planted) / 2
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-6), (carry.params, carry.opt_state), (params, opt_state)
    )
    assert carry.step == len(planted) and carry.state["seen"] == seen.count(True)


def test_an_overflow_changes_nothing_but_the_scale_and_the_number_of_steps():
    optimizer = optax.adam(0.1)
    before = start(optimizer)
    after, told = jax.jit(gradient_step(product, optimizer, loss_scaling=True))(before, batch_of(40))
    assert bits((after.params, after.state, after.opt_state)) == bits((before.params, before.state, before.opt_state))
    assert after.step == 1 and after.extra.scale == 2.0**14 and after.extra.good == 0
    assert not np.any(told["gradient"]["w"]) and np.isfinite(told["loss"]) and told["finite"]


def test_the_scale_takes_no_part_in_the_update():
    optimizer = optax.sgd(1.0)
    step = jax.jit(gradient_step(product, optimizer, loss_scaling=True))
    one, other = (
        step(start(optimizer, LossScale(jnp.float32(s), jnp.int32(0))), batch_of(3))[0] for s in (1.0, 2.0**14)
    )
    assert bits(one.params) == bits(other.params)
    np.testing.assert_array_equal(one.params["w"], [0.5 - 3, 0.25 - 3])


def test_gradients_too_small_for_float16_are_kept():
    tiny = 2.0**-20

    def mean_of_small(params, state, batch, *, key, train, hparams):
        half = params["w"].astype(jnp.float16) * jnp.float16(2.0**-10)
        loss = tiny * half.astype(jnp.float32).sum()
        return loss, (state, {"loss": loss})

    optimizer = optax.sgd(1.0)
    step = jax.jit(gradient_step(mean_of_small, optimizer, loss_scaling=True))
    gradients = [
        step(start(optimizer, LossScale(jnp.float32(s), jnp.int32(0))), batch_of(1))[1]["gradient"]["w"][0]
        for s in (1.0, 2.0**15)
    ]
    assert gradients == [0, tiny * 2.0**-10]


def test_a_scale_doubles_after_2000_good_steps_and_has_an_end():
    scale = LossScale(jnp.float32(2.0**10), jnp.int32(1998))
    assert scale.after(True).scale == 2.0**10 and scale.after(True).good == 1999
    assert scale.after(True).after(True).scale == 2.0**11 and scale.after(True).after(True).good == 0
    assert scale.after(True).after(False).scale == 2.0**9 and scale.after(True).after(False).good == 0
    assert LossScale(jnp.float32(2.0**24), jnp.int32(1999)).after(True).scale == 2.0**24


@CHECKED
def test_a_run_passes_over_steps_that_overflow(data, monkeypatch, small):
    model = dl.models.softmax_regression(3)
    if not small:
        monkeypatch.setattr(_rewind, "SMALL", -1)
    run = fit(model, data, **SCALED)
    assert is_small(run.final) == small and run.stopped == "finished"
    scales, values = run.metrics["loss_scale"], run.metrics["loss"]
    assert scales[0] == 2.0**15 and scales[1] == 2.0**14 and scales[-1] >= 1
    assert np.isfinite(values).all() and values[-5:].mean() < values[:5].mean()
    first = fit(model, data, **SCALED | {"epochs": None, "steps": 1})
    untrained, _ = jax.jit(model.init)(derive(jax.random.key(0), "init"), data.train["x"][:8])
    assert bits(first.params) == bits(untrained) and first.metrics["gradient_norm"][-1] == 0
    assert bits(run.params) != bits(untrained)


@CHECKED
def test_gradients_that_overflow_at_any_scale_stop_the_run(data, monkeypatch, small):
    model = dl.models.softmax_regression(3)
    if not small:
        monkeypatch.setattr(_rewind, "SMALL", -1)

    def steep(predictions, targets):
        return jnp.sqrt(0 * predictions.sum(-1) ** 2)  # 0, where its slope is no number

    run = fit(model, data, policy="fp16", loss=steep, metrics=(), epochs=6)
    assert run.stopped == "non-finite at step 15"  # after the scales 2**15, ..., 2
    assert run.metrics["loss_scale"].tolist() == [2.0**power for power in range(15, 0, -1)]
    assert np.isfinite(run.metrics["loss"]).all() and run.final.extra.scale == 1


@pytest.mark.slow
@CHECKED
def test_a_loss_that_is_not_finite_still_stops_the_run(data, monkeypatch, small):
    model = dl.models.softmax_regression(3)
    if not small:
        monkeypatch.setattr(_rewind, "SMALL", -1)
    x = data.train["x"].copy()
    x[7] = 1e5  # more than float16 can hold, whatever the scale
    run = fit(model, (x, data.train["y"]), policy="fp16", epochs=6)
    assert run.stopped.startswith("non-finite at step") and run.final.step < 5
    assert np.isfinite(run.metrics["loss"]).all()
    assert fit(model, (x, data.train["y"]), policy="bf16", epochs=6).stopped == "finished"


def test_a_gradient_of_the_optimizers_own_that_overflows_is_passed_over_too():
    optimizer = optim.sam(optim.sgd(1.0), radius=1.0)

    def steeper_elsewhere(params, state, batch, *, key, train, hparams):
        loss = jnp.where(params["w"][0] > 0.6, 4.0, 0.5) * params["w"].astype(jnp.float16).sum().astype(jnp.float32)
        return loss, (state, {"loss": loss})

    before = start(optimizer)
    after, told = jax.jit(gradient_step(steeper_elsewhere, optimizer, loss_scaling=True))(before, batch_of(1))
    assert np.any(told["gradient"]["w"]) and after.extra.scale == 2.0**14
    assert bits(after.params) == bits(before.params)


def test_a_step_that_scales_wants_its_scale():
    with pytest.raises(TypeError, match="loss_scaling: expected a LossScale in the carry's extra, found None"):
        gradient_step(product, optax.sgd(1.0), loss_scaling=True)(start(optax.sgd(1.0), None), batch_of(1))
