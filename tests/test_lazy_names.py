"""`dl.NAME` is what it says, whichever file was imported before, and nothing is imported that nobody asked for."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path
from types import FunctionType, ModuleType

import pytest

import dlcore as dl

ROOT = Path(__file__).parent.parent


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_name_is_there():
    for name in dl.__all__:
        assert getattr(dl, name) is not None and name in dir(dl)
    assert isinstance(dl.layers, ModuleType)
    assert dl.dense is dl.layers.dense and dl.fit is dl.train.fit and dl.summary is dl.inspect.summary


def test_a_function_stays_in_its_place_when_the_file_of_its_name_is_imported():
    code = "import dlcore.recipe, dlcore.compose; import dlcore as dl; print(type(dl.recipe), type(dl.compose))"
    assert run(code).count("function") == 2
    assert isinstance(dl.recipe, FunctionType) and isinstance(dl.compose, FunctionType)


def test_a_name_that_is_not_there_is_an_attribute_error():
    for name in ("fitt", "_fit", "__wrapped__"):
        with pytest.raises(AttributeError, match=f"module 'dlcore' has no attribute '{name}'"):
            getattr(dl, name)


@pytest.mark.slow
def test_each_file_can_be_the_first_that_is_imported():
    names = ["dlcore", *(module.name for module in pkgutil.walk_packages(dl.__path__, "dlcore."))]
    code = f"""
import importlib, sys
import jax, flax.struct, optax
for name in {names}:
    for loaded in [one for one in sys.modules if one.split(".")[0] == "dlcore"]:
        del sys.modules[loaded]
    importlib.import_module(name)
"""
    run(code)


def test_the_command_line_starts_without_the_rooms():
    code = "import sys\nfrom dlcore.cli import main\ntry: main(['--help'])\nexcept SystemExit: print(*sys.modules)"
    loaded = set(run(code).splitlines()[-1].split())
    assert "dlcore.cli" in loaded and not loaded & {"jax", "numpy", "optax", "flax", "sklearn", "dlcore.layers"}
