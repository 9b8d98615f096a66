"""`import dlcore` names things and does no work. Checked in fresh processes, since this one has long imported JAX."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# What the dependencies themselves import does not count (flax brings rich), so they come first.
BASELINE = """
import importlib, json, os, pkgutil, sys
import jax, chex, flax, flax.linen, flax.nnx, flax.struct, optax
from jax._src import xla_bridge

modules, config, environ = set(sys.modules), dict(jax.config.values), dict(os.environ)
"""
IMPORT_ROOT = "import dlcore"
IMPORT_EVERYTHING = """
import dlcore
for module in pkgutil.walk_packages(dlcore.__path__, "dlcore."):
    importlib.import_module(module.name)
"""
REPORT = """
changed = lambda before, after: sorted(k for k in {**before, **after} if before.get(k, ...) != after.get(k, ...))
print(json.dumps({
    "modules": sorted({name.partition(".")[0] for name in set(sys.modules) - modules}),
    "config": changed(config, jax.config.values),
    "environ": changed(environ, os.environ),
    "backends": xla_bridge.backends_are_initialized(),
}))
"""
HEAVY = {"IPython", "matplotlib", "pandas", "rich", "sklearn", "tyro"}
HEAVY |= {"equinox", "grain", "gymnax", "keras", "onnxruntime", "tensorflow", "torch", "transformers"}


def effects_of(imports: str) -> dict:
    """What a fresh interpreter, in which the core dependencies are already imported, shows after `imports`."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "XLA_"))}
    environ["PYTHONPATH"] = str(ROOT)
    result = subprocess.run(
        [sys.executable, "-c", BASELINE + imports + REPORT], env=environ, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def root_import() -> dict:
    return effects_of(IMPORT_ROOT)


@pytest.fixture(scope="module")
def every_import() -> dict:
    return effects_of(IMPORT_EVERYTHING)


def test_importing_dlcore_touches_no_device(root_import: dict) -> None:
    assert not root_import["backends"]


def test_importing_dlcore_changes_no_option_of_jax(root_import: dict) -> None:
    assert root_import["config"] == []


def test_importing_dlcore_changes_no_environment_variable(root_import: dict) -> None:
    assert root_import["environ"] == []


def test_importing_dlcore_imports_nothing_heavy(root_import: dict) -> None:
    assert not set(root_import["modules"]) & (HEAVY | {"orbax"})


def test_no_module_of_dlcore_imports_anything_heavy_at_its_top(every_import: dict) -> None:
    assert not set(every_import["modules"]) & HEAVY


def test_no_module_of_dlcore_does_work_when_imported(every_import: dict) -> None:
    assert (every_import["backends"], every_import["config"], every_import["environ"]) == (False, [], [])
