"""Ahead of time: an exported program, compiled in another process for machines that are not here."""

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import json
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from jax import export

from dlcore._version import __version__
from dlcore.errors import DlcoreError, one_line
from dlcore.files import whole
from dlcore.scale._chips import platform, topology

_COMPILERS = {"cpu": [], "tpu": ["libtpu"], "cuda": ["jax-cuda12-pjrt", "jax-cuda13-pjrt"]}
# What libtpu asks the machine that it believes to be on.
TPU_ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_LOG_DIR": "disabled",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}


def compile_ahead(
    program: export.Exported,
    on: str,
    *,
    mesh: Mapping[str, int] | None = None,
    donated: int = 0,
    names: Sequence[str] = (),
    cache: Path | None = None,
) -> dict[str, Any]:
    """Compiles an exported function for devices that need not be here, and returns what `measure` does.

    Another process compiles: libtpu wants an environment of its own, and can be loaded once on a machine; what compiles
    for CUDA must not look for a GPU.

    Args:
      program: what `jax.export.export(...)(...)` gave, of a function of flat arguments.
      on: "cpu", or a slice of TPUs or GPUs of a machine as `topology` reads them.
      mesh: sizes of the axes that the program was exported for, which says how its arguments lie; one device unless
        given.
      donated: how many of the first arguments are given up.
      names: of its arguments.
      cache: a folder where the answer is kept; asking again takes no time then.

    Returns:
      As `measure`, with `cached`, whether the answer was there already.

    Raises:
      ImportError: where libtpu, or what compiles for CUDA, is not installed.
      ValueError: for a mesh of more devices than there would be.
      DlcoreError: where the compiler fails, with its last line.
    """
    if on != "cpu":
        check_topology(on, mesh)
    request = {"on": on, "mesh": dict(mesh or {}), "donated": donated, "names": list(names)}
    versions = [__version__, jax.__version__, _version("jaxlib"), *map(_version, _COMPILERS[platform(on)])]
    text = json.dumps([_without_lines(program.mlir_module()), request, versions])
    digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    kept = cache and cache / f"plan-{digest}.json"
    if kept is not None and (found := _read(kept)) is not None:
        return found | {"cached": True}
    with tempfile.TemporaryDirectory(prefix="dlcore-plan-") as folder:
        Path(folder, "program").write_bytes(program.serialize())
        Path(folder, "request.json").write_text(json.dumps(request))
        found = _run(folder, _environment(on, request["mesh"]))
    if kept is not None:
        _keep(kept, found)
    return found | {"cached": False}


def _without_lines(text: str) -> str:
    # From which line of which file an operation was called is no part of the program.
    place = r'(?:"[^"]*"\(#loc\d*\)|callsite\(#loc\d* at #loc\d*\)|#loc\d*)'
    return re.sub(rf" loc\({place}\)|^#loc.*\n", "", text, flags=re.MULTILINE)


def check_topology(on: str, mesh: Mapping[str, int] | None) -> None:
    """Refuses what cannot be compiled for: an unknown slice, too large a mesh, a machine without the compiler."""
    slice_ = topology(on)
    if (wanted := _size(mesh)) > slice_.devices:
        raise ValueError(f"mesh: {dict(mesh or {})} wants {wanted} devices, and {on} has {slice_.devices}")
    if platform(on) == "cuda" and not any(map(_is_installed, ("jax_plugins.xla_cuda12", "jax_plugins.xla_cuda13"))):
        repair = "pip install 'dlcore[aot-cuda]'"
        raise ImportError(f"compiling for {on} needs JAX's plugin for CUDA, and no GPU: {repair}", name="jax_plugins")
    if platform(on) == "tpu" and not _is_installed("libtpu"):
        raise ImportError(f"compiling for {on} needs libtpu, and no TPU: pip install 'dlcore[aot]'", name="libtpu")


def _environment(on: str, mesh: Mapping[str, int]) -> dict[str, str]:
    own = {"JAX_PLATFORMS": "cpu", "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    # An executable from JAX's own cache does not say how much memory it takes.
    own |= {"JAX_ENABLE_COMPILATION_CACHE": "false", "JAX_NUM_CPU_DEVICES": str(_size(mesh) if on == "cpu" else 1)}
    return {**os.environ, **(TPU_ENVIRONMENT if platform(on) == "tpu" else {}), **own}


def _run(folder: str, environment: Mapping[str, str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "dlcore.scale._worker", folder]
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, errors="replace")
    answer = _read(Path(folder, "answer.json"))
    if answer is None:
        if done.returncode in (-signal.SIGKILL, -signal.SIGTERM):
            raise DlcoreError("the compiler was killed; unless somebody did that, here is too little memory for it")
        said = (done.stderr.strip() or f"it ended with status {done.returncode}").splitlines()[-1]
        raise DlcoreError(f"the compiler failed: {one_line(said, 500)}")
    return answer


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "compile_seconds" in found else None


def _keep(path: Path, answer: Mapping[str, Any]) -> None:
    # A full disk costs the next one time, and nobody an answer.
    with contextlib.suppress(OSError), whole(path) as part:
        part.write_text(json.dumps(answer))


def _size(mesh: Mapping[str, int] | None) -> int:
    return math.prod((mesh or {}).values())


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # its package is not
        return False


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
