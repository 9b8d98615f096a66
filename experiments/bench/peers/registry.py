"""Which systems there are, and the bounds that dlcore has to keep beside them on two CPU cores."""

import importlib
from typing import Any

SYSTEMS = {
    "dlcore": "with_dlcore.System",
    "JAX by hand": "with_jax.System",
    "Equinox": "with_equinox.System",
    "Flax NNX": "with_nnx.System",
    "Keras on JAX": "with_keras.System",
    "PyTorch eager": "with_torch.System",
    "torch.compile": "with_torch.Compiled",
}
COMPILED = tuple(name for name in SYSTEMS if name != "PyTorch eager")

# dlcore's time over theirs may be so much.
BOUNDS = {
    ("mlp", "JAX by hand"): 1.05,
    ("mlp", "Equinox"): 0.4,
    ("mlp", "PyTorch eager"): 0.3,
    ("mlp", "Flax NNX"): 0.12,
    ("mlp", "Keras on JAX"): 0.08,
    ("lenet", "PyTorch eager"): 0.55,
    ("transformer", "JAX by hand"): 1.05,
    **{("transformer", name): 1.0 for name in SYSTEMS if name not in ("dlcore", "JAX by hand")},
}
DEPTH_BOUND = 1.2  # compile time of 48 blocks over that of 4


def load(name: str) -> Any:
    """Returns the class of a system; `ImportError` where it is not installed."""
    module, attribute = SYSTEMS[name].split(".")
    return getattr(importlib.import_module(f"experiments.bench.peers.{module}"), attribute)


def installed(names: list[str]) -> dict[str, Any]:
    """Returns the classes of those systems that are there, and prints a line for each that is not."""
    found = {}
    for name in names:
        try:
            found[name] = load(name)
        except ImportError as error:
            print(f"left out: {name}, {error}", flush=True)
    return found
