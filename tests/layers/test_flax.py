"""Oracles: the Flax modules' own `init` and `apply`, and NNX modules called as they are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from dlcore.compose import compose
from dlcore.layers import cast, dense, frozen, relu, repeat, serial
from dlcore.layers._flax import from_flax

x = jnp.linspace(-1.0, 2.0, 24).reshape(6, 4) ** 2
key = jax.random.key(3)


class Net(linen.Module):
    """Keyword `train`, as in most Linen code."""

    rate: float = 0.5

    @linen.compact
    def __call__(self, x, train):
        x = linen.Dense(8)(x)
        x = linen.BatchNorm(use_running_average=not train, momentum=0.9)(x)
        x = linen.Dropout(self.rate, deterministic=not train)(x)
        return linen.Dense(3)(x)


class Attentive(linen.Module):
    """Keywords that tell dropout and statistics apart."""

    @linen.compact
    def __call__(self, x, *, deterministic, use_running_average):
        x = linen.BatchNorm(use_running_average=use_running_average)(x)
        return linen.Dropout(0.5, deterministic=deterministic)(x)


class Sowing(linen.Module):
    """Sows a loss, which Flax keeps as a tuple that grows."""

    @linen.compact
    def __call__(self, x):
        y = linen.Dense(3)(x)
        self.sow("losses", "size", (y**2).mean())
        return y


class NoisyLinen(linen.Module):
    """Draws from a stream that is not `dropout`, in training and evaluation alike."""

    @linen.compact
    def __call__(self, x):
        return x + jax.random.normal(self.make_rng("noise"), x.shape)


class Deep(nnx.Module):
    """Layers in a list, whose paths hold integers."""

    def __init__(self, rate=0.5, *, rngs):
        self.layers = nnx.List([nnx.Linear(4, 8, rngs=rngs), nnx.Linear(8, 3, rngs=rngs)])
        self.norm = nnx.BatchNorm(8, momentum=0.9, rngs=rngs)
        self.drop = nnx.Dropout(rate, rngs=rngs)

    def __call__(self, x):
        return self.layers[1](self.drop(self.norm(self.layers[0](x))))


class Stacked(nnx.Module):
    """Blocks under `nnx.scan`, each with a random stream of its own."""

    def __init__(self, *, rngs):
        @nnx.split_rngs(splits=3)
        @nnx.vmap
        def blocks(rngs):
            return nnx.Sequential(nnx.Linear(4, 4, rngs=rngs), nnx.Dropout(0.5, rngs=rngs))

        self.blocks = blocks(rngs)

    def __call__(self, x):
        @nnx.scan(in_axes=(0, nnx.Carry), out_axes=nnx.Carry)
        def run(block, x):
            return block(x)

        return run(self.blocks, x)


class Noisy(nnx.Module):
    def __init__(self, *, rngs):
        self.rngs = rngs.noise.fork()

    def __call__(self, x):
        return x + jax.random.normal(self.rngs(), x.shape)


def deep(rate=0.5):
    return from_flax(lambda rngs: Deep(rate, rngs=rngs))


def equal(found, expected):
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def close(found, expected):
    # One program against another of the same formulas: they may be fused, and so rounded, differently.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), found, expected)


def only_arrays_by_name(tree):
    if isinstance(tree, dict):
        return type(tree) is dict and all(
            isinstance(name, str) and only_arrays_by_name(item) for name, item in tree.items()
        )
    return isinstance(tree, jax.Array)


# --- Linen ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_linen_starts_as_flax_starts_it():
    params, state = from_flax(Net()).init(key, x)
    variables = Net().init(key, x, train=False)
    equal(params, variables["params"])
    equal(state, {"batch_stats": variables["batch_stats"]})


def test_linen_evaluates_as_flax_evaluates_it():
    layer = from_flax(Net())
    params, state = layer.init(key, x)
    y, after = layer.apply(params, state, x)
    equal(y, Net().apply({"params": params, **state}, x, train=False))
    equal(after, state)


def test_linen_trains_as_flax_trains_it():
    layer = from_flax(Net())
    params, state = layer.init(key, x)
    y, after = layer.apply(params, state, x, key=key, train=True)
    expected, updated = Net().apply(
        {"params": params, **state}, x, train=True, rngs={"dropout": key}, mutable=["batch_stats"]
    )
    equal(y, expected)
    equal(after, updated)
    assert float(jnp.abs(after["batch_stats"]["BatchNorm_0"]["mean"]).max()) > 0


@pytest.mark.slow
def test_linen_key_in_evaluation_is_monte_carlo_dropout_where_the_keywords_allow_it():
    layer = from_flax(Attentive())
    params, state = layer.init(key, x)
    y, after = layer.apply(params, state, x, key=key)
    share = float((y == 0).mean())
    assert 0.2 < share < 0.8
    equal(after, state)
    equal(
        layer.apply(params, state, x)[0],
        Attentive().apply({"params": params, **state}, x, deterministic=True, use_running_average=True),
    )


def test_linen_modules_that_have_a_mode_of_their_own_keep_it():
    layer = from_flax(linen.BatchNorm(use_running_average=True))
    params, state = layer.init(key, x)
    equal(layer.apply(params, state, x, train=True)[1], state)


def test_linen_dropout_alone_is_a_layer():
    layer = from_flax(linen.Dropout(0.5))
    assert layer.init(key, x) == ({}, {})
    equal(layer.apply({}, {}, x)[0], x)
    equal(
        layer.apply({}, {}, x, key=key, train=True)[0],
        linen.Dropout(0.5).apply({}, x, deterministic=False, rngs={"dropout": key}),
    )


def test_linen_streams_of_other_names_draw_from_the_key():
    layer = from_flax(NoisyLinen())
    first, again, other = (layer.apply({}, {}, x, key=jax.random.key(i))[0] for i in (0, 0, 1))
    equal(first, again)
    assert not np.allclose(first, other)
    with pytest.raises(ValueError, match="NoisyLinen draws random numbers, and needs a key"):
        layer.apply({}, {}, x)


def test_linen_sown_values_are_no_state():
    layer = from_flax(Sowing())
    params, state = layer.init(key, x)
    assert state == {}
    y, after = layer.apply(params, state, x, train=True)
    equal(y, Sowing().apply({"params": params}, x))
    assert after == {}


def test_linen_partitioned_params_come_as_plain_arrays():
    kernel_init = linen.with_partitioning(linen.initializers.ones, (None, "model"))
    layer = from_flax(linen.Dense(3, kernel_init=kernel_init))
    params, state = layer.init(key, x)
    assert only_arrays_by_name(params)
    close(layer.apply(params, state, x)[0], jnp.broadcast_to(x.sum(1, keepdims=True), (6, 3)))


# --- NNX -----------------------------------------------------------------------------------------------------------


def test_nnx_starts_as_flax_starts_it():
    params, state = deep().init(key, x)
    module = Deep(rngs=nnx.Rngs(key))
    equal(params["layers"]["0"]["kernel"], module.layers[0].kernel[...])
    equal(params["norm"], nnx.to_pure_dict(nnx.state(module.norm, nnx.Param)))
    assert set(params) == {"layers", "norm"}
    assert jax.tree.map(jnp.shape, state) == {"norm": {"mean": (8,), "var": (8,)}}


def test_nnx_evaluates_as_flax_evaluates_it():
    params, state = deep().init(key, x)
    module = Deep(rngs=nnx.Rngs(key))
    module.eval()
    y, after = deep().apply(params, state, x)
    close(y, module(x))
    equal(after, state)


def test_nnx_trains_its_statistics_as_flax_trains_them():
    layer = deep(rate=0.0)
    params, state = layer.init(key, x)
    module = Deep(0.0, rngs=nnx.Rngs(key))
    module.train()
    y, after = layer.apply(params, state, x, key=key, train=True)
    close(y, module(x))
    close(after, {"norm": {"mean": module.norm.mean[...], "var": module.norm.var[...]}})


def test_nnx_key_in_evaluation_is_monte_carlo_dropout():
    params, state = deep().init(key, x)
    y, after = deep().apply(params, state, x, key=key)
    equal(after, state)
    assert not np.allclose(y, deep().apply(params, state, x)[0])


def test_nnx_instance_starts_from_copies_of_its_weights():
    module = Deep(rngs=nnx.Rngs(5))
    module.norm.mean[...] = jnp.full(8, 0.25)
    layer = from_flax(module)
    params, state = layer.init(key, x)
    equal(params["layers"]["1"]["kernel"], module.layers[1].kernel[...])
    equal(state["norm"]["mean"], jnp.full(8, 0.25))
    module.eval()
    expected = module(x)
    close(layer.apply(params, state, x)[0], expected)
    jax.tree.map(lambda leaf: leaf.delete(), (params, state))  # as donation does
    equal(module(x), expected)
    close(jax.jit(layer.init)(key, x)[0]["layers"]["0"]["kernel"], module.layers[0].kernel[...])


def test_nnx_instance_is_left_as_it_is():
    module = Deep(rngs=nnx.Rngs(5))
    module.eval()
    layer = from_flax(module)
    params, state = layer.init(key, x)
    before = jax.tree.map(jnp.array, nnx.to_pure_dict(nnx.state(module, nnx.Not(nnx.RngKey))))
    jax.jit(lambda params, x: layer.apply(params, state, x, key=key, train=True))(params, x)
    layer.apply(params, state, x, key=key, train=True)
    equal(nnx.to_pure_dict(nnx.state(module, nnx.Not(nnx.RngKey))), before)
    assert module.drop.deterministic and module.norm.use_running_average


@pytest.mark.slow
def test_nnx_streams_of_stacked_blocks_are_independent_and_quiet_in_evaluation():
    layer = from_flax(lambda rngs: Stacked(rngs=rngs))
    params, state = layer.init(key, x)
    first, again, other = (layer.apply(params, state, x, key=jax.random.key(i), train=True)[0] for i in (0, 0, 1))
    equal(first, again)
    assert not np.allclose(first, other)
    module = Stacked(rngs=nnx.Rngs(key))
    module.eval()
    close(layer.apply(params, state, x)[0], module(x))
    with pytest.raises(ValueError, match="Stacked draws random numbers"):
        layer.apply(params, state, x, train=True)


def test_nnx_module_that_takes_rngs_in_its_call_gets_them():
    layer = from_flax(lambda rngs: nnx.Dropout(0.5))
    equal(layer.apply({}, {}, x)[0], x)
    y = layer.apply({}, {}, jnp.ones(1000), key=key, train=True)[0]
    assert 0.4 < float((y == 0).mean()) < 0.6
    with pytest.raises(ValueError):
        layer.apply({}, {}, x, train=True)


def test_nnx_module_that_always_draws_needs_a_key_in_evaluation_too():
    layer = from_flax(lambda rngs: Noisy(rngs=rngs))
    assert layer.apply({}, {}, x, key=key)[0].shape == x.shape
    with pytest.raises(ValueError, match="Noisy draws random numbers, and needs a key"):
        layer.apply({}, {}, x)


def test_nnx_class_that_takes_only_rngs_is_a_constructor():
    params, state = from_flax(Deep).init(key, x)
    equal(params, deep().init(key, x)[0])


def test_nnx_params_of_another_model_are_an_error():
    params, state = deep().init(key, x)
    with pytest.raises(ValueError, match=r"layers/0/kernel \(4, 8\)"):
        deep().apply({**params, "layers": {"0": params["layers"]["0"]}}, state, x)
    with pytest.raises(ValueError, match="norm/mean"):
        deep().apply(params, {}, x)


# --- both ----------------------------------------------------------------------------------------------------------

layers = pytest.mark.parametrize("make", [lambda: from_flax(Net()), deep], ids=["linen", "nnx"])


@layers
def test_params_and_state_are_plain_dicts_of_arrays(make):
    params, state = make().init(key, x)
    assert only_arrays_by_name(params) and only_arrays_by_name(state)
    after = make().apply(params, state, x, key=key, train=True)[1]
    assert only_arrays_by_name(after)
    assert jax.tree.structure(after) == jax.tree.structure(state)


@layers
def test_init_reads_only_shapes(make):
    layer, spec = make(), jax.ShapeDtypeStruct(x.shape, x.dtype)
    equal(layer.init(key, spec), layer.init(key, x))
    abstract = jax.eval_shape(layer.init, key, spec)
    assert jax.tree.map(jnp.shape, abstract) == jax.tree.map(jnp.shape, layer.init(key, x))
    assert layer.plan(spec).output.shape == (6, 3)


@layers
def test_training_without_a_key_raises(make):
    layer = make()
    params, state = layer.init(key, x)
    with pytest.raises(ValueError, match="needs a key"):
        layer.apply(params, state, x, train=True)
    with pytest.raises(ValueError, match="needs a key"):
        jax.jit(lambda params: layer.apply(params, state, x, train=True))(params)


@pytest.mark.few(1)
@layers
def test_no_key_is_used_twice(make):
    layer = make()
    with jax.debug_key_reuse(True):
        params, state = jax.jit(layer.init)(key, x)
        jax.jit(lambda key: layer.apply(params, state, x, key=key, train=True))(key)


@layers
def test_draws_are_those_of_the_key(make):
    layer = make()
    params, state = layer.init(key, x)
    first, again, other = (layer.apply(params, state, x, key=jax.random.key(i), train=True)[0] for i in (0, 0, 1))
    equal(first, again)
    assert not np.allclose(first, other)


@pytest.mark.few(1)
@layers
def test_jit_and_gradient_agree_with_eager(make):
    layer = make()
    params, state = layer.init(key, x)
    train = lambda params: layer.apply(params, state, x, key=key, train=True)
    close(jax.jit(train)(params), train(params))
    gradient = jax.jit(jax.grad(lambda params: (train(params)[0] ** 2).sum()))(params)
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(gradient))
    assert any(bool((leaf != 0).any()) for leaf in jax.tree.leaves(gradient))


@layers
def test_lanes_under_vmap_draw_each_by_its_key(make):
    layer, keys = make(), jax.random.split(key, 3)
    params, state = layer.init(key, x)
    lanes = jax.vmap(lambda key: layer.apply(params, state, x, key=key, train=True)[0])(keys)
    for lane, own in zip(lanes, keys, strict=True):
        close(lane, layer.apply(params, state, x, key=own, train=True)[0])


@pytest.mark.parametrize(
    "make", [lambda: from_flax(linen.Dropout(0.25)), lambda: from_flax(lambda rngs: nnx.Dropout(0.25, rngs=rngs))]
)
def test_dropout_keeps_the_mean(make):
    y = make().apply({}, {}, jnp.ones(40_000), key=key, train=True)[0]
    # Five standard deviations of the mean of 40,000 values that are 0 or 4/3.
    assert float(y.mean()) == pytest.approx(1, abs=5 * (0.25 / 0.75 / 40_000) ** 0.5)
    assert set(np.unique(y).round(4)) == {0.0, np.float32(4 / 3).round(4)}


@layers
def test_layer_within_a_model_learns_and_trains_its_statistics(make):
    model = serial(dense(4), relu(), flax=make(), head=dense(1))
    params, state = first_params, first_state = model.init(key, x)
    target = x.sum(1, keepdims=True)

    def loss(params, state, key, train):
        y, state = model.apply(params, state, x, key=key, train=train)
        return ((y - target) ** 2).mean(), state

    @jax.jit
    def step(params, state, key):
        gradient, state = jax.grad(loss, has_aux=True)(params, state, key, True)
        return jax.tree.map(lambda p, g: p - 0.02 * g, params, gradient), state

    for i in range(150):
        params, state = step(params, state, jax.random.fold_in(key, i))
    assert loss(params, state, None, False)[0] < 0.3 * loss(first_params, first_state, None, False)[0]
    # After that many steps the running mean (decay .9) is that of the inputs of the norm.
    hidden = jax.nn.relu(x @ params["0"]["kernel"] + params["0"]["bias"])
    inner, kept = params["flax"], state["flax"]
    first, mean = (
        (inner["Dense_0"], kept["batch_stats"]["BatchNorm_0"]["mean"])
        if "Dense_0" in inner
        else (inner["layers"]["0"], kept["norm"]["mean"])
    )
    np.testing.assert_allclose(mean, (hidden @ first["kernel"] + first["bias"]).mean(0), atol=0.1)


@pytest.mark.slow
@layers
@pytest.mark.mixed_dtypes("Flax promotes a half-precision input to the type of its params, as `plan` sees")
def test_layer_can_be_cast_and_frozen(make):
    half, still = cast(make(), jnp.bfloat16), frozen(make())
    params, state = half.init(key, x)
    y, after = half.apply(params, state, x, key=key, train=True)
    assert y.dtype == jnp.float32
    assert {leaf.dtype.name for leaf in jax.tree.leaves(after)} == {"float32"}
    params, state = still.init(key, x)
    assert params == {}
    equal(still.apply(params, state, x, key=key, train=True)[1], state)


@pytest.mark.slow
@layers
def test_layer_runs_under_repeat(make):
    model = serial(blocks=repeat(2, serial(make(), dense(4))))
    params, state = model.init(key, x)
    y, after = model.apply(params, state, x, key=key, train=True)
    assert y.shape == x.shape
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, state)


@layers
def test_error_of_a_wrong_shape_names_the_layer(make):
    model = serial(encoder=compose(lambda call, x: call.flax(x), flax=make()))
    params, state = model.init(key, x)
    with pytest.raises(Exception) as caught:
        model.apply(params, state, jnp.ones((6, 5)))
    assert "in layer encoder/flax" in caught.value.__notes__


def test_equal_calls_with_one_module_are_one_layer():
    module = Net()
    assert from_flax(module) is from_flax(module)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (linen.Dense, r"found the class: call it, Dense\(...\)"),
        (lambda rngs: 3, "returns an NNX module, found <function .*, which does not"),
        (3, "expected a Flax module, or a function of `rngs` that makes one, found 3"),
    ],
)
def test_what_is_no_flax_module_is_an_error(wrong, message):
    with pytest.raises(TypeError, match=message):
        from_flax(wrong)
