"""What every test runs under: JAX on the CPU, a compile cache shared by all workers, no windows, warnings as errors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

pytest_plugins = ("pytester", "tests.no_skips")

# Set before anything imports JAX or matplotlib, and inherited by the processes that tests start.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "1")  # whatever test comes first; those of two devices start processes
os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault("DLCORE_CACHE", "off")  # a test of the cache turns it on, in a folder of its own
# LLVM takes most of the time of small tests. CI sets this to 0 for the slow ones, which then run what users run.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

# Compilation makes a first example slow, so no deadline; and a run must find the same today as tomorrow.
hypothesis.settings.register_profile(
    "dlcore",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=30,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("dlcore")

_LAYER_TESTS = Path(__file__).parent / "layers"
_LONGEST = ("test_notebooks.py", "test_processes.py")  # first, or one worker would be alone with them at the end


def pytest_configure(config: pytest.Config) -> None:
    """Keep compiled programs between runs in pytest's own cache, which `pytest --cache-clear` empties."""
    if config.cache is None:
        return
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(config.cache.mkdir("jax")))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Make all but a few cases of a test that is marked `few` slow, evenly among them; put the longest tests first."""
    families: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("few") and not item.get_closest_marker("slow"):
            families.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for cases in families.values():
        marker = cases[0].get_closest_marker("few")
        count = marker.args[0] if marker else len(cases)
        kept = {int((number + 0.5) * len(cases) / count) for number in range(count)}
        for number, item in enumerate(cases):
            if number not in kept:
                item.add_marker("slow")
    items.sort(key=lambda item: item.path.name not in _LONGEST)


@pytest.fixture(autouse=True)
def _strict_dtype_promotion(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let no layer change a dtype by promotion. Layers only: several of optax's optimizers promote by design."""
    is_layer_test = _LAYER_TESTS in request.path.parents
    if not is_layer_test or request.node.get_closest_marker("mixed_dtypes"):
        yield
        return
    import jax

    with jax.numpy_dtype_promotion("strict"):
        yield
