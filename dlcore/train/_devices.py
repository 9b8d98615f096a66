"""Every core as a device."""

import contextlib
import os
import warnings

import jax


def use_all_cores() -> int:
    """Makes every CPU core a device, so that lanes run on all of them. `sweep` calls it.

    It has to come before JAX starts, that is before the first array is made; afterwards nothing changes.

    Returns:
      How many devices JAX has.

    Example:
      >>> use_all_cores() >= 1
      True
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if jax.config.jax_num_cpu_devices != -1:  # somebody has chosen  # pyright: ignore[reportAttributeAccessIssue]
        return len(jax.local_devices())
    with contextlib.suppress(RuntimeError):  # JAX has started
        jax.config.update("jax_num_cpu_devices", cores)
    devices = jax.local_devices()
    if len(devices) == 1 and devices[0].platform == "cpu" and cores > 1:
        warnings.warn(
            f"JAX had started before, with one CPU device: lanes run on one of {cores} cores. "
            "Call dl.use_all_cores() before the first array is made to use them all.",
            stacklevel=4,
        )
    return len(devices)
