"""Each gated cell against PyTorch, in float64: values, carries and gradients, two layers, both ways, and packed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.activations import relu
from dlcore.core import Layer
from dlcore.layers import bidirectional, gru_cell, lstm_cell, recurrent, rnn_cell, stacked
from dlcore.ops import length_mask

KEY = jax.random.key(0)
GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(3, 5, 4))
LENGTHS = np.array([3, 5, 1])


class Family(NamedTuple):
    cell: Callable[[int], Layer]
    oracle: str
    gates: int
    options: dict[str, Any] = {}


FAMILIES = {
    "tanh": Family(rnn_cell, "RNN", 1),
    "relu": Family(lambda features: rnn_cell(features, activation=relu), "RNN", 1, {"nonlinearity": "relu"}),
    "lstm": Family(lstm_cell, "LSTM", 4),
    "gru": Family(gru_cell, "GRU", 3),
}


def random_params(family: Family, inputs: int, features: int, seed: int) -> dict[str, np.ndarray]:
    generator, wide = np.random.default_rng(seed), family.gates * features
    sizes = {"kernel": (inputs, wide), "recurrent_kernel": (features, wide), "bias": (wide,)}
    sizes |= {"recurrent_bias": (wide,)} if family.oracle == "GRU" else {}
    return {name: generator.normal(size=size) * 0.6 for name, size in sizes.items()}


class Oracle:
    """PyTorch's layer with our params; they are transposed on the way in, and their gradients on the way out."""

    def __init__(self, family: Family, params: dict[str, Any], features: int, layers: int = 1):
        self.torch = pytest.importorskip("torch")
        self.ways = [end for end in ("", "_reverse") if f"l0{end}" in params]
        self.net = getattr(self.torch.nn, family.oracle)(
            *(4, features, layers),
            batch_first=True,
            bidirectional=len(self.ways) == 2,
            dtype=self.torch.float64,
            **family.options,
        )
        with self.torch.no_grad():
            for place, own in params.items():
                # Torch's second bias is ours only in the GRU: elsewhere it is any part of the sum.
                second = own.get("recurrent_bias", np.linspace(-1, 1, own["bias"].size))
                first = own["bias"] - (0 if "recurrent_bias" in own else second)
                leaves = {
                    "weight_ih": own["kernel"].T,
                    "weight_hh": own["recurrent_kernel"].T,
                    "bias_ih": first,
                    "bias_hh": second,
                }
                for name, value in leaves.items():
                    getattr(self.net, f"{name}_{place}").copy_(self.torch.tensor(np.array(value)))

    def __call__(self, x: np.ndarray, carry: Any, lengths: Any = None) -> Any:
        """Returns outputs and last carry, and the gradients of `objective` by params and x."""
        leaf = self.torch.tensor(x, requires_grad=True)
        fed, utils = leaf, self.torch.nn.utils.rnn
        if lengths is not None:
            fed = utils.pack_padded_sequence(leaf, self.torch.tensor(lengths), batch_first=True, enforce_sorted=False)
        start = None if carry is None else tuple(self.torch.tensor(np.array(part)) for part in carry)
        y, last = self.net(fed, start[0] if start is not None and len(start) == 1 else start)
        if lengths is not None:
            y = utils.pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])[0]
        last = last if isinstance(last, tuple) else (last,)
        objective((y, *last), self.torch.sin).backward()
        gradients = {name: leaf.grad.numpy() for name, leaf in self.net.named_parameters()}
        return y.detach().numpy(), [part.detach().numpy() for part in last], gradients, leaf.grad.numpy()

    def names(self, place: str) -> dict[str, str]:
        pairs = {"kernel": "weight_ih", "recurrent_kernel": "weight_hh", "bias": "bias_ih", "recurrent_bias": "bias_hh"}
        return {ours: f"{theirs}_{place}" for ours, theirs in pairs.items()}


def objective(leaves: Any, sin: Any = jnp.sin) -> Any:
    """A sum in which every output has a weight of its own."""
    return sum((sin(leaf * (1.5 + i)) * leaf).sum() for i, leaf in enumerate(leaves))


def ours(model: Layer, params: Any, x: Any, mask: Any, carry: Any, as_torch: Callable[[Any], Any]) -> Any:
    @jax.jit
    def run(params: Any, x: Any) -> Any:
        def loss(params: Any, x: Any) -> Any:
            last, y = model.apply(params, {}, x, mask, carry)[0]
            last = as_torch(last)
            return objective((y, *last)), (y, last)

        (_, found), gradients = jax.value_and_grad(loss, (0, 1), has_aux=True)(params, x)
        return found, gradients

    return run(params, x)


def agree(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)


def compare(family: Family, places: dict[str, Any], model: Layer, tree: Any, features: int, **more: Any) -> None:
    """Compares everything; `places` are params by torch's names of layers and ways, `tree(places)` is ours."""
    carry, lengths, as_torch = (more.get(name) for name in ("carry", "lengths", "as_torch"))
    oracle = Oracle(family, places, features, more.get("layers", 1))
    expected_y, expected_last, expected_gradients, expected_x = oracle(X, more.get("theirs"), lengths)
    mask = None if lengths is None else length_mask(lengths, X.shape[1])
    assert as_torch is not None
    (y, last), (gradients, of_x) = ours(model, tree(places), X, mask, carry, as_torch)
    agree(y, expected_y)
    for part, expected in zip(last, expected_last, strict=True):
        agree(part, expected)
    agree(of_x, expected_x)
    flat = {place: tree_of for place, tree_of in zip(places, jax.tree.leaves(gradients, is_leaf=is_cell), strict=True)}
    for place, own in flat.items():
        for name, theirs in oracle.names(place).items():
            if name in own:
                agree(own[name].T, expected_gradients[theirs])


def is_cell(tree: Any) -> bool:
    return isinstance(tree, dict) and "kernel" in tree


def parts(carry: Any) -> tuple[Any, ...]:
    return carry if isinstance(carry, tuple) else (carry,)


@pytest.mark.few(2)
@pytest.mark.parametrize("packed", [False, True], ids=["whole", "packed"])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_cell_over_time_agrees_with_torch_from_a_carry(name: str, packed: bool) -> None:
    family = FAMILIES[name]
    with jax.enable_x64(True):
        start = GENERATOR.normal(size=(2 if family.oracle == "LSTM" else 1, 3, 3))
        compare(
            family,
            {"l0": random_params(family, 4, 3, 1)},
            recurrent(family.cell(3), return_carry=True),
            lambda places: places["l0"],
            3,
            carry=tuple(map(jnp.asarray, start)) if len(start) == 2 else jnp.asarray(start[0]),
            theirs=start[:, None],
            lengths=LENGTHS if packed else None,
            as_torch=lambda last: [part[None] for part in parts(last)],
        )


@pytest.mark.few(1)
@pytest.mark.parametrize("packed", [False, True], ids=["whole", "packed"])
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_both_ways_agree_with_torch(name: str, packed: bool) -> None:
    family = FAMILIES[name]
    with jax.enable_x64(True):
        compare(
            family,
            {"l0_reverse": random_params(family, 4, 3, 1), "l0": random_params(family, 4, 3, 2)},
            bidirectional(family.cell(3), return_carry=True),
            lambda places: {"backward": places["l0_reverse"], "forward": places["l0"]},
            3,
            lengths=LENGTHS if packed else None,
            as_torch=lambda last: [jnp.stack(both) for both in zip(*map(parts, last), strict=True)],
        )


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_two_layers_agree_with_torch(name: str) -> None:
    family = FAMILIES[name]
    with jax.enable_x64(True):
        compare(
            family,
            {"l0": random_params(family, 4, 3, 1), "l1": random_params(family, 3, 3, 2)},
            recurrent(stacked(family.cell(3), family.cell(3)), return_carry=True),
            lambda places: {"0": places["l0"], "1": places["l1"]},
            3,
            layers=2,
            lengths=LENGTHS,
            as_torch=lambda last: [jnp.stack(both) for both in zip(*map(parts, last), strict=True)],
        )


# --- a step at a time ---------------------------------------------------------------------------------------------

CELLS = {
    "tanh": rnn_cell(3),
    "relu": rnn_cell(3, activation=relu),
    "lstm": lstm_cell(3),
    "gru, reset after": gru_cell(3),
    "gru, reset before": gru_cell(3, reset_after=False),
    "stacked": stacked(lstm_cell(3), gru_cell(2, reset_after=False), rnn_cell(3)),
}


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("name", "reverse"), [("tanh", True), ("lstm", True), ("gru, reset after", True), ("gru, reset before", False)]
)
def test_the_way_over_time_is_the_cell_step_by_step(name: str, reverse: bool) -> None:
    cell, mask = CELLS[name], length_mask(LENGTHS, 5)
    stepwise = Layer(cell.init, cell.apply)  # without its way over time
    with jax.enable_x64(True):
        x = jnp.asarray(X)
        params = jax.tree.map(lambda leaf: leaf + 0.1, recurrent(cell).init(KEY, x)[0])

        @jax.jit
        def run(params: Any, x: Any) -> Any:
            def loss(params: Any, x: Any, cell: Layer) -> Any:
                last, y = recurrent(cell, reverse=reverse, return_carry=True).apply(params, {}, x, mask)[0]
                return objective((y, *jax.tree.leaves(last))), (y, last)

            gradient = jax.grad(loss, (0, 1), has_aux=True)
            return gradient(params, x, cell), gradient(params, x, stepwise)

        found, expected = run(params, x)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12), found, expected)


def test_a_gru_with_the_reset_before_the_product_follows_the_paper() -> None:
    # ONNX's GRU with linear_before_reset=0, written out, with the gates in our order r, z, n.
    family = FAMILIES["gru"]
    params = {name: leaf for name, leaf in random_params(family, 4, 3, 3).items() if name != "recurrent_bias"}
    sigmoid = lambda v: 1 / (1 + np.exp(-v))
    (wr, wz, wn), (ur, uz, un) = (np.split(params[name], 3, 1) for name in ("kernel", "recurrent_kernel"))
    br, bz, bn = np.split(params["bias"], 3)
    h, outputs = np.zeros((3, 3)), []
    for x in X.transpose(1, 0, 2):
        r, z = sigmoid(x @ wr + h @ ur + br), sigmoid(x @ wz + h @ uz + bz)
        h = (1 - z) * np.tanh(x @ wn + (r * h) @ un + bn) + z * h
        outputs.append(h)
    with jax.enable_x64(True):
        agree(recurrent(gru_cell(3, reset_after=False)).apply(params, {}, jnp.asarray(X))[0], np.stack(outputs, 1))


def test_a_missing_carry_is_zeros() -> None:
    cell, x = CELLS["stacked"], jnp.asarray(X[:, 0], jnp.float32)
    params = jax.tree.map(lambda leaf: jnp.full(leaf.shape, 0.3), cell.plan(None, x).params)

    @jax.jit
    def both(params: Any) -> Any:
        carry, y = cell.apply(params, {}, None, x)[0]
        return (carry, y), cell.apply(params, {}, jax.tree.map(jnp.zeros_like, carry), x)[0]

    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7), *both(params))


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("shape", [(1, 1, 4), (1, 0, 4), (0, 2, 4), (2, 3, 2, 4)], ids=str)
def test_one_sequence_one_step_no_step_no_sequence_and_inner_axes_are_fine(name: str, shape: tuple[int, ...]) -> None:
    model = recurrent(CELLS[name], return_carry=True)
    plan = model.plan(jax.ShapeDtypeStruct(shape, jnp.float32))
    found = jax.eval_shape(lambda *args: model.apply(*args)[0], plan.params, {}, *plan.inputs)
    assert jax.tree.map(lambda leaf: leaf.shape, found) == jax.tree.map(lambda leaf: leaf.shape, plan.output)


@pytest.mark.slow
def test_no_step_keeps_the_carry() -> None:
    model, x = recurrent(CELLS["stacked"], return_carry=True), jnp.zeros((2, 0, 4))
    params = model.init(KEY, x)[0]
    carry = jax.tree.map(lambda leaf: jnp.ones(leaf.shape), model.plan(x).output[0])
    after, y = jax.jit(model.apply)(params, {}, x, None, carry)[0]
    jax.tree.map(np.testing.assert_array_equal, after, carry)
    assert y.shape == (2, 0, 3)


# --- init, types, bad input ---------------------------------------------------------------------------------------


def test_each_gate_is_drawn_at_its_own_scale() -> None:
    params = lstm_cell(64).init(KEY, None, jnp.zeros((1, 32)))[0]
    for gate in np.split(np.asarray(params["recurrent_kernel"]), 4, 1):
        np.testing.assert_allclose(gate.T @ gate, np.eye(64), atol=1e-5)
    blocks = np.split(np.asarray(params["kernel"]), 4, 1)
    np.testing.assert_allclose([block.std() for block in blocks], 32**-0.5, rtol=0.05)
    assert len({block.tobytes() for block in blocks}) == 4


def test_the_forget_bias_is_in_the_params_and_may_be_traced() -> None:
    bias = lambda amount: lstm_cell(2, forget_bias=amount).init(KEY, None, jnp.zeros((1, 3)))[0]["bias"]
    np.testing.assert_array_equal(jax.jit(bias)(0.5), [0, 0, 0.5, 0.5, 0, 0, 0, 0])
    np.testing.assert_array_equal(bias(1.0), [0, 0, 1, 1, 0, 0, 0, 0])


@pytest.mark.few(1)
@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("name", ["lstm", "gru, reset after"])
def test_huge_inputs_give_finite_values_and_gradients(name: str, dtype: str) -> None:
    model, x = recurrent(CELLS[name]), jnp.asarray([[[1e4] * 4, [-1e4] * 4, [0.0] * 4]], dtype)
    params = model.init(KEY, x)[0]

    def loss(params: Any, x: Any) -> Any:
        y = model.apply(params, {}, x)[0]
        assert y.dtype == x.dtype
        return y.astype(jnp.float32).sum()

    leaves = jax.tree.leaves(jax.jit(jax.value_and_grad(loss, (0, 1)))(params, x))
    assert all(np.isfinite(np.asarray(leaf, np.float32)).all() for leaf in leaves)


@pytest.mark.parametrize("name", ["lstm", "gru, reset after"])
def test_integers_and_wrong_carries_are_refused(name: str) -> None:
    model, x = recurrent(CELLS[name]), jnp.asarray(X, jnp.float32)
    params = model.init(KEY, x)[0]
    with pytest.raises(TypeError, match="computes in its input's floating type"):
        model.init(KEY, x.astype(int))
    with pytest.raises(ValueError, match=r"expected a carry \(3, 3\) for x \(3, 5, 4\), found \(1, 3, 3\)"):
        model.apply(params, {}, x, None, jax.tree.map(lambda leaf: leaf[None], carry_of(model, params, x)))
    with pytest.raises(ValueError, match="expected params .*found"):
        model.apply(params, {}, x[..., :2])


def carry_of(model: Layer, params: Any, x: Any) -> Any:
    cell = recurrent(CELLS["lstm"] if "recurrent_bias" not in params else CELLS["gru, reset after"], return_carry=True)
    return cell.apply(params, {}, x)[0][0]


def test_a_carry_of_another_kind_is_refused() -> None:
    x, zeros = jnp.zeros((2, 5, 4)), jnp.zeros((2, 3))
    with pytest.raises(ValueError, match=r"lstm_cell: expected a carry \(h, c\)"):
        recurrent(lstm_cell(3)).init(KEY, x, None, zeros)
    with pytest.raises(ValueError, match="stacked: expected a carry for each of 2 cells"):
        recurrent(stacked(gru_cell(3), gru_cell(3))).init(KEY, x, None, (zeros,))
    with pytest.raises(ValueError, match="stacked: expected one cell or more"):
        stacked()
    with pytest.raises(TypeError, match="activation: expected a function"):
        rnn_cell(3, activation="tanh")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("factory", [lstm_cell, gru_cell])
def test_a_size_that_is_not_positive_is_refused(factory: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="features: expected a positive whole number"):
        factory(0)


def test_a_stack_with_a_cell_of_layers_is_run_step_by_step() -> None:
    from dlcore.compose import compose
    from dlcore.layers import dense

    def forward(call: Any, carry: Any, x: Any) -> Any:
        y = call.mix(x) if carry is None else call.mix(x) + carry
        return y, y

    sums = compose(forward, mix=dense(3))
    model = recurrent(stacked(lstm_cell(3), sums))
    x = jnp.asarray(X, jnp.float32)
    params = model.init(KEY, x)[0]
    below = recurrent(lstm_cell(3)).apply(params["0"], {}, x)[0]
    expected = np.cumsum(below @ params["1"]["mix"]["kernel"] + params["1"]["mix"]["bias"], 1)
    np.testing.assert_allclose(model.apply(params, {}, x)[0], expected, rtol=1e-5, atol=1e-6)
