"""Every optimizer against PyTorch in float64, or against its paper's recurrence written out in NumPy."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import dlcore as dl
from dlcore import optim

STEPS = 60
RANDOM = np.random.default_rng(5)
START = {"kernel": RANDOM.normal(size=(6, 4)), "bias": RANDOM.normal(size=4)}
GRADIENTS = {name: RANDOM.normal(size=(STEPS, *leaf.shape)) for name, leaf in START.items()}
RATE = lambda step: 0.02 / (1 + 0.1 * step)


def ends(optimizer: Any, gradients: Any = GRADIENTS) -> dict[str, np.ndarray]:
    """The params after every step, in float64."""
    with jax.enable_x64(True):

        @jax.jit
        def run(params: Any, gradients: Any) -> Any:
            def step(carry: Any, gradient: Any) -> Any:
                params, state = carry
                change, state = optimizer.update(gradient, state, params)
                params = optax.apply_updates(params, change)
                return (params, state), params

            return jax.lax.scan(step, (params, optimizer.init(params)), gradients)[1]

        return jax.tree.map(np.asarray, run(jax.tree.map(jnp.asarray, START), jax.tree.map(jnp.asarray, gradients)))


TORCH: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "sgd": (optim.sgd(0.1), "SGD", {"lr": 0.1}),
    "momentum": (optim.momentum(0.03, 0.8), "SGD", {"lr": 0.03, "momentum": 0.8}),
    "nesterov": (optim.momentum(0.03, 0.8, nesterov=True), "SGD", {"lr": 0.03, "momentum": 0.8, "nesterov": True}),
    "averaging": (
        optim.momentum(0.03, 0.8, averaging=True),
        "SGD",
        {"lr": 0.03, "momentum": 0.8, "dampening": 0.8, "first": 0.2},
    ),
    "coupled L2": (
        optim.chain(optim.coupled_l2(0.3, None), optim.momentum(0.03, 0.8)),
        "SGD",
        {"lr": 0.03, "momentum": 0.8, "weight_decay": 0.3},
    ),
    "adadelta": (optim.adadelta(0.5, decay=0.8, eps=1e-5), "Adadelta", {"lr": 0.5, "rho": 0.8, "eps": 1e-5}),
    "adam": (optim.adam(0.02, b1=0.8, b2=0.95, eps=1e-6), "Adam", {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-6}),
    "adamw": (
        optim.adamw(0.02, b1=0.8, b2=0.95, eps=1e-6, weight_decay=0.1),
        "AdamW",
        {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1},
    ),
    "adam, decoupled decay": (
        optim.chain(optim.adam(0.02), optim.decoupled_decay(0.02, 0.1, None)),
        "AdamW",
        {"lr": 0.02, "weight_decay": 0.1},
    ),
    "radam": (
        optim.radam(0.02, b1=0.8, b2=0.95, eps=1e-13),  # PyTorch adds it before the correction
        "RAdam",
        {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-13},
    ),
}


@pytest.mark.few(3)
@pytest.mark.parametrize("name", TORCH)
def test_the_path_is_torch_s(name: str):
    torch = pytest.importorskip("torch")
    ours, theirs, options = TORCH[name]
    options = dict(options)
    first = options.pop("first", 1.0)  # PyTorch's dampening spares the first step
    leaves = {key: torch.tensor(leaf.copy(), requires_grad=True) for key, leaf in START.items()}
    optimizer = getattr(torch.optim, theirs)(leaves.values(), **options)
    found = ends(ours)
    for step in range(STEPS):
        for key, leaf in leaves.items():
            leaf.grad = torch.tensor(GRADIENTS[key][step] * (first if step == 0 else 1.0))
        optimizer.step()
        for key, leaf in leaves.items():
            # Both are float64: rounding is what is left.
            np.testing.assert_allclose(found[key][step], leaf.detach().numpy(), rtol=1e-9, atol=1e-11)


def _paths(one: Any) -> dict[str, np.ndarray]:
    """Runs a recurrence (w, g, t, memory) -> w leaf by leaf; `memory` is its own to change."""
    found = {}
    for key, leaf in START.items():
        w, memory, visited = leaf.copy(), {}, []
        for t in range(STEPS):
            w = one(w, GRADIENTS[key][t], t + 1, memory)
            visited.append(w)
        found[key] = np.stack(visited)
    return found


def _mean(memory: Any, name: str, value: Any, decay: float, start: float = 0.0) -> Any:
    memory[name] = decay * memory.get(name, start) + (1 - decay) * value
    return memory[name]


def _rmsprop(w: Any, g: Any, t: int, memory: Any) -> Any:
    return w - 0.01 * g / np.sqrt(_mean(memory, "n", g**2, 0.95) + 1e-3)


def _adagrad(w: Any, g: Any, t: int, memory: Any) -> Any:
    memory["n"] = memory.get("n", 0.2) + g**2
    return w - 0.1 * g / np.sqrt(memory["n"] + 1e-7)


def _nadam(w: Any, g: Any, t: int, memory: Any) -> Any:
    m, n = _mean(memory, "m", g, 0.8), _mean(memory, "n", g**2, 0.95)
    look = 0.8 * m / (1 - 0.8 ** (t + 1)) + 0.2 * g / (1 - 0.8**t)
    return w - 0.02 * look / (np.sqrt(n / (1 - 0.95**t)) + 1e-8)


def _adabelief(w: Any, g: Any, t: int, memory: Any) -> Any:
    m = _mean(memory, "m", g, 0.8)
    memory["s"] = 0.95 * memory.get("s", 0.0) + 0.05 * (g - m) ** 2 + 1e-8
    return w - 0.02 * (m / (1 - 0.8**t)) / (np.sqrt(memory["s"] / (1 - 0.95**t)) + 1e-8)


def _adabound(w: Any, g: Any, t: int, memory: Any) -> Any:
    m, n = _mean(memory, "m", g, 0.8), _mean(memory, "n", g**2, 0.95)
    size = 0.02 * np.sqrt(1 - 0.95**t) / (1 - 0.8**t) / (np.sqrt(n) + 1e-8)
    return w - np.clip(size, 0.1 * (1 - 1 / (0.05 * t + 1)), 0.1 * (1 + 1 / (0.05 * t))) * m


def _lion(w: Any, g: Any, t: int, memory: Any) -> Any:
    step = np.sign(0.9 * memory.get("m", 0.0) + 0.1 * g)
    _mean(memory, "m", g, 0.99)
    return w - 0.003 * (step + 0.1 * w)


def _lamb(w: Any, g: Any, t: int, memory: Any) -> Any:
    m, n = _mean(memory, "m", g, 0.8), _mean(memory, "n", g**2, 0.95)
    u = m / (1 - 0.8**t) / (np.sqrt(n / (1 - 0.95**t)) + 1e-6) + 0.1 * w
    return w - 0.02 * np.linalg.norm(w) / np.linalg.norm(u) * u


def _lars(w: Any, g: Any, t: int, memory: Any) -> Any:
    g = g + 0.1 * w
    memory["v"] = 0.8 * memory.get("v", 0.0) + 1.0 * (0.01 * np.linalg.norm(w) / np.linalg.norm(g) * g)
    return w - memory["v"]


def _scheduled(w: Any, g: Any, t: int, memory: Any) -> Any:
    return w - RATE(t - 1) * g


def _scheduled_adabound(w: Any, g: Any, t: int, memory: Any) -> Any:
    m, n = _mean(memory, "m", g, 0.9), _mean(memory, "n", g**2, 0.999)
    rate, final = RATE(t - 1), 0.1 * RATE(t - 1) / RATE(0)
    size = rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) / (np.sqrt(n) + 1e-8)
    return w - np.clip(size, final * (1 - 1 / (0.001 * t + 1)), final * (1 + 1 / (0.001 * t))) * m


RECURRENCES: dict[str, tuple[Any, Any]] = {
    "rmsprop": (optim.rmsprop(0.01, decay=0.95, eps=1e-3), _rmsprop),
    "adagrad": (optim.adagrad(0.1, initial_accumulator=0.2), _adagrad),
    "nadam": (optim.nadam(0.02, b1=0.8, b2=0.95), _nadam),
    "adabelief": (optim.adabelief(0.02, b1=0.8, b2=0.95, eps=1e-8), _adabelief),
    "adabound": (optim.adabound(0.02, b1=0.8, b2=0.95, gamma=0.05), _adabound),
    "adabound, scheduled": (optim.adabound(RATE), _scheduled_adabound),
    "lion": (optim.lion(0.003, weight_decay=0.1), _lion),
    "lamb": (optim.lamb(0.02, b1=0.8, b2=0.95, weight_decay=0.1), _lamb),
    "lars": (optim.lars(1.0, 0.8, trust=0.01, weight_decay=0.1), _lars),
    "sgd, scheduled": (optim.sgd(RATE), _scheduled),
}


@pytest.mark.few(3)
@pytest.mark.parametrize("name", RECURRENCES)
def test_the_path_is_the_paper_s(name: str):
    ours, recurrence = RECURRENCES[name]
    expected, found = _paths(recurrence), ends(ours)
    for key in START:
        np.testing.assert_allclose(found[key], expected[key], rtol=1e-9, atol=1e-11)


def test_the_two_forms_of_momentum_are_one_path_at_another_rate():
    heavy, averaging = ends(optim.momentum(0.02, 0.9)), ends(optim.momentum(0.2, 0.9, averaging=True))
    for key in START:
        np.testing.assert_allclose(heavy[key], averaging[key], rtol=1e-10)


def test_adabound_comes_to_plain_momentum():
    adaptive = ends(optim.adabound(0.001, gamma=1e9, final_rate=0.05))
    plain = ends(optim.momentum(0.05, 0.9, averaging=True))
    for key in START:  # the bounds are closed to 1e-9 from the first step
        np.testing.assert_allclose(adaptive[key], plain[key], rtol=1e-6)


def test_muon_takes_orthogonal_steps_on_matrices():
    step = optim.muon(1.0, iterations=12)
    change, _ = step.update(
        {"kernel": START["kernel"]}, step.init({"kernel": START["kernel"]}), {"kernel": START["kernel"]}
    )
    values = np.linalg.svd(jax.tree.map(np.asarray, change)["kernel"], compute_uv=False)
    assert values.max() / values.min() < 2 and 0.5 < values.mean() < 2  # its polynomial leaves them between .7 and 1.2


def test_adafactor_keeps_rows_and_columns_of_large_matrices():
    big, small = optim.adafactor(least_factored=4), optim.adafactor(least_factored=128)
    count = lambda made: sum(leaf.size for leaf in jax.tree.leaves(made.init({"kernel": jnp.ones((64, 64))})))
    assert count(big) < 300 < 64 * 64 < count(small)


def test_accumulated_steps_are_those_of_the_large_batch():
    found = ends(optim.accumulate(optim.adam(0.02), 4))
    means = {key: g.reshape(STEPS // 4, 4, *g.shape[1:]).mean(1) for key, g in GRADIENTS.items()}
    expected = ends(optim.adam(0.02), means)
    for key in START:
        np.testing.assert_allclose(found[key][3::4], expected[key], rtol=1e-6, atol=1e-7)  # sums are kept in float32
        np.testing.assert_array_equal(found[key][0], START[key])


def test_averages_are_of_the_weights():
    plain = ends(optim.sgd(0.1))["kernel"]
    with jax.enable_x64(True):

        def average(made: Any) -> Any:
            params, state = jax.tree.map(jnp.asarray, START), made.init(START)
            for t in range(20):
                change, state = made.update({key: g[t] for key, g in GRADIENTS.items()}, state, params)
                params = optax.apply_updates(params, change)
            return optim.averaged_weights(state)["kernel"]

        np.testing.assert_allclose(
            average(optim.swa(optim.sgd(0.1), 8, 3)), plain[[7, 10, 13, 16, 19]].mean(0), rtol=1e-9
        )
        np.testing.assert_allclose(average(optim.swa(optim.sgd(0.1), 50)), plain[19], rtol=1e-9)
        slow = START["kernel"]
        for t in range(20):
            slow = slow + (1 - min(0.9, (2 + t) / (11 + t))) * (plain[t] - slow)
        np.testing.assert_allclose(average(optim.chain(optim.ema(optim.sgd(0.1), 0.9))), slow, rtol=1e-6)
    with pytest.raises(ValueError, match="this state holds no average"):
        optim.averaged_weights(optim.adam().init(START))


def test_lookahead_goes_part_of_the_way_back():
    def recurrence(w: Any, g: Any, t: int, memory: Any) -> Any:
        slow = memory.setdefault("slow", w)
        w = w - 0.1 * g
        if t % 5 == 0:
            w = memory["slow"] = slow + 0.3 * (w - slow)
        return w

    expected, found = _paths(recurrence), ends(optim.lookahead(optim.sgd(0.1), 5, 0.3))
    np.testing.assert_allclose(found["kernel"], expected["kernel"], rtol=1e-10)


def test_a_plateau_lowers_the_steps():
    made: Any = optim.plateau(optim.sgd(1.0), factor=0.5, patience=3)
    state, sizes = made.init(1.0), []
    for value in [3.0, 2.0, 1.0] + [1.0] * 8:
        change, state = made.update(1.0, state, 1.0, value=jnp.asarray(value))
        sizes.append(float(change))
    assert sizes[:3] == [-1.0] * 3 and sizes[-1] == -0.25


def test_proximal_steps_come_to_the_lasso_with_its_exact_zeros():
    linear_model = pytest.importorskip("sklearn.linear_model")
    x = RANDOM.normal(size=(80, 12))
    y = x[:, :3] @ np.array([1.0, -2.0, 0.5]) + 0.1 * RANDOM.normal(size=80)
    lasso = linear_model.Lasso(alpha=0.1, fit_intercept=False, tol=1e-12).fit(x, y)
    made = optim.chain(optim.sgd(0.3), optim.proximal_l1(0.3, 0.1))
    with jax.enable_x64(True):
        gradient = jax.grad(lambda p: jnp.square(x @ p["kernel"] - y).mean() / 2)

        def step(_: Any, carry: Any) -> Any:
            change, state = made.update(gradient(carry[0]), carry[1], carry[0])
            return optax.apply_updates(carry[0], change), state

        start = {"kernel": jnp.zeros(12)}
        weights = np.asarray(jax.lax.fori_loop(0, 2000, step, (start, made.init(start)))[0]["kernel"])
    np.testing.assert_allclose(weights, lasso.coef_, atol=1e-8)
    assert ((weights == 0) == (lasso.coef_ == 0)).all() and (weights == 0).sum() >= 6


def test_decay_is_for_kernels_and_embeddings():
    params = {"words": {"embedding": 1}, "cell": {"recurrent_kernel": 1, "bias": 1}, "norm": {"scale": 1, "offset": 1}}
    assert optim.decay_mask(params) == {
        "words": {"embedding": True},
        "cell": {"recurrent_kernel": True, "bias": False},
        "norm": {"scale": False, "offset": False},
    }


def test_max_norm_holds_every_unit():
    found = ends(optim.chain(optim.sgd(0.5), optim.max_norm(1.5)))
    lengths = np.linalg.norm(found["kernel"], axis=1)  # (steps, units)
    assert lengths.max() <= 1.5 + 1e-9 and (lengths > 1.4999).any() and np.abs(found["bias"]).max() > 2


def test_clipping_by_norm_keeps_the_direction_and_by_value_does_not():
    gradient = {"a": jnp.array([3.0, 0.0]), "b": jnp.array([4.0])}
    by_norm = jax.tree.map(
        np.asarray, optim.clip_by_norm(1.0).update(gradient, optim.clip_by_norm(1.0).init(gradient))[0]
    )
    np.testing.assert_allclose([*by_norm["a"], *by_norm["b"]], [0.6, 0, 0.8], rtol=1e-6)
    untouched = jax.tree.map(np.asarray, optim.clip_by_norm(10.0).update(gradient, optax.EmptyState())[0])
    assert untouched["b"] == 4
    by_value = jax.tree.map(np.asarray, optim.clip_by_value(1.0).update(gradient, optax.EmptyState())[0])
    assert [*by_value["a"], *by_value["b"]] == [1, 0, 1]
    units = jax.tree.map(
        np.asarray,
        optim.adaptive_clip(0.1).update({"w": jnp.ones((2, 2))}, optax.EmptyState(), {"w": jnp.ones((2, 2))})[0],
    )
    np.testing.assert_allclose(jnp.linalg.norm(units["w"], axis=0), 0.1 * np.sqrt(2), rtol=1e-6)


SCHEDULES: dict[str, tuple[Any, Any]] = {
    "linear": (optim.linear(1.0, 0.1, 20), optax.linear_schedule(1.0, 0.1, 20)),
    "polynomial": (optim.polynomial(1.0, 0.1, 20, 3.0), optax.polynomial_schedule(1.0, 0.1, 3.0, 20)),
    "cosine_decay": (optim.cosine_decay(0.5, 20, 0.05), optax.cosine_decay_schedule(0.5, 20, 0.1)),
    "warmup_cosine": (optim.warmup_cosine(0.5, 5, 20, 0.1), optax.warmup_cosine_decay_schedule(0, 0.5, 5, 20, 0.1)),
    "exponential_decay": (optim.exponential_decay(0.5, 7, 0.3), optax.exponential_decay(0.5, 7, 0.3)),
    "step_decay": (optim.step_decay(0.5, 7, 0.3), optax.exponential_decay(0.5, 7, 0.3, staircase=True)),
    "piecewise": (
        optim.piecewise(0.5, {3: 0.1, 9: 2.0}),
        lambda step: 0.5 * (0.1 if step >= 3 else 1) * (2 if step >= 9 else 1),
    ),
    "one_cycle": (optim.one_cycle(0.5, 20), optax.cosine_onecycle_schedule(20, 0.5)),
    "constant": (optim.constant(0.5), optax.constant_schedule(0.5)),
    "inverse_sqrt": (optim.inverse_sqrt(0.5, 9), lambda step: 0.5 * min(step / 9, np.sqrt(9 / max(step, 1)))),
}


@pytest.mark.few(4)
@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_are_optax_s_at_their_corners(name: str):
    ours, theirs = SCHEDULES[name]
    steps = [0, 1, 3, 4, 5, 6, 7, 9, 13, 14, 19, 20, 21, 100]
    np.testing.assert_allclose([ours(s) for s in steps], [theirs(s) for s in steps], rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(
        jax.jit(jax.vmap(ours))(jnp.array(steps)), [ours(s) for s in steps], rtol=1e-5, atol=1e-9
    )
    made = optim.sgd(ours)
    assert repr(made) == f"sgd(learning_rate={ours!r})" and optim.sgd(ours) is made


FACTORIES = [
    *sorted({name.split(",")[0] for name in RECURRENCES}),
    "adam",
    "adamw",
    "radam",
    "adadelta",
    "adafactor",
    "muon",
]


@pytest.mark.parametrize("name", FACTORIES)
def test_every_number_may_be_traced(name: str):
    from dlcore.train._hparams import split_optimizer

    build, numbers = split_optimizer(getattr(optim, name)())
    start = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), START)

    def step(numbers: Any) -> Any:
        made = build(numbers)
        return made.update(start, made.init(start), start)[0]

    assert "learning_rate" in numbers
    shapes = jax.eval_shape(step, jax.tree.map(jnp.float32, numbers))
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), shapes) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), start
    )


@pytest.mark.slow
def test_every_optimizer_trains_in_fit():
    model, data = dl.models.softmax_regression(3), dl.data.iris()
    several = {
        "chain": optim.chain(optim.clip_by_norm(1.0), optim.adam(optim.cosine_decay(0.1, 20))),
        "ema": optim.ema(optim.adam(0.05), 0.9),
        "plateau": optim.plateau(optim.sgd(0.5)),
        "accumulate": optim.accumulate(optim.adam(0.05), 2),
        "muon": optim.muon(0.05),
    }
    for name, optimizer in several.items():
        run = dl.fit(model, data, optimizer=optimizer, steps=40, batch_size=32, key=1)
        assert run.summary()["loss"] < 0.9 * run.metrics["loss"][0], name
        if name == "ema":
            assert optim.averaged_weights(run.final.opt_state).keys() == run.params.keys()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: optim.adagrad(-1.0), "learning_rate: expected a positive number, found -1.0"),
        (lambda: optim.nadam(b1=1.5), r"b1: expected a number in \[0, 1\), found 1.5"),
        (lambda: optim.adabound(final_rate=0.0), "learning_rate: expected a positive number, found 0.0"),
        (lambda: optim.lion(float("nan")), "learning_rate: expected a positive number, found nan"),
        (lambda: optim.clip_by_norm(0.0), "limit: expected a positive number, found 0.0"),
        (lambda: optim.coupled_l2(-0.1), "strength: expected a number of 0 or more, found -0.1"),
        (lambda: optim.accumulate(optim.sgd(), 0), "every: expected a positive whole number, found 0"),
        (lambda: optim.ema(optim.sgd(), 1.0), r"decay: expected a number in \[0, 1\), found 1.0"),
        (lambda: optim.warmup_cosine(0.1, 20, 20), "warmup: expected fewer than the 20 steps in all, found 20"),
        (lambda: optim.one_cycle(0.1, 20, up=1.0), "up: expected a share between 0 and 1, found 1.0"),
        (lambda: optim.cosine_decay(0.1, -5), "steps: expected a positive whole number, found -5"),
        (lambda: optim.proximal_l1(0.1, 0.1).update(1.0, optim.proximal_l1(0.1, 0.1).init(1.0)), "needs the params"),
    ],
)
def test_what_cannot_be_used_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_a_chain_is_of_transformations():
    with pytest.raises(TypeError, match="chain: expected optax transformations, found 0.1"):
        optim.chain(0.1)
