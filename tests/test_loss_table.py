"""Every loss against PyTorch in float64, value and gradient; at extremes; under masks. A new one is a line here."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dlcore as dl
from dlcore import losses

RANDOM = np.random.default_rng(0)
N, C = 6, 5
LOGITS, OTHER = RANDOM.normal(size=(2, N, C)) * 3
LABELS, BITS = np.array([0, 4, 2, 2, 1, 3]), RANDOM.integers(0, 2, (N, C))
SOFT, WEIGHTS = RANDOM.dirichlet(np.ones(C), size=N), RANDOM.uniform(0.2, 2, C)
SIGNS, ONE = 2 * BITS - 1, BITS[:, 0]

# Our loss with options, predictions, targets, and what PyTorch says (F, torch, predictions, targets).
CASES: dict[str, tuple[Any, Any, Any, Any]] = {
    "mse": (losses.mse, LOGITS, SOFT, lambda F, t, p, y: F.mse_loss(p, y, reduction="none").mean(-1)),
    "mae": (losses.mae, LOGITS, SOFT, lambda F, t, p, y: F.l1_loss(p, y, reduction="none").mean(-1)),
    "huber": (losses.huber, LOGITS, SOFT, lambda F, t, p, y: F.huber_loss(p, y, reduction="none").mean(-1)),
    "huber, delta": (
        functools.partial(losses.huber, delta=0.7),
        LOGITS[:, 0],
        OTHER[:, 0],
        lambda F, t, p, y: F.huber_loss(p, y, reduction="none", delta=0.7),
    ),
    "log_cosh": (losses.log_cosh, LOGITS, SOFT, lambda F, t, p, y: (p - y).cosh().log().mean(-1)),
    "gaussian_nll": (
        lambda p, y: losses.gaussian_nll((p[0], p[1]), y),
        np.stack([LOGITS, OTHER]),
        SOFT,
        lambda F, t, p, y: F.gaussian_nll_loss(p[0], y, p[1].exp(), reduction="none").mean(-1),
    ),
    "gaussian_nll, full": (
        lambda p, y: losses.gaussian_nll((p[0], p[1]), y, full=True),
        np.stack([LOGITS, OTHER]),
        SOFT,
        lambda F, t, p, y: F.gaussian_nll_loss(p[0], y, p[1].exp(), full=True, reduction="none").mean(-1),
    ),
    "cross_entropy": (
        losses.cross_entropy,
        LOGITS,
        LABELS,
        lambda F, t, p, y: F.cross_entropy(p, y, reduction="none"),
    ),
    "cross_entropy, soft": (
        losses.cross_entropy,
        LOGITS,
        SOFT,
        lambda F, t, p, y: F.cross_entropy(p, y, reduction="none"),
    ),
    "cross_entropy, smoothed, ignored and weighted": (
        functools.partial(losses.cross_entropy, label_smoothing=0.2, ignore_index=2, class_weights=WEIGHTS),
        LOGITS,
        LABELS,
        lambda F, t, p, y: F.cross_entropy(
            p, y, t.tensor(WEIGHTS), label_smoothing=0.2, ignore_index=2, reduction="none"
        ),
    ),
    "cross_entropy, an index that is no class ignored": (
        functools.partial(losses.cross_entropy, ignore_index=-100),
        LOGITS,
        np.where(LABELS == 2, -100, LABELS),
        lambda F, t, p, y: F.cross_entropy(p, y, reduction="none"),
    ),
    "cross_entropy, soft, smoothed and weighted": (
        functools.partial(losses.cross_entropy, label_smoothing=0.1, class_weights=WEIGHTS),
        LOGITS,
        SOFT,
        lambda F, t, p, y: F.cross_entropy(p, y, t.tensor(WEIGHTS), label_smoothing=0.1, reduction="none"),
    ),
    "binary_cross_entropy": (
        losses.binary_cross_entropy,
        LOGITS,
        SOFT,
        lambda F, t, p, y: F.binary_cross_entropy_with_logits(p, y, reduction="none").mean(-1),
    ),
    "binary_cross_entropy, weighted": (
        functools.partial(losses.binary_cross_entropy, positive_weight=WEIGHTS),
        LOGITS,
        BITS,
        lambda F, t, p, y: F.binary_cross_entropy_with_logits(
            p, y.double(), pos_weight=t.tensor(WEIGHTS), reduction="none"
        ).mean(-1),
    ),
    "focal": (
        losses.focal,
        LOGITS,
        LABELS,
        lambda F, t, p, y: (1 - p.softmax(-1)[range(N), y]) ** 2 * F.cross_entropy(p, y, reduction="none"),
    ),
    "focal, weighted": (
        functools.partial(losses.focal, gamma=0.5, class_weights=WEIGHTS),
        LOGITS,
        LABELS,
        lambda F, t, p, y: (
            t.tensor(WEIGHTS)[y] * (1 - p.softmax(-1)[range(N), y]) ** 0.5 * F.cross_entropy(p, y, reduction="none")
        ),
    ),
    "binary_focal": (
        functools.partial(losses.binary_focal, alpha=0.25),
        LOGITS[:, 0],
        ONE,
        lambda F, t, p, y: (
            t.where(y > 0, 0.25, 0.75)
            * t.where(y > 0, 1 - p.sigmoid(), p.sigmoid()) ** 2
            * F.binary_cross_entropy_with_logits(p, y.double(), reduction="none")
        ),
    ),
    "hinge": (losses.hinge, LOGITS, SIGNS, lambda F, t, p, y: (1 - y * p).clamp(min=0).mean(-1)),
    "squared_hinge": (
        losses.squared_hinge,
        LOGITS[:, 0],
        SIGNS[:, 0],
        lambda F, t, p, y: (1 - y * p).clamp(min=0) ** 2,
    ),
    "multiclass_hinge": (
        losses.multiclass_hinge,
        LOGITS,
        LABELS,
        lambda F, t, p, y: (1 + p.scatter(1, y[:, None], -1e9).max(1)[0] - p[range(N), y]).clamp(min=0),
    ),
    "multiclass_hinge, summed": (
        functools.partial(losses.multiclass_hinge, margin=0.5, summed=True),
        LOGITS,
        LABELS,
        lambda F, t, p, y: F.multi_margin_loss(p, y, margin=0.5, reduction="none"),
    ),
    "kl_divergence": (
        losses.kl_divergence,
        LOGITS,
        SOFT,
        lambda F, t, p, y: F.kl_div(p.log_softmax(-1), y, reduction="none").sum(-1),
    ),
    "entropy": (
        lambda p, y: losses.entropy(p),
        LOGITS,
        SOFT,
        lambda F, t, p, y: t.distributions.Categorical(logits=p).entropy(),
    ),
    "cosine": (losses.cosine, LOGITS, OTHER, lambda F, t, p, y: 1 - F.cosine_similarity(p, y)),
    "triplet": (
        lambda p, y: losses.triplet(p, y, jnp.asarray(SOFT), margin=0.3),
        LOGITS,
        OTHER,
        lambda F, t, p, y: F.triplet_margin_loss(p, y, t.tensor(SOFT), margin=0.3, eps=0, reduction="none"),
    ),
    "info_nce": (
        losses.info_nce,
        LOGITS,
        OTHER,
        lambda F, t, p, y: F.cross_entropy(F.normalize(p) @ F.normalize(y).T / 0.1, t.arange(N), reduction="none"),
    ),
    "nt_xent": (losses.nt_xent, LOGITS, OTHER, lambda F, t, p, y: _nt_xent_in_torch(F, t, p, y)),
}


def _nt_xent_in_torch(F: Any, torch: Any, first: Any, second: Any) -> Any:
    views = F.normalize(torch.cat([first, second]))
    logits = (views @ views.T / 0.5).masked_fill(torch.eye(2 * N, dtype=torch.bool), -torch.inf)
    partners = torch.cat([torch.arange(N, 2 * N), torch.arange(N)])
    return F.cross_entropy(logits, partners, reduction="none").reshape(2, N).mean(0)


@pytest.mark.few(5)
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_agree_with_torch(name: str):
    torch = pytest.importorskip("torch")
    ours, predictions, targets, theirs = CASES[name]
    leaf = torch.tensor(predictions, requires_grad=True)
    expected = theirs(torch.nn.functional, torch, leaf, torch.tensor(targets))
    weights = np.linspace(0.5, 1.5, len(expected))
    (expected * torch.tensor(weights)).sum().backward()
    with jax.enable_x64(True):
        both = jax.jit(lambda p: (ours(p, targets), jax.grad(lambda p: (ours(p, targets) * weights).sum())(p)))
        value, gradient = both(jnp.asarray(predictions))
    # Both are float64: rounding is what is left.
    np.testing.assert_allclose(value, expected.detach().numpy(), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(gradient, leaf.grad.numpy(), rtol=1e-10, atol=1e-12)


EXTREME = {name: case for name, case in CASES.items() if not name.startswith(("gaussian", "squared"))}


@pytest.mark.few(1)
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_logits_of_any_size_give_finite_values_and_gradients(dtype: Any):
    signs = np.where(RANDOM.random((N, C)) < 0.5, -1e4, 1e4)

    def measure(rows: dict[str, Any], x: Any) -> Any:
        totals = {name: lambda x, ours=ours, y=y: ours(x, y).sum() for name, (ours, _, y, _) in rows.items()}
        return jax.jit(lambda x: {name: jax.value_and_grad(total)(x) for name, total in totals.items()})(x)

    for shape in ((N, C), (N,)):
        rows = {name: case for name, case in EXTREME.items() if case[1].shape == shape}
        for name, (value, gradient) in measure(
            rows, jnp.asarray(signs if len(shape) == 2 else signs[:, 0], dtype)
        ).items():
            assert bool(jnp.isfinite(value)) and bool(jnp.isfinite(gradient).all()), name
            assert gradient.dtype == dtype, name
            assert value.dtype == jnp.float32 or name.startswith(("mse", "mae", "huber", "log_cosh")), name


MASKED = {
    name: case for name, case in CASES.items() if not name.startswith(("info", "nt_", "entropy", "triplet", "gauss"))
}


@pytest.mark.few(2)
@pytest.mark.parametrize("name", MASKED)
def test_what_is_masked_is_zero_and_has_no_gradient_whatever_stands_there(name: str):
    ours, predictions, targets, _ = MASKED[name]
    where = np.array([True, False, True, True, False, True])
    spoiled = np.array(predictions, np.float32)
    spoiled[~where] = np.array([np.nan, np.inf]).reshape(-1, *[1] * (spoiled.ndim - 1))

    @jax.jit
    def both(p: Any) -> Any:
        return ours(p, targets, where=where), jax.grad(lambda p: ours(p, targets, where=where).sum())(p)

    value, gradient = both(spoiled)
    plain = ours(jnp.asarray(predictions, jnp.float32), targets)
    np.testing.assert_allclose(value, np.where(where, plain, 0), rtol=1e-6)
    assert (np.asarray(gradient)[~where] == 0).all() and bool(jnp.isfinite(gradient).all())


def test_nothing_left_by_a_mask_is_zero():
    assert losses.cross_entropy(LOGITS, LABELS, where=False).tolist() == [0.0] * N
    assert losses.cross_entropy(jnp.zeros((0, 3)), jnp.zeros(0, int)).shape == (0,)


@pytest.mark.parametrize("blank", [0, 4])
def test_ctc_agrees_with_torch(blank: int):
    torch = pytest.importorskip("torch")
    logits = RANDOM.normal(size=(3, 9, C)) * 2
    labels = (
        np.array([[1, 1, 2, 3], [2, 1, 0, 0], [3, 0, 0, 0]])
        if blank == 0
        else np.array([[0, 0, 2, 3], [2, 1, 0, 0], [3, 0, 0, 0]])
    )
    lengths, sizes = np.array([9, 5, 7]), np.array([4, 2, 1])
    leaf = torch.tensor(logits, requires_grad=True)
    expected = torch.nn.functional.ctc_loss(
        leaf.log_softmax(-1).transpose(0, 1),
        torch.tensor(labels),
        torch.tensor(lengths),
        torch.tensor(sizes),
        blank=blank,
        reduction="none",
    )
    expected.sum().backward()
    spoiled = np.where(np.arange(9)[:, None] >= lengths[:, None, None], np.nan, logits)
    with jax.enable_x64(True):
        loss = lambda p: losses.ctc(p, labels, lengths=lengths, target_lengths=sizes, blank=blank)
        value, gradient = jax.jit(lambda p: (loss(p), jax.grad(lambda p: loss(p).sum())(p)))(jnp.asarray(spoiled))
    np.testing.assert_allclose(value, expected.detach().numpy(), rtol=1e-10)
    np.testing.assert_allclose(gradient, leaf.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_cross_entropy_is_entropy_plus_divergence():
    whole = losses.cross_entropy(LOGITS, jnp.asarray(SOFT, jnp.float32))
    parts = losses.entropy(jnp.log(jnp.asarray(SOFT, jnp.float32))) + losses.kl_divergence(LOGITS, SOFT)
    np.testing.assert_allclose(whole, parts, rtol=1e-5)


def test_focal_without_gamma_is_the_cross_entropy():
    x = jnp.asarray(LOGITS, jnp.float32)
    np.testing.assert_allclose(losses.focal(x, LABELS, gamma=0.0), losses.cross_entropy(x, LABELS), rtol=1e-6)
    np.testing.assert_allclose(losses.binary_focal(x, BITS, gamma=0.0), losses.binary_cross_entropy(x, BITS), rtol=1e-6)


@pytest.mark.slow
def test_points_that_are_one_have_finite_gradients():
    zeros = jnp.zeros((2, 3))
    for loss in (losses.cosine, lambda a, b: losses.triplet(a, b, zeros)):
        assert bool(jnp.isfinite(jax.grad(lambda a: loss(a, zeros).sum())(zeros)).all())  # noqa: B023


def test_penalties_are_of_kernels_and_their_gradients_are_the_signs_and_the_weights():
    params = {"a": {"kernel": jnp.array([[1.0, -2.0]]), "bias": jnp.array([5.0])}, "norm": {"scale": jnp.ones(2)}}
    assert losses.is_kernel("a/kernel") and not losses.is_kernel("norm/scale")
    assert losses.l1_penalty(params) == 3 and losses.l2_penalty(params) == 2.5
    gradient = jax.grad(lambda p: losses.elastic_penalty(p, 3.0, 2.0))(params)
    assert gradient["a"]["kernel"].tolist() == [[3 + 2, -3 - 4]] and gradient["a"]["bias"] == 0
    assert losses.l1_penalty(params, on=lambda path: path == "a/bias") == 5
    with pytest.raises(ValueError, match="on: no leaf is meant among .*a/bias"):
        losses.l1_penalty(params, on=lambda path: False)


def test_a_loss_with_options_is_a_value():
    smooth = losses.partial(losses.cross_entropy, label_smoothing=0.1)
    assert smooth is losses.partial(losses.cross_entropy, label_smoothing=0.1)
    assert repr(smooth) == "partial(cross_entropy, label_smoothing=0.1)"
    np.testing.assert_array_equal(smooth(LOGITS, LABELS), losses.cross_entropy(LOGITS, LABELS, label_smoothing=0.1))
    with pytest.raises(TypeError, match="cross_entropy takes no 'label_smooting'; did you mean 'label_smoothing'"):
        losses.partial(losses.cross_entropy, label_smooting=0.1)


@pytest.mark.slow
def test_smoothing_is_a_lane_of_one_program():
    model = dl.models.softmax_regression(3)
    objective = lambda hp: dl.supervised(
        model, losses.partial(losses.cross_entropy, label_smoothing=hp["smoothing"]), (dl.metrics.accuracy,)
    )
    result = dl.sweep(model, dl.data.iris(), objective=objective, space={"smoothing": [0.0, 0.1, 0.5]}, epochs=2)
    assert len(result.runs) == 1 and len({row["train_loss"] for row in result.rows}) == 3
    run = dl.fit(model, dl.data.iris(), loss=losses.partial(losses.cross_entropy, label_smoothing=0.1), epochs=2)
    assert np.isclose(run.summary()["loss"], result.rows[1]["train_loss"], rtol=1e-5) and "accuracy" in run.metrics


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: losses.huber(jnp.ones(3), jnp.ones((3, 1))), ValueError, "huber: expected targets of the shape"),
        (lambda: losses.huber(LOGITS, SOFT, delta=0.0), ValueError, "delta: expected a number above 0, found 0.0"),
        (lambda: losses.binary_cross_entropy(LOGITS, LABELS), ValueError, "expected targets of the shape"),
        (lambda: losses.binary_cross_entropy(LOGITS, SIGNS), ValueError, "expected targets from 0 to 1, found -1 to 1"),
        (lambda: losses.binary_cross_entropy(BITS, BITS), TypeError, "expected floating predictions, found int"),
        (lambda: losses.hinge(LOGITS, BITS), ValueError, "expected targets -1 and 1, found others: 2 \\* targets - 1"),
        (lambda: losses.focal(LOGITS, LABELS, gamma=-1), ValueError, "gamma: expected a number of 0 or more, found -1"),
        (lambda: losses.focal(LOGITS, LABELS + 1), ValueError, r"expected labels in \[0, 5\), found 1 to 5"),
        (lambda: losses.multiclass_hinge(LOGITS, SOFT), ValueError, "multiclass_hinge: expected labels"),
        (lambda: losses.multiclass_hinge(LOGITS, SOFT[:, 0]), TypeError, "labels are integers, found float"),
        (lambda: losses.cross_entropy(LOGITS, LABELS, label_smoothing=1.5), ValueError, "expected a number of 0 to 1"),
        (
            lambda: losses.cross_entropy(LOGITS, LABELS, class_weights=[1.0]),
            ValueError,
            r"class_weights: expected \(5,\)",
        ),
        (lambda: losses.cross_entropy(LOGITS, SOFT, ignore_index=1), ValueError, "ignore_index: probabilities hold no"),
        (lambda: losses.kl_divergence(LOGITS, LABELS), TypeError, "expected floating predictions"),
        (
            lambda: losses.gaussian_nll(LOGITS, SOFT),
            TypeError,
            "expected a pair \\(mean, log_variance\\), found ndarray",
        ),
        (lambda: losses.nt_xent(LOGITS, OTHER, temperature=0), ValueError, "temperature: expected a number above 0"),
        (lambda: losses.info_nce(LOGITS[0], OTHER[0]), ValueError, "expected queries and keys"),
        (lambda: losses.ctc(LOGITS, LABELS), ValueError, "ctc: expected logits"),
        (lambda: losses.ctc(LOGITS[None], SOFT[:1]), TypeError, "ctc: labels are integers"),
        (lambda: losses.ctc(LOGITS[None], LABELS[None], blank=5), ValueError, "blank: expected one of the 5 classes"),
    ],
)
def test_what_does_not_fit_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()
