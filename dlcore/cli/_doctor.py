"""`dlcore doctor`."""

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

LEAST = {"jax": (0, 10), "jaxlib": (0, 10), "flax": (0, 12), "optax": (0, 2, 6), "orbax-checkpoint": (0, 11)}
LEAST_PYTHON = (3, 11)
ROOM = 200_000_000  # bytes that a run with its checkpoints may want


class Finding(NamedTuple):
    """What was looked at, what was found, and what to do where that is wrong.

    Attributes:
        name: what was looked at.
        found: what was found.
        repair: what to do about it; empty where all is well.
    """

    name: str
    found: str
    repair: str = ""


def doctor() -> None:
    """Look for what keeps dlcore from working: versions, devices, folders, a tiny training run."""
    findings = []
    for check in CHECKS:
        for finding in _found(check):
            findings.append(finding)
            print(f"{'WRONG' if finding.repair else 'ok':<6} {finding.name:<17} {finding.found}", flush=True)
            if finding.repair:
                print(f"{'':<6} {'':<17} -> {finding.repair}", flush=True)
    if wrong := sum(bool(finding.repair) for finding in findings):
        print(f"{wrong} of {len(findings)} checks found something wrong")
        sys.exit(1)
    print("all is well")


def versions() -> list[Finding]:
    """Looks at Python and the libraries."""
    too_old = sys.version_info < LEAST_PYTHON
    repair = f"install Python {'.'.join(map(str, LEAST_PYTHON))} or newer" if too_old else ""
    found = [Finding("python", platform.python_version(), repair)]
    for name, least in LEAST.items():
        wanted = f"{name}>={'.'.join(map(str, least))}"
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found.append(Finding(name, "not installed", f"pip install '{wanted}'"))
            continue
        is_old = _parts(version) < least
        found.append(Finding(name, version, f"pip install --upgrade '{wanted}'" if is_old else ""))
    return found


def devices() -> list[Finding]:
    """Looks at what JAX computes on."""
    try:
        import jax

        kinds = [device.device_kind for device in jax.devices()]
    except Exception as error:
        wanted = os.environ.get("JAX_PLATFORMS")
        repair = f"unset JAX_PLATFORMS, which is {wanted!r}" if wanted else "pip install --upgrade jax jaxlib"
        return [Finding("devices", _line(error), repair)]
    said = ", ".join(f"{kinds.count(kind)} x {kind}" for kind in dict.fromkeys(kinds))
    is_idle = Path("/dev/nvidia0").exists() and jax.default_backend() == "cpu" and not os.environ.get("JAX_PLATFORMS")
    repair = "a GPU is here that JAX does not see: pip install 'jax[cuda12]', or set JAX_PLATFORMS=cpu"
    return [Finding("devices", said, repair if is_idle else "")]


def folders() -> list[Finding]:
    """Looks at the compile cache, the data folder and the working folder."""
    from dlcore.cli._folders import size_of
    from dlcore.data._cache import data_place
    from dlcore.errors import DataError
    from dlcore.train._cache import cache_folder

    cache, told = cache_folder(), os.environ.get("DLCORE_CACHE", "")
    if cache is not None:
        count, size = size_of(cache)
        found = [Finding("compile cache", f"{cache}: {count} files, {size / 1e6:.1f} MB")]
    elif told.lower() in ("off", "0", "no", "false"):
        found = [Finding("compile cache", f"off: DLCORE_CACHE={told}")]
    else:
        repair = "set DLCORE_CACHE to a folder that can be written, or to off"
        found = [Finding("compile cache", "no folder that can be written; every start compiles anew", repair)]
    try:
        data = data_place()
    except DataError as error:
        return [*found, Finding("data folder", _line(error), "set DLCORE_DATA to a folder"), _working_folder()]
    if data.exists() and not data.is_dir():
        found.append(Finding("data folder", f"{data} is no folder", "remove it, or set DLCORE_DATA to a folder"))
    elif data.is_dir():
        count, size = size_of(data)
        found.append(Finding("data folder", f"{data}: {count} files, {size / 1e6:.1f} MB"))
    else:
        found.append(Finding("data folder", f"{data}: not there, nothing was fetched"))
    return [*found, _working_folder()]


def self_test() -> list[Finding]:
    """Compiles and trains a tiny step, and looks whether the loss falls."""
    try:
        first, last = tiny_run()
    except Exception as error:
        return [Finding("self-test", _line(error), "pip install --force-reinstall dlcore jax jaxlib")]
    found = f"the loss of 20 steps went from {first:.3g} to {last:.3g}"
    return [
        Finding("self-test", found, "" if last < first / 2 else "the device computes wrongly: try JAX_PLATFORMS=cpu")
    ]


def tiny_run() -> tuple[float, float]:
    """Returns the first and the last loss of a linear regression of 20 steps."""
    import numpy as np

    from dlcore import models, optim
    from dlcore.train import fit

    x = np.linspace(-1, 1, 32, dtype=np.float32)[:, None]
    run = fit(models.linear(), (x, 3 * x + 1), optimizer=optim.sgd(0.1), steps=20, batch_size=8, progress=False)
    return float(run.metrics["loss"][0]), float(run.metrics["loss"][-1])


CHECKS: Sequence[Callable[[], list[Finding]]] = (versions, devices, folders, self_test)


def _found(check: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return check()
    except ImportError as error:
        return [Finding(check.__name__, _line(error), "pip install --upgrade jax jaxlib flax optax orbax-checkpoint")]


def _working_folder() -> Finding:
    try:
        here = Path.cwd()
        free = shutil.disk_usage(here).free
    except OSError as error:
        return Finding("working folder", _line(error), "change to a folder that is there")
    found = f"{here}: {free / 1e9:.1f} GB free"
    if not os.access(here, os.W_OK):
        return Finding("working folder", f"{here} is read-only", "change to another folder, or give --out DIR")
    return Finding("working folder", found, "make room, or give --out DIR on another disk" if free < ROOM else "")


def _parts(version: str) -> tuple[int, ...]:
    numbers: list[int] = []
    for part in version.split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)


def _line(error: Any) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
