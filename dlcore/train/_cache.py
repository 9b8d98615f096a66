"""The persistent compile cache: on while dlcore compiles, and left as it was afterwards."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import jax
from jax.experimental.compilation_cache import compilation_cache

from dlcore.files import cache_root


def cache_folder() -> Path | None:
    """Returns where compiled programs are kept, or None where `DLCORE_CACHE=off`.

    `DLCORE_CACHE` names another folder; the default is the platform's cache folder. A folder that cannot be made means
    no cache, never an error.

    Example:
      >>> folder = cache_folder()
    """
    wanted = os.environ.get("DLCORE_CACHE", "")
    if wanted.lower() in ("off", "0", "no", "false"):
        return None
    try:
        folder = Path(wanted).expanduser() if wanted else cache_root() / "compiled"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return None
    return folder if os.access(folder, os.W_OK) else None


@contextlib.contextmanager
def compile_cache() -> Iterator[None]:
    """Keeps what is compiled inside on disk, for later processes. A cache that the user has set up is left alone."""
    folder = None if jax.config.jax_compilation_cache_dir else cache_folder()  # pyright: ignore
    if folder is None:
        yield
        return
    wanted = {
        "jax_compilation_cache_dir": str(folder),
        "jax_persistent_cache_min_compile_time_secs": 0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in wanted}
    _configure(wanted)
    try:
        yield
    finally:
        _configure(before)


def _configure(settings: dict) -> None:
    for name, value in settings.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()  # JAX looks at the folder once, at the first compilation of the process
