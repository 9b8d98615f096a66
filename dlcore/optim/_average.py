"""Around an optimizer: averages of weights, gradients gathered over steps, rates that fall on a plateau."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from dlcore.checks import expect_positive
from dlcore.optim._checks import check_least, check_share
from dlcore.optim._optimizer import optimizer


class Averaged(NamedTuple):
    """The state of an optimizer that keeps a second set of weights.

    Attributes:
      inner: the state of the optimizer.
      weights: the average, or the slow weights.
      count: steps that were made.
    """

    inner: Any
    weights: Any
    count: jax.Array


class Plateau(NamedTuple):
    """The state of an optimizer that is slowed down.

    Attributes:
      inner: the state of the optimizer.
      scale: what steps are multiplied by.
      best: the lowest mean loss of a window.
      waited: windows since then.
      total: the sum of the losses of this window.
      count: how many they are.
    """

    inner: Any
    scale: jax.Array
    best: jax.Array
    waited: jax.Array
    total: jax.Array
    count: jax.Array


@optimizer
def ema(inner: Any, decay: float = 0.999) -> Any:
    """Keeps the exponential moving average of the weights beside them: see `averaged_weights`.

    It starts from the first weights, and remembers about `1 / (1 - decay)` steps; the early ones fewer, by
    `min(decay, (1 + step) / (10 + step))`, so that the start is soon forgotten.

    Args:
      inner: an optimizer, which trains as without.
      decay: the share that is kept, in [0, 1).

    Source: Polyak and Juditsky, 1992; the early decay: as in TensorFlow.

    Example:
      >>> from dlcore.optim import adam
      >>> ema(adam(3e-4), 0.99)
      ema(adam(learning_rate=0.0003), decay=0.99)
    """
    check_share("decay", decay)

    def share(count: jax.Array) -> jax.Array:
        return 1 - jnp.minimum(decay, (1 + count) / (10 + count))

    return _averaging(inner, share)


@optimizer
def swa(inner: Any, start: int, every: int = 1) -> Any:
    """Stochastic weight averaging: keeps the plain mean of the weights after some steps: see `averaged_weights`.

    Batch norms need their statistics taken anew for the averaged weights.

    Args:
      inner: an optimizer, which trains as without; its rate should stay high.
      start: the first step that counts.
      every: of the later ones, which count.

    Source: Izmailov, Podoprikhin, Garipov, Vetrov and Wilson, 2018.

    Example:
      >>> from dlcore.optim import sgd
      >>> swa(sgd(0.1), start=100)
      swa(sgd(learning_rate=0.1), 100)
    """
    expect_positive(start=start, every=every)

    def share(count: jax.Array) -> jax.Array:
        number = (count - start) // every  # how many are in the mean already
        counts = (count >= start) & ((count - start) % every == 0)
        return jnp.where(count < start, 1.0, jnp.where(counts, 1 / (number + 1), 0.0))

    return _averaging(inner, share)


def averaged_weights(opt_state: Any) -> Any:
    """Returns the weights that `ema` or `swa` keeps, from the state of an optimizer that has one anywhere in it.

    Example:
      >>> from dlcore.optim import sgd
      >>> averaged_weights(ema(sgd(0.1)).init({"w": 2.0}))
      {'w': Array(2., dtype=float32, weak_type=True)}
    """
    found = [one for one in jax.tree.leaves(opt_state, is_leaf=_is_averaged) if _is_averaged(one)]
    if not found:
        raise ValueError("this state holds no average: train with optim.ema(...) or optim.swa(...)")
    return found[0].weights


@optimizer
def lookahead(inner: Any, every: int = 5, slow_rate: float = 0.5) -> Any:
    """Lookahead: every so many steps the weights go back part of the way, `slow + slow_rate * (fast - slow)`.

    Args:
      inner: an optimizer.
      every: steps between.
      slow_rate: the part that is kept, from 0 to 1.

    Source: Zhang, Lucas, Hinton and Ba, Lookahead Optimizer: k Steps Forward, 1 Step Back, 2019.

    Example:
      >>> from dlcore.optim import adam
      >>> lookahead(adam(3e-4))
      lookahead(adam(learning_rate=0.0003))
    """
    expect_positive(every=every)
    check_least("slow_rate", slow_rate)

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Averaged]:
        step, after = optax.with_extra_args_support(inner).update(updates, state.inner, params, **extra)
        count = state.count + 1
        is_back = count % every == 0
        slow = jax.tree.map(
            lambda s, w, u: jnp.where(is_back, s + slow_rate * (w + u - s), s), state.weights, params, step
        )
        step = jax.tree.map(lambda s, w, u: jnp.where(is_back, s - w, u), slow, params, step)
        return step, Averaged(after, slow, count)

    return optax.GradientTransformationExtraArgs(lambda params: _start(inner, params), update)


@optimizer
def accumulate(inner: Any, every: int) -> Any:
    """Gathers the mean gradient of several steps, and then takes one: a large batch in little memory.

    Args:
      inner: an optimizer; its schedule counts the steps it takes.
      every: how many batches make one step.

    Example:
      >>> from dlcore.optim import sgd
      >>> accumulate(sgd(0.1), 4)
      accumulate(sgd(learning_rate=0.1), 4)
    """
    expect_positive(every=every)
    return optax.MultiSteps(inner, every).gradient_transformation()


@optimizer
def plateau(inner: Any, factor: float = 0.1, patience: int = 10, *, window: int = 1, tolerance: float = 1e-4) -> Any:
    """Scales the steps of an optimizer down where the training loss has stopped to fall.

    Args:
      inner: an optimizer.
      factor: by how much, between 0 and 1.
      patience: how many windows without a better loss.
      window: how many losses are averaged: an epoch's steps, since those of single batches jump.
      tolerance: by what share a loss must be lower to be better.

    Source: as `ReduceLROnPlateau` in Keras and PyTorch.

    Example:
      >>> from dlcore.optim import adam
      >>> plateau(adam(3e-4), patience=3)
      plateau(adam(learning_rate=0.0003), patience=3)
    """
    expect_positive(patience=patience, window=window)
    check_share("factor", factor)
    check_least("tolerance", tolerance)
    inner = optax.with_extra_args_support(inner)

    def init(params: Any) -> Plateau:
        zero = jnp.float32(0)
        return Plateau(inner.init(params), jnp.float32(1), jnp.float32(jnp.inf), jnp.int32(0), zero, jnp.int32(0))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Plateau]:
        if "value" not in extra:
            raise ValueError("plateau needs the loss: update(gradient, state, params, value=loss), as `fit` calls it")
        step, after = inner.update(updates, state.inner, params, **extra)
        total, count = state.total + extra["value"], state.count + 1
        is_full = count == window
        mean = total / window
        is_better = is_full & (mean < state.best * (1 - tolerance))
        waited = jnp.where(is_better, 0, state.waited + is_full)
        is_tired = waited >= patience
        scale = jnp.where(is_tired, state.scale * factor, state.scale).astype(jnp.float32)
        step = jax.tree.map(lambda leaf: leaf * scale.astype(jnp.result_type(leaf)), step)
        best = jnp.where(is_better, mean, state.best).astype(jnp.float32)
        total, count = (jnp.where(is_full, jnp.zeros_like(one), one) for one in (total, count))
        return step, Plateau(after, scale, best, jnp.where(is_tired, 0, waited), total.astype(jnp.float32), count)

    return optax.GradientTransformationExtraArgs(init, update)


def _averaging(inner: Any, share: Any) -> optax.GradientTransformationExtraArgs:
    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Averaged]:
        step, after = optax.with_extra_args_support(inner).update(updates, state.inner, params, **extra)
        count = state.count + 1

        def move(average: jax.Array, w: jax.Array, u: jax.Array) -> jax.Array:
            return average + share(count.astype(average.dtype)).astype(average.dtype) * (w + u - average)

        return step, Averaged(after, jax.tree.map(move, state.weights, params, step), count)

    return optax.GradientTransformationExtraArgs(lambda params: _start(inner, params), update)


def _start(inner: Any, params: Any) -> Averaged:
    # A copy: a donated carry must not hold the same array twice.
    return Averaged(inner.init(params), jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), params), jnp.int32(0))


def _is_averaged(x: Any) -> bool:
    return isinstance(x, Averaged)
