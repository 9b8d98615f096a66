"""Windows of token ids for language models: batches of text and the text one token on, from memory on the device."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import Array, lax

from dlcore.data._permutation import permutation_index

_OFFSETS = np.uint32(1 << 31)  # epochs from here on name permutations of offsets, those below it of windows
_INT32_MAX = np.iinfo(np.int32).max


class Cut(NamedTuple):
    """How `size` tokens are cut into windows of `length` tokens and the token after each."""

    length: int
    batch_size: int
    size: int

    @property
    def windows(self) -> int:
        """Windows an epoch: as many as there are behind every offset, and one where the text is short."""
        return max(1, self.size // self.length - 1)

    @property
    def offsets(self) -> int:
        """In how many ways the windows can be laid."""
        return min(self.length, self.size - self.windows * self.length)

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches an epoch."""
        return self.windows // self.batch_size

    def check(self, where: str) -> Cut:
        """Returns itself where there is a batch."""
        if self.size < self.length + 1:
            raise ValueError(
                f"{where}: expected at least length + 1 = {self.length + 1} tokens, found {self.size}; lower length"
            )
        if self.batch_size > self.windows:
            raise ValueError(
                f"{where} batch_size: expected at most the {self.windows} windows of {self.length} tokens that an "
                f"epoch has, found batch_size={self.batch_size}; lower batch_size or length"
            )
        return self

    def place(self, key: Any, n: Any) -> tuple[Array, Array]:
        """Returns the offset of the epoch of step `n`, and which windows (batch_size,) the step takes."""
        step = jnp.asarray(n).astype(jnp.uint32)
        epoch = step // np.uint32(self.steps_per_epoch)
        first = step % np.uint32(self.steps_per_epoch) * np.uint32(self.batch_size)
        positions = first + jnp.arange(self.batch_size, dtype=jnp.uint32)
        ways = np.uint32(self.offsets)
        # A permutation of the offsets: the windows lie differently in every epoch, until all offsets had their turn.
        offset = permutation_index(key, _OFFSETS + epoch // ways, epoch % ways, self.offsets)
        return offset, permutation_index(key, epoch, positions, self.windows)


def checked_ints(where: str, fields: dict[str, tuple[Any, int]]) -> None:
    """Refuses what is not an int of at least so much; `fields` holds (value, least) by name."""
    for name, (value, least) in fields.items():
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise TypeError(f"{where} {name}: expected an int, found {type(value).__name__}")
        if value < least:
            raise ValueError(f"{where} {name}: expected at least {least}, found {value}")


@struct.dataclass
class Windows:
    r"""Batches of windows over token ids in memory: `y[:, t]` is the token that follows `x[:, t]`.

    Epoch $e$ lays $W = \lfloor size / T \rfloor - 1$ windows of $T$ tokens side by side from an offset
    $o_e \in [0, T)$ on, and visits them in a fresh permutation: within an epoch no token is predicted twice, and
    those that are left out, at most $2T$ at the two ends (and the remainder of a batch), are others every epoch. In
    $T$ epochs every offset has its turn. Windows that start at different places let every token be seen after
    contexts of different lengths. The step reads its own tokens only; nothing of the size of the text is made.

    Args:
        tokens: (N,) integer ids, for instance what a tokenizer's `encode` returns; of any integer type, so that
            uint16 halves the memory. Put them on the device once with `jax.device_put`.
        length: T, how many tokens are predicted in a window.
        batch_size: windows a step.
        size: how many tokens are used, all from `start` on unless given.
        start: the first of those tokens; no other is read, so one array can hold train and validation.

    Raises:
        TypeError: `length`, `batch_size`, `size` or `start` is not an int; on a call, tokens that are no integers.
        ValueError: one of them is out of range; on a call, too few tokens for a window or for a batch of windows.

    Source: Rae and Razavi, Do Transformers Need Deep Long-Range Memory? (2020), for windows laid side by side;
    `permutation_index` for the order.

    Example:
        >>> batch = Windows(jnp.arange(100), length=4, batch_size=2)(jax.random.key(0), 0)
        >>> batch["x"].shape, bool((batch["y"] == batch["x"] + 1).all())
        ((2, 4), True)
    """

    tokens: Any
    length: int = struct.field(pytree_node=False)
    batch_size: int = struct.field(pytree_node=False)
    size: int | None = struct.field(pytree_node=False, default=None)
    start: int = struct.field(pytree_node=False, default=0)

    # Only what is static is checked here: JAX rebuilds the object with placeholders for its arrays.
    def __post_init__(self) -> None:
        size = {} if self.size is None else {"size": (self.size, 1)}
        given = {"length": (self.length, 1), "batch_size": (self.batch_size, 1), "start": (self.start, 0)}
        checked_ints("Windows", {**given, **size})

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches an epoch.

        Example:
            >>> Windows(jnp.arange(100), length=4, batch_size=8).steps_per_epoch
            3
        """
        return self._cut.steps_per_epoch

    @property
    def _cut(self) -> Cut:
        shape, dtype = jnp.shape(self.tokens), jnp.result_type(self.tokens)
        if len(shape) != 1 or not jnp.issubdtype(dtype, jnp.integer):
            raise TypeError(f"Windows tokens: expected integer ids of shape (N,), found {dtype} {shape}")
        size = shape[0] - self.start if self.size is None else self.size
        if self.start + size > min(shape[0], _INT32_MAX):
            raise ValueError(
                f"Windows tokens: expected at least start + size = {self.start + size} tokens (and fewer than 2^31), "
                f"found {shape[0]}; MappedWindows reads more"
            )
        return Cut(self.length, self.batch_size, max(size, 0)).check("Windows")

    def __call__(self, key: Any, n: Any) -> dict[str, Array]:
        """Returns the batch of step `n`: `x` and `y`, both (batch_size, length) int32."""
        cut = self._cut
        offset, windows = cut.place(key, n)
        starts = offset + windows * np.int32(self.length) + np.int32(self.start)  # (batch_size,)
        tokens = jnp.asarray(self.tokens)
        read = jax.vmap(lambda first: lax.dynamic_slice_in_dim(tokens, first, self.length + 1))(starts)
        read = read.astype(jnp.int32)  # (batch_size, length + 1)
        return {"x": read[:, :-1], "y": read[:, 1:]}
