"""All norms in one table: values and gradients of PyTorch in float64, half precision, large means, no variance."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore import layers

torch = pytest.importorskip("torch")
F = torch.nn.functional

RANDOM = np.random.default_rng(0)
SHAPE, GROUPS = (4, 3, 5, 6), 2  # (B, H, W, C)
X = 3 + 2 * RANDOM.normal(size=SHAPE)
WEIGHTS = RANDOM.normal(size=SHAPE)  # of the sum that is differentiated
BY_CHANNEL = {"scale": RANDOM.normal(size=6), "offset": RANDOM.normal(size=6)}
BY_PIXEL = {"scale": RANDOM.normal(size=SHAPE[1:]), "offset": RANDOM.normal(size=SHAPE[1:])}
BY_PLACE = {"scale": RANDOM.normal(size=(3, 5)), "offset": RANDOM.normal(size=(3, 5))}
STYLE = (RANDOM.normal(size=(4, 6)), RANDOM.normal(size=(4, 6)))
OTHER_IMAGE = 1 + RANDOM.normal(size=(4, 2, 4, 6))
STATE = {"mean": RANDOM.normal(size=6), "var": 1 + RANDOM.uniform(size=6)}


class Case(NamedTuple):
    layer: Any
    oracle: Callable[..., Any]  # (x, params, *rest) of torch -> y, channels last
    params: dict[str, Any]
    rest: tuple[Any, ...] = ()
    train: bool = True
    state: Any = {}


def _channels_first(norm: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, p, *rest: norm(x.movedim(-1, 1), p, *rest).movedim(1, -1)


def _adain(x: Any, p: Any, style: Any) -> Any:
    if isinstance(style, tuple):
        mean, std = (part[:, None, None] for part in style)
    else:
        var, mean = torch.var_mean(style, (1, 2), correction=0, keepdim=True)
        std = (var + 1e-5).sqrt()
    var_x, mean_x = torch.var_mean(x, (1, 2), correction=0, keepdim=True)
    return (x - mean_x) / (var_x + 1e-5).sqrt() * std + mean


def _adalin(x: Any, p: Any, scale: Any, offset: Any) -> Any:
    # The authors' `adaILN`, with biased variances.
    parts = []
    for axes in ((1, 2), (1, 2, 3)):
        var, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
        parts.append((x - mean) / torch.sqrt(var + 1e-5))
    return (p["rho"] * parts[0] + (1 - p["rho"]) * parts[1]) * scale[:, None, None] + offset[:, None, None]


def _batch_norm(x: Any, p: Any, train: bool) -> Any:
    mean, var = (torch.tensor(STATE[name]) for name in ("mean", "var"))
    return F.batch_norm(x, mean, var, p["scale"], p["offset"], training=train, eps=1e-5)


CASES = {
    "batch, training": Case(
        layers.batch_norm(), _channels_first(lambda x, p: _batch_norm(x, p, True)), BY_CHANNEL, state=STATE
    ),
    "batch, evaluation": Case(
        layers.batch_norm(),
        _channels_first(lambda x, p: _batch_norm(x, p, False)),
        BY_CHANNEL,
        train=False,
        state=STATE,
    ),
    "layer": Case(layers.layer_norm(), lambda x, p: F.layer_norm(x, (6,), p["scale"], p["offset"], 1e-6), BY_CHANNEL),
    "layer over images": Case(
        layers.layer_norm(axis=(-3, -2, -1)),
        lambda x, p: F.layer_norm(x, SHAPE[1:], p["scale"], p["offset"], 1e-6),
        BY_PIXEL,
    ),
    "layer over places": Case(
        layers.layer_norm(axis=(2, 1)),
        _channels_first(lambda x, p: F.layer_norm(x, SHAPE[1:3], p["scale"], p["offset"], 1e-6)),
        BY_PLACE,
    ),
    "rms": Case(
        layers.rms_norm(),
        lambda x, p: F.rms_norm(x, (6,), p["scale"], 1e-6),
        {"scale": BY_CHANNEL["scale"]},
    ),
    "instance": Case(
        layers.instance_norm(),
        _channels_first(lambda x, p: F.instance_norm(x, weight=p["scale"], bias=p["offset"], eps=1e-5)),
        BY_CHANNEL,
    ),
    "group": Case(
        layers.group_norm(GROUPS),
        _channels_first(lambda x, p: F.group_norm(x, GROUPS, p["scale"], p["offset"], 1e-5)),
        BY_CHANNEL,
    ),
    "adain to features": Case(layers.adain(), _adain, {}, (OTHER_IMAGE,)),
    "adain to statistics": Case(layers.adain(), _adain, {}, (STYLE,)),
    "adalin": Case(layers.adalin(), _adalin, {"rho": RANDOM.uniform(size=6)}, STYLE),
}


_map = jax.tree.map
HALVES = {"float16": jnp.float16, "bfloat16": jnp.bfloat16}


@functools.cache
def _found(name: str) -> dict[str, Any]:
    """All inputs of a case and what our layer makes of them, in one program: compiling it is what takes time."""
    case = CASES[name]

    def apply(params: Any, x: Any, rest: Any, state: Any) -> Any:
        return case.layer.apply(params, state, x, *rest, train=case.train)[0]

    def loss(*args: Any) -> Any:
        return (apply(*args) * WEIGHTS).sum()

    @jax.jit
    def run(params: Any, rest: Any, state: Any, xs: Any) -> Any:
        out = {}
        for kind, x in xs.items():
            to = jnp.float64 if kind == "exact" else jnp.float32
            weights, stats = _map(lambda leaf, to=to: leaf.astype(to), (params, state))
            out[kind] = apply(weights, x, _map(lambda leaf, x=x: leaf.astype(x.dtype), rest), stats)
        flat = jax.grad(loss, 1)(params, xs["flat"].astype(jnp.float64), rest, state)
        return out, jax.grad(loss, (0, 1, 2))(params, xs["exact"], rest, state), flat

    with jax.enable_x64(True):
        far, wide, flat = (jnp.asarray(x, jnp.float32) for x in (X + 1e4, X * 1e4, np.full_like(X, 7.0)))
        xs = {"exact": jnp.asarray(X), "far": far, "wide": wide, "flat": flat}
        xs |= {kind: jnp.asarray(X, to) for kind, to in HALVES.items()}
        y, gradients, of_flat = run(*_map(jnp.asarray, (case.params, case.rest, case.state)), xs)
    return {"x": xs, "y": y, "gradients": gradients, "gradient of flat": of_flat}


def _expected(name: str, kind: str) -> tuple[Any, Any]:
    """PyTorch's output in float64 for the very same inputs, and its gradients."""
    case, x = CASES[name], _found(name)["x"][kind]
    rest = _map(lambda leaf: leaf.astype(x.dtype), case.rest)
    tensors = _map(lambda a: torch.tensor(np.asarray(a, np.float64), requires_grad=True), (case.params, x, rest))
    y = case.oracle(tensors[1], tensors[0], *tensors[2])
    (y * torch.tensor(WEIGHTS)).sum().backward()
    return y.detach().numpy(), _map(lambda leaf: leaf.grad.numpy(), tensors)


@pytest.mark.few(2)
@pytest.mark.parametrize("name", CASES)
def test_norms_agree_with_torch_in_value_and_gradient(name: str):
    y, gradients = _found(name)["y"]["exact"], _found(name)["gradients"]
    expected, of_torch = _expected(name, "exact")
    assert y.dtype == np.float64
    np.testing.assert_allclose(y, expected, rtol=1e-11, atol=1e-12)
    _map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11), gradients, of_torch)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", HALVES)
def test_norms_of_half_precision_lose_no_more_than_the_rounding_of_the_output(name: str, kind: str):
    y = _found(name)["y"][kind]
    assert y.dtype == HALVES[kind]
    step = float(jnp.finfo(y.dtype).eps)
    np.testing.assert_allclose(np.asarray(y, np.float64), _expected(name, kind)[0], rtol=step, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_norms_stand_a_large_mean_and_a_large_variance(name: str):
    # float32 takes steps of 2^-10 at 1e4, and a mean is right to a few of them; the deviation is 2, and scales up to 3.
    np.testing.assert_allclose(_found(name)["y"]["far"], _expected(name, "far")[0], rtol=1e-5, atol=4 * 2**-10)
    np.testing.assert_allclose(_found(name)["y"]["wide"], _expected(name, "wide")[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_norms_stand_inputs_without_variance(name: str):
    # The rounding of the mean, 5e-7, is divided by the root of epsilon, 3e-3 (1e-3 in layer norm).
    np.testing.assert_allclose(_found(name)["y"]["flat"], _expected(name, "flat")[0], rtol=1e-5, atol=2e-3)
    assert np.isfinite(_found(name)["gradient of flat"]).all()


@pytest.mark.parametrize("name", CASES)
def test_norms_refuse_integers(name: str):
    case = CASES[name]
    params, state, rest = _map(jnp.float32, (case.params, case.state, case.rest))
    with pytest.raises(TypeError, match="floating type, found int32"):
        case.layer.apply(params, state, jnp.ones(SHAPE, jnp.int32), *rest)


@pytest.mark.parametrize("factory", [layers.batch_norm, layers.layer_norm, layers.rms_norm, layers.instance_norm])
@pytest.mark.parametrize("epsilon", [-1e-5, float("nan"), float("inf")])
def test_norms_refuse_an_epsilon_that_is_negative_or_no_number(factory: Any, epsilon: float):
    with pytest.raises(ValueError, match="epsilon: expected a number from 0 up, which is added inside the root, found"):
        factory(epsilon=epsilon)


def test_an_epsilon_may_be_traced():
    x = jnp.asarray(X, jnp.float32)
    run = jax.jit(
        lambda epsilon: layers.instance_norm(epsilon=epsilon, use_scale=False, use_offset=False).apply({}, {}, x)[0]
    )
    assert abs(run(1e6)).max() < 0.1 < abs(run(1e-5)).max()


@pytest.mark.few(1)
@pytest.mark.parametrize("norm", [layers.layer_norm(), layers.instance_norm(), layers.group_norm(GROUPS)])
def test_one_example_does_not_depend_on_the_others(norm: Any):
    x = jnp.asarray(X, jnp.float32)
    params, state = norm.init(jax.random.key(0), x)
    np.testing.assert_allclose(
        norm.apply(params, state, x[:1])[0], norm.apply(params, state, x)[0][:1], rtol=1e-5, atol=1e-6
    )
