"""LSTM and GRU against PyTorch in float64: weights that tell any order of gates from any other, lengths, padding."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore import layers, ops
from dlcore.layers import gru_cell, lstm_cell, recurrent, rnn_cell

RANDOM = np.random.default_rng(0)
B, T, INPUTS, H = 3, 5, 4, 6
X, LENGTHS = RANDOM.normal(size=(B, T, INPUTS)), np.array([5, 2, 3])
KEY = jax.random.key(0)

CELLS: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "lstm": (lstm_cell(H), "LSTM", {}),
    "gru": (gru_cell(H), "GRU", {}),
    "rnn": (rnn_cell(H), "RNN", {}),
    "relu": (rnn_cell(H, activation=jax.nn.relu), "RNN", {"nonlinearity": "relu"}),
}


def _params(name: str, theirs: Any, suffix: str = "_l0") -> dict[str, Any]:
    """PyTorch's weights in our form; its two biases are one but for the GRU's candidate."""
    get = lambda what: jnp.asarray(getattr(theirs, f"{what}{suffix}").detach().numpy())
    own, other = get("bias_ih"), get("bias_hh")
    params = {"kernel": get("weight_ih").T, "recurrent_kernel": get("weight_hh").T, "bias": own + other}
    if name == "gru":
        params |= {"bias": own + other.at[2 * H :].set(0), "recurrent_bias": other[2 * H :]}
    return params


def _module(torch: Any, name: str, **options: Any) -> Any:
    torch.manual_seed(0)
    cell, kind, own = CELLS[name]
    return getattr(torch.nn, kind)(INPUTS, H, batch_first=True, dtype=torch.float64, **own, **options)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_values_and_gradients_are_torch_s(name: str, padded: bool):
    torch = pytest.importorskip("torch")
    theirs, x = _module(torch, name), torch.tensor(X, requires_grad=True)
    given = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor(LENGTHS), True, False) if padded else x
    y, last = theirs(given)
    y = torch.nn.utils.rnn.pad_packed_sequence(y, True, total_length=T)[0] if padded else y
    weights = RANDOM.normal(size=(B, T, H))
    (y * torch.tensor(weights)).sum().backward()
    with jax.enable_x64(True):
        params, mask = _params(name, theirs), ops.length_mask(LENGTHS, T) if padded else None
        model = recurrent(CELLS[name][0], return_carry=True)
        forward = lambda params, x: model.apply(params, {}, x, mask)[0]
        loss = lambda params, x: (forward(params, x)[1] * weights).sum()
        run = jax.jit(lambda *a: (forward(*a), jax.grad(loss, (0, 1))(*a)))
        (carry, ours), (slopes, slope) = run(params, jnp.asarray(X))
    np.testing.assert_allclose(ours, y.detach().numpy(), rtol=1e-10, atol=1e-13)
    for one, other in zip(carry if name == "lstm" else [carry], last if name == "lstm" else [last], strict=True):
        np.testing.assert_allclose(one, other[0].detach().numpy(), rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(slope, x.grad.numpy(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(slopes["kernel"].T, theirs.weight_ih_l0.grad.numpy(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(slopes["recurrent_kernel"].T, theirs.weight_hh_l0.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_two_layers_from_both_ends_are_torch_s():
    torch = pytest.importorskip("torch")
    theirs = _module(torch, "lstm", num_layers=2, bidirectional=True)
    y = theirs(torch.tensor(X))[0].detach().numpy()
    with jax.enable_x64(True):
        model = layers.serial(layers.bidirectional(lstm_cell(H)), layers.bidirectional(lstm_cell(H)))
        params = {
            str(n): {
                end: _params("lstm", theirs, f"_l{n}{suffix}")
                for end, suffix in (("forward", ""), ("backward", "_reverse"))
            }
            for n in (0, 1)
        }
        np.testing.assert_allclose(model.apply(params, {}, jnp.asarray(X))[0], y, rtol=1e-10, atol=1e-13)


def test_a_gru_may_reset_before_the_product():
    with jax.enable_x64(True):
        cell, x = gru_cell(H, reset_after=False), jnp.asarray(X[:, 0])
        params, state = cell.init(KEY, None, x)
        params = jax.tree.map(lambda leaf: jnp.asarray(RANDOM.normal(size=leaf.shape)), params)
        h = RANDOM.normal(size=(B, H))
        ours = cell.apply(params, state, jnp.asarray(h), x)[0][1]
    sigmoid = lambda z: 1 / (1 + np.exp(-z))
    w, u, b = (np.asarray(params[name]) for name in ("kernel", "recurrent_kernel", "bias"))
    part = lambda m, i: m[..., i * H : (i + 1) * H]
    r, z = (sigmoid(X[:, 0] @ part(w, i) + h @ part(u, i) + part(b, i)) for i in (0, 1))
    n = np.tanh(X[:, 0] @ part(w, 2) + (r * h) @ part(u, 2) + part(b, 2))
    np.testing.assert_allclose(ours, (1 - z) * n + z * h, rtol=1e-10)


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_padding_changes_nothing_and_the_last_output_is_the_last_valid_one(name: str):
    cell = CELLS[name][0]
    model, last = recurrent(cell), recurrent(cell, return_sequences=False)
    x, mask = jnp.asarray(X, jnp.float32), ops.length_mask(jnp.array([5, 2, 0]), T)
    params, state = model.init(KEY, x)
    spoiled = jnp.where(mask[..., None], x, 1e3)
    ends = last.apply(params, state, spoiled, mask)[0]
    for row, length in ((0, 5), (1, 2)):
        alone = model.apply(params, state, x[[row], :length])[0]
        np.testing.assert_allclose(model.apply(params, state, spoiled, mask)[0][row, :length], alone[0], atol=1e-6)
        np.testing.assert_allclose(ends[row], alone[0, -1], atol=1e-6)
    assert (ends[2] == 0).all()
    np.testing.assert_allclose(last.apply(params, state, x)[0], model.apply(params, state, x)[0][:, -1], atol=1e-6)
    assert last.apply(params, state, x[:, :0])[0].shape == (B, H)


def test_the_loop_with_its_projection_outside_is_the_cell_step_by_step():
    for cell in (lstm_cell(H), gru_cell(H), gru_cell(H, reset_after=False)):
        x = jnp.asarray(X, jnp.float32)
        params, state = cell.init(KEY, None, x[:, 0])
        carry, outputs = None, []
        for t in range(T):
            (carry, y), _ = cell.apply(params, state, carry, x[:, t])
            outputs.append(y)
        np.testing.assert_allclose(recurrent(cell).apply(params, state, x)[0], jnp.stack(outputs, 1), atol=1e-6)


def test_forward_and_reverse_derivatives_agree_and_lanes_are_loops():
    model, x = recurrent(lstm_cell(3)), jnp.asarray(X, jnp.float32)
    several = [model.init(key, x)[0] for key in jax.random.split(KEY, 2)]
    both = jax.tree.map(lambda *leaves: jnp.stack(leaves), *several)
    lanes = jax.vmap(lambda params: model.apply(params, {}, x)[0])(both)
    loss = lambda params: jnp.sum(model.apply(params, {}, x)[0] ** 2)
    for number, params in enumerate(several):
        np.testing.assert_allclose(lanes[number], model.apply(params, {}, x)[0], atol=1e-6)
    direction = jax.tree.map(jnp.ones_like, several[0])
    forward = jax.jvp(loss, (several[0],), (direction,))[1]
    reverse = sum(jnp.sum(leaf) for leaf in jax.tree.leaves(jax.grad(loss)(several[0])))
    np.testing.assert_allclose(forward, reverse, rtol=1e-4)


def test_a_stack_is_one_recurrence_after_another():
    x = jnp.asarray(X, jnp.float32)
    stack = recurrent(layers.stacked(lstm_cell(H), gru_cell(2)))
    params, state = stack.init(KEY, x)
    first = recurrent(lstm_cell(H)).apply(params["0"], {}, x)[0]
    np.testing.assert_allclose(
        stack.apply(params, state, x)[0], recurrent(gru_cell(2)).apply(params["1"], {}, first)[0], atol=1e-6
    )


def test_one_to_many_feeds_its_output_back():
    cell, x = gru_cell(INPUTS), jnp.asarray(X[:, 0], jnp.float32)
    model = layers.unroll(cell, 3)
    params, state = model.init(KEY, x)
    carry, y, outputs = None, x, []
    for _ in range(3):
        (carry, y), _ = cell.apply(params, state, carry, y)
        outputs.append(y)
    np.testing.assert_allclose(model.apply(params, state, x)[0], jnp.stack(outputs, 1), atol=1e-6)
    with pytest.raises(ValueError, match="expected a cell with outputs of the shape of its inputs"):
        layers.unroll(gru_cell(7), 3).init(KEY, x)


def test_an_lstm_remembers_at_first():
    params, _ = lstm_cell(3).init(KEY, None, jnp.ones((1, 2)))
    assert params["bias"].tolist() == [0.0] * 3 + [1.0] * 3 + [0.0] * 6


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: lstm_cell(0), ValueError, "features: expected a positive whole number"),
        (lambda: layers.stacked(), ValueError, "stacked: expected one or more cells"),
        (lambda: gru_cell(3).init(KEY, None, jnp.ones((2, 3), int)), TypeError, "gru_cell computes in its input's"),
        (lambda: recurrent(lstm_cell(3)).init(KEY, jnp.ones(3)), ValueError, r"recurrent: expected x \(B, T, ...\)"),
    ],
)
def test_what_does_not_fit_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()
