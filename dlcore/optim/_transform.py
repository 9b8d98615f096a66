"""What stands before or after an optimizer in a chain: clipping, decay, constraints, and the chain itself."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from dlcore.optim._checks import check_least, check_positive, check_rate
from dlcore.optim._optimizer import Rate, optimizer


def decay_mask(params: Any) -> Any:
    """Returns which leaves commonly decay: kernels and embeddings, and not biases, scales and offsets.

    Example:
      >>> decay_mask({"dense": {"kernel": 0, "bias": 0}, "norm": {"scale": 0}})
      {'dense': {'bias': False, 'kernel': True}, 'norm': {'scale': False}}
    """

    def decays(path: Any, _: Any) -> bool:
        name = jax.tree_util.keystr(path[-1:], simple=True)
        return name.endswith("kernel") or name == "embedding"

    return jax.tree_util.tree_map_with_path(decays, params)


@optimizer
def chain(*parts: Any) -> Any:
    """Runs transformations one after another, as `optax.chain`.

    Example:
      >>> from dlcore.optim import adam
      >>> chain(clip_by_norm(1.0), adam(3e-4))
      chain(clip_by_norm(1.0), adam(learning_rate=0.0003))
    """
    if odd := [part for part in parts if not hasattr(part, "update")]:
        raise TypeError(f"chain: expected optax transformations, found {odd[0]!r}")
    return optax.chain(*parts)


@optimizer
def clip_by_value(limit: float) -> Any:
    """Clips each element of the gradient to [-limit, limit]; that may turn its direction.

    Example:
      >>> clip_by_value(1.0).update(jnp.array([3.0, -0.5]), ())[0].tolist()
      [1.0, -0.5]
    """
    check_positive("limit", limit)
    return optax.clip(limit)


@optimizer
def clip_by_norm(limit: float) -> Any:
    """Clips the gradient as a whole to a length, `g * min(1, limit / |g|)` over all leaves; its direction stays.

    One element that is not a number makes all of them so, and `fit` stops before that step.

    Source: Pascanu, Mikolov and Bengio, 2013.

    Example:
      >>> clip_by_norm(1.0).update(jnp.array([3.0, 4.0]), ())[0].round(2).tolist()
      [0.6, 0.8]
    """
    check_positive("limit", limit)
    return optax.clip_by_global_norm(limit)


@optimizer
def adaptive_clip(limit: float = 0.01, eps: float = 1e-3) -> Any:
    """Clips the gradient of each unit to a share of its weights, `limit * max(|w|, eps)`.

    Args:
      limit: the share.
      eps: weights count as at least so long, so that those that start at 0 can move.

    Source: Brock, De, Smith and Simonyan, High-Performance Large-Scale Image Recognition Without Normalization, 2021.

    Example:
      >>> adaptive_clip(0.02)
      adaptive_clip(limit=0.02)
    """
    check_positive("limit", limit)
    check_least("eps", eps)
    return optax.adaptive_grad_clip(limit, eps)


@optimizer
def coupled_l2(strength: float, mask: Any = decay_mask) -> Any:
    """Adds `strength * w` to the gradient, as the gradient of `strength * |w|^2 / 2` in the loss would.

    Before Adam it is rescaled with the gradient, and hardly decays what has large gradients: decoupled decay is another
    thing.

    Args:
      strength: 0 or more.
      mask: `params -> tree of bools`: which leaves; kernels and embeddings by default.

    Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019.

    Example:
      >>> coupled_l2(0.1).update({"kernel": 0.0}, coupled_l2(0.1).init({"kernel": 2.0}), {"kernel": 2.0})[0]
      {'kernel': 0.2}
    """
    check_least("strength", strength)
    return optax.add_decayed_weights(strength, mask)


@optimizer
def decoupled_decay(learning_rate: Rate, strength: float, mask: Any = decay_mask) -> Any:
    """Takes `learning_rate * strength * w` off the weights, after an optimizer, whatever that makes of the gradient.

    Args:
      learning_rate: that of the optimizer.
      strength: 0 or more.
      mask: `params -> tree of bools`: which leaves; kernels and embeddings by default.

    Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019.

    Example:
      >>> from dlcore.optim import sgd
      >>> chain(sgd(0.1), decoupled_decay(0.1, 1e-4))
      chain(sgd(learning_rate=0.1), decoupled_decay(0.1, 0.0001))
    """
    check_rate(learning_rate)
    check_least("strength", strength)

    def shrink(step: Any, params: Any, rate: Any) -> Any:
        chosen = mask(params) if callable(mask) else mask
        decay = lambda u, w, is_chosen: u - rate * strength * w if is_chosen else u
        if chosen is None:
            return jax.tree.map(lambda u, w: u - rate * strength * w, step, params)
        return jax.tree.map(decay, step, params, chosen)

    return _after(learning_rate, shrink)


@optimizer
def proximal_l1(learning_rate: Rate, strength: float, mask: Any = decay_mask) -> Any:
    """Soft threshold after a step of descent, `sign(w) * max(|w| - learning_rate * strength, 0)`: exact zeros under L1.

    Steps along the gradient of `strength * |w|` only hover about 0; this is the step that belongs to it.

    Args:
      learning_rate: that of the descent before it, which should be plain: Adam has another rate for each weight.
      strength: of the penalty, 0 or more.
      mask: `params -> tree of bools`: which leaves; kernels and embeddings by default.

    Source: Beck and Teboulle, A Fast Iterative Shrinkage-Thresholding Algorithm, 2009.

    Example:
      >>> from dlcore.optim import sgd
      >>> step = chain(sgd(0.1), proximal_l1(0.1, 1.0))
      >>> params = {"kernel": jnp.array([0.05, 1.0])}
      >>> change, _ = step.update({"kernel": jnp.zeros(2)}, step.init(params), params)
      >>> (params["kernel"] + change["kernel"]).round(3).tolist()
      [0.0, 0.9]
    """
    check_rate(learning_rate)
    check_least("strength", strength)

    def threshold(step: Any, params: Any, rate: Any) -> Any:
        def one(u: jax.Array, w: jax.Array, is_chosen: bool = True) -> jax.Array:
            after = w + u
            kept = jnp.sign(after) * jnp.maximum(jnp.abs(after) - rate * strength, 0)
            return kept - w if is_chosen else u

        chosen = mask(params) if callable(mask) else mask
        return jax.tree.map(one, step, params, *([] if chosen is None else [chosen]))

    return _after(learning_rate, threshold)


@optimizer
def max_norm(limit: float, mask: Any = decay_mask) -> Any:
    """Max-norm constraint, after an optimizer: the incoming weights of each unit are scaled down to a length.

    Args:
      limit: the longest that a unit's weights, over all axes but the last, may be.
      mask: `params -> tree of bools`: which leaves; kernels and embeddings by default.

    Source: Srebro and Shraibman, 2005; Srivastava et al., 2014.

    Example:
      >>> step, params = max_norm(1.0), {"kernel": jnp.array([[3.0], [4.0]])}
      >>> change, _ = step.update({"kernel": jnp.zeros((2, 1))}, step.init(params), params)
      >>> (params["kernel"] + change["kernel"]).round(2).ravel().tolist()
      [0.6, 0.8]
    """
    check_positive("limit", limit)

    def project(step: Any, params: Any, rate: Any) -> Any:
        def one(u: jax.Array, w: jax.Array, is_chosen: bool = True) -> jax.Array:
            after = w + u
            square = jnp.sum(jnp.square(after), axis=tuple(range(after.ndim - 1)), keepdims=True)
            return after * jnp.minimum(1, limit * jax.lax.rsqrt(jnp.maximum(square, 1e-24))) - w if is_chosen else u

        chosen = mask(params) if callable(mask) else mask
        return jax.tree.map(one, step, params, *([] if chosen is None else [chosen]))

    return _after(1.0, project)


class _Count(NamedTuple):
    count: jax.Array


def _after(learning_rate: Rate, change: Callable[..., Any]) -> optax.GradientTransformation:
    """A transformation of a finished step: it needs the params, and the rate of the step."""

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, _Count]:
        if params is None:
            raise ValueError("this transformation needs the params: update(gradient, state, params)")
        rate = learning_rate(state.count) if callable(learning_rate) else learning_rate
        return change(updates, params, rate), _Count(state.count + 1)

    return optax.GradientTransformation(lambda params: _Count(jnp.int32(0)), update)
