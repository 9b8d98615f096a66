"""`make_run`: a whole training run as one pure function."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax

from dlcore.compose import derive
from dlcore.train._chunk import take_guarded
from dlcore.train._hparams import as_arrays
from dlcore.train._loss_scale import LossScale
from dlcore.train._objective import build_layer, build_optimizer
from dlcore.train._setup import prepare
from dlcore.train._state import TrainState


@struct.dataclass
class Result:
    """What a run computes: a pytree.

    Attributes:
      params: the trained parameters.
      state: the model's state.
      opt_state: the optimizer's state.
      metrics: arrays (steps,) by name; after a non-finite step, `finite` is false and nothing changes any more.
    """

    params: Any
    state: Any
    opt_state: Any
    metrics: Any


def make_run(model: Any, data: Any, *, remat: int | None = None, **options: Any) -> Callable[..., Result]:
    """Returns `run(key, hparams=None) -> Result`: training as one pure function, for `jit`, `vmap` and `grad`.

    The batches, the draws and the updates are those of `fit` with the same arguments and key.

    The gradient of whatever was computed from the result, with respect to hyperparameters, to a model's arguments or to
    the data, goes back through every step, and keeps what each of them needs for that. With `remat` it keeps the state
    after every so many steps and computes the rest again, at the price of at most one more pass forward: memory is
    least where `remat` is near the square root of the number of steps.

    Two things make such a gradient NaN in reverse mode. Where a gradient within the run is exactly 0, as for dead units
    and blank pixels, the root in `adam` and `adamw` has no slope: `adam(eps_root=1e-8)` gives it one. (`rmsprop` has
    its epsilon inside the root.) And a run with a non-finite step ends there; forward mode (`jax.jvp`) still has the
    slope of what came before it.

    Args:
      model: as in `fit`.
      data: a `Dataset`, a pair (x, y) or a source; a host iterator is not a pure function.
      remat: how many steps to compute again at a time on the way back.
      **options: `loss`, `metrics`, `objective`, `optimizer`, `step`, `augment`, `epochs`, `steps`, `batch_size`,
        `hparams`, `policy`, `accumulate`, as in `fit`.

    Returns:
      A function of a JAX key and of numeric hyperparameters by name, which win over those given here.

    Raises:
      TypeError, ValueError: as `fit`, and for `remat` below one; by `run`, for a hyperparameter that nothing reads.

    Example:
      >>> import jax, dlcore as dl
      >>> run = make_run(dl.models.linear(), (jnp.ones((8, 2)), jnp.ones((8, 1))), steps=10, batch_size=4)
      >>> rates = jnp.array([1e-3, 1e-2, 1e-1])
      >>> lanes = jax.jit(jax.vmap(lambda rate: run(jax.random.key(0), {"learning_rate": rate})))(rates)
      >>> lanes.metrics["loss"].shape
      (3, 10)
      >>> last = lambda rate: run(jax.random.key(0), {"learning_rate": rate}).metrics["loss"][-1]
      >>> bool(jax.grad(last)(0.1) < 0)  # a larger rate would have ended lower
      True
    """
    if remat is not None and (not isinstance(remat, int) or isinstance(remat, bool) or remat < 1):
        raise ValueError(f"remat: expected a positive whole number of steps, found {remat!r}")
    setup = prepare(model, data, **options)
    if setup.inputs.stream is not None:
        raise TypeError("data: a host iterator is not a pure function of (key, n); give arrays or a source")
    source, total = setup.inputs.source, setup.total

    def run(key: Any, hparams: Any = None) -> Result:
        values = as_arrays(setup.hparams | dict(hparams or {}))
        if unknown := [name for name in hparams or {} if name not in setup.hparams]:
            raise ValueError(f"hparams: {unknown[0]!r} is not among {sorted(setup.hparams)}")
        params, state = build_layer(setup.model, values).init(derive(key, "init"), *setup.shapes.tree)
        opt_state = build_optimizer(setup.optimizer, values).init(params)
        extra = LossScale.first() if setup.scaled else None
        carry = TrainState(jnp.int32(0), params, state, opt_state, key, values, extra=extra)
        data_key = derive(key, "data")

        def body(carry: TrainState, _: None) -> tuple[TrainState, dict[str, Any]]:
            carry, metrics, _ = take_guarded(setup.step, carry, source(data_key, carry.step))
            return carry, metrics

        carry, metrics = _scan(body, carry, total, remat)  # pyright: ignore[reportArgumentType]
        return Result(carry.params, carry.state, carry.opt_state, metrics)

    return run


def _scan(body: Callable[..., Any], carry: Any, steps: int, remat: int | None) -> tuple[Any, Any]:
    """As `lax.scan`, in chunks that are computed again on the way back, and a remainder."""
    if remat is None or remat >= steps:
        return lax.scan(body, carry, length=steps)
    chunk = jax.checkpoint(lambda carry, _: lax.scan(body, carry, length=remat))
    carry, first = lax.scan(chunk, carry, length=steps // remat)
    carry, rest = lax.scan(body, carry, length=steps % remat)
    return carry, jax.tree.map(lambda a, b: jnp.concatenate([a.reshape(-1, *a.shape[2:]), b]), first, rest)
