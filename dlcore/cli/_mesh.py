"""`--mesh data=4 model=2 --shard-params`: how a run lies on many devices, in words."""

import sys
from typing import Any


def read_mesh(words: tuple[str, ...], shard_params: bool = False) -> Any:
    """Reads the sizes of a mesh.

    Args:
        words: an axis and its size each, as in `data=4`.
        shard_params: whether each device keeps a part of params and optimizer only.

    Returns:
        A `Layout`, or None where there are no words.

    Raises:
        ValueError: for a word that is no name=number, an axis that comes twice, and parts without devices to hold them.

    Example:
        >>> read_mesh(("data=4", "model=2"), shard_params=True)
        layout({'data': 4, 'model': 2}, shard_params=True)
    """
    from dlcore.scale import layout

    sizes: dict[str, int] = {}
    for word in words:
        name, _, size = word.partition("=")
        if not name.isidentifier() or not size.isdecimal():
            raise ValueError(f"--mesh: expected an axis and its size, as in data=4, found {word!r}")
        if name in sizes:
            raise ValueError(f"--mesh: expected each axis once, found {name!r} twice")
        sizes[name] = int(size)
    if shard_params and "data" not in sizes:
        raise ValueError("--shard-params: params are cut along the axis data; give its size too: --mesh data=4")
    return layout(sizes, shard_params=shard_params) if sizes else None


def join(given: tuple[str | None, int | None, int | None], words: tuple[str, ...]) -> tuple[str, ...]:
    """Joins the processes of a program, and returns the words of its mesh: all of their devices, unless told.

    Args:
        given: the coordinator, how many processes there are and which one this is; None where a cluster tells.
        words: as in `read_mesh`.

    Raises:
        ValueError, RuntimeError: as `dlcore.scale.start`.
    """
    import jax

    from dlcore.scale import start

    start(*given)
    return words or (f"data={len(jax.devices())}",)


def process_number() -> int:
    """Returns which process this is; 0 where there is one, without asking for a device."""
    jax = sys.modules.get("jax")
    return jax.process_index() if jax is not None and jax.distributed.is_initialized() else 0
