"""Connectionist temporal classification."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from dlcore.losses._checks import as_floating


def ctc(
    predictions: Any, targets: Any, *, lengths: Any = None, target_lengths: Any = None, blank: int = 0
) -> jax.Array:
    """Connectionist temporal classification: `-log` of the probability of all alignments that read as the target.

    An alignment gives each frame a label or the blank; it is read by merging repeats and then leaving blanks out.

    Args:
      predictions: logits (B, T, classes), the blank among the classes.
      targets: labels (B, S), padded at the end.
      lengths: (B,), how many frames count; T unless given.
      target_lengths: (B,), how many labels count; S unless given.
      blank: the class that is read as nothing.

    Returns:
      (B,): one value per sequence, in nats. A target that is too long for its frames (repeats need a blank between
      them) has no alignment: its loss is 1e5 or more (PyTorch gives infinity), and it teaches nothing.

    Raises:
      TypeError: for labels that are no integers.
      ValueError: for shapes that do not fit.

    Source: Graves, Fernandez, Gomez and Schmidhuber, 2006.

    Example:
      >>> ctc(jnp.zeros((1, 2, 2)), jnp.array([[1]])).round(4)  # three of four alignments: (1, 1), (1, -), (-, 1)
      Array([0.2877], dtype=float32)
    """
    (logits,) = as_floating("ctc", predictions)
    labels = jnp.asarray(targets)
    if logits.ndim != 3 or labels.ndim != 2 or len(labels) != len(logits):
        raise ValueError(
            f"ctc: expected logits (B, T, classes) and labels (B, S), found {logits.shape}, {labels.shape}"
        )
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"ctc: labels are integers, found {labels.dtype}: targets.astype('int32')")
    if not 0 <= blank < logits.shape[-1]:
        raise ValueError(f"blank: expected one of the {logits.shape[-1]} classes, found {blank}")
    frames, steps = logits.shape[1], labels.shape[1]
    lengths = jnp.full(len(logits), frames) if lengths is None else jnp.asarray(lengths)
    target_lengths = jnp.full(len(logits), steps) if target_lengths is None else jnp.asarray(target_lengths)
    after = jnp.arange(frames) >= lengths[:, None]
    logits = jnp.where(after[..., None], 0, logits)  # what is padding may be NaN
    label_after = jnp.arange(steps) >= target_lengths[:, None]
    return optax.ctc_loss(logits, after.astype(logits.dtype), labels, label_after.astype(logits.dtype), blank_id=blank)
