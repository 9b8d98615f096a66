"""A cell that is run again traces and compiles nothing where all has a recipe, and compiles nothing elsewhere."""

from __future__ import annotations

from typing import Any

import jax
import optax
import pytest
from jax.experimental.compilation_cache import compilation_cache

import dlcore as dl
from dlcore.train import _program, _trace, cache_folder
from dlcore.train._cache import compile_cache
from tests.compiles import counting

SETTINGS = (
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
    "jax_persistent_cache_min_entry_size_bytes",
)


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """dlcore's cache in an empty folder, in place of the one that the tests share."""
    before = {name: getattr(jax.config, name) for name in SETTINGS}
    jax.config.update("jax_compilation_cache_dir", None)
    compilation_cache.reset_cache()
    monkeypatch.setenv("DLCORE_CACHE", str(tmp_path / "compiled"))
    yield tmp_path / "compiled"
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


def cell(data, model=None, **options):
    """What a notebook cell holds: everything is made anew."""
    model = model or dl.models.softmax_regression(3)
    settings: dict[str, Any] = {"progress": False, "batch_size": 8, "epochs": 2, "metrics": [dl.metrics.accuracy]}
    settings["optimizer"] = dl.optim.adam(1e-3)
    return dl.fit(model, data, **(settings | options))


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"optimizer": dl.optim.adam(3e-4)},
        {"optimizer": dl.optim.adam(b1=0.5, eps=1e-6)},
        {"hparams": {"learning_rate": 0.5}},
        {"key": 7},
        {"epochs": 7},
        {"steps": 3, "epochs": None},
    ],
    ids=["the very same", "learning rate", "other numbers", "hparams", "key", "epochs", "steps"],
)
def test_a_cell_that_is_run_again_traces_and_compiles_nothing(data, change):
    cell(data)
    with counting() as compiles:
        cell(data, **change)
    assert compiles.traces == compiles.lowerings == compiles.backend == 0, compiles


@pytest.mark.slow
def test_a_model_of_many_parts_is_the_same_when_it_is_built_again(data):
    def build():
        return dl.serial(dl.models.mlp([6], classes=4, dropout=0.1), dl.residual(dl.dense(4)), dl.dense(3))

    cell(data, build())
    with counting() as compiles:
        cell(data, build())
    assert compiles.traces == compiles.backend == 0, compiles


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"seeds": 3}, {"patience": 2}, {"seeds": [4, 9, 1], "patience": 1}])
def test_lanes_and_patience_are_run_again_without_compiling(data, options):
    cell(data, **options)
    with counting() as compiles:
        cell(data, optimizer=dl.optim.adam(0.1), key=1, **options)
    assert compiles.traces == compiles.backend == 0, compiles


def test_a_finished_run_predicts_and_evaluates_again_without_compiling(data):
    run = cell(data)
    run.predict(data.test["x"])
    run.evaluate("test")
    with counting() as compiles:
        again = cell(data, optimizer=dl.optim.adam(0.1))
        again.predict(data.test["x"])
        again.evaluate("test")
    assert compiles.traces == compiles.backend == 0, compiles


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        lambda: {"optimizer": optax.adam(1e-3)},
        lambda: {"optimizer": lambda hp: optax.adam(hp["rate"]), "hparams": {"rate": 0.1}},
        lambda: {"loss": lambda p, t: dl.losses.cross_entropy(p, t), "metrics": None},
    ],
    ids=["plain optax", "a function of hparams", "a loss of one's own"],
)
def test_what_has_no_recipe_is_traced_again_and_answered_by_the_cache(data, own_cache, options):
    cell(data, **options())
    assert any(own_cache.iterdir())
    with counting() as compiles:
        cell(data, **options())
    assert compiles.traces > 0 and compiles.cache_hits >= 3 and compiles.backend == 0, compiles


@pytest.mark.slow
def test_another_process_finds_the_programs(data, own_cache):
    forget_everything()
    with counting() as compiles:
        cell(data)
    assert {"jit(init_lanes)", "jit(chunk)", "jit(evaluate)"} <= set(compiles.names["compiled or cached"])
    assert compiles.backend > 0
    forget_everything()
    with counting() as compiles:
        cell(data)
    assert compiles.cache_hits >= 3 and compiles.backend == 0, compiles


def forget_everything():
    """Leaves this process with no programs of `fit`, as a new one has."""
    _program.program.cache_clear()
    _trace.trace.cache_clear()


def test_the_settings_of_jax_are_as_they_were_after_fit(data, own_cache):
    before = {name: getattr(jax.config, name) for name in SETTINGS}
    cell(data, optimizer=optax.adam(1e-3))
    assert {name: getattr(jax.config, name) for name in SETTINGS} == before


def test_the_settings_of_jax_are_as_they_were_after_an_error(data, own_cache):
    before = {name: getattr(jax.config, name) for name in SETTINGS}
    with pytest.raises(ValueError, match="batch_size"):
        cell(data, batch_size=1000)
    assert {name: getattr(jax.config, name) for name in SETTINGS} == before


def test_a_cache_that_the_user_has_set_up_is_left_alone(own_cache, tmp_path):
    mine = str(tmp_path / "mine")
    jax.config.update("jax_compilation_cache_dir", mine)
    with compile_cache():
        assert jax.config.jax_compilation_cache_dir == mine  # pyright: ignore[reportAttributeAccessIssue]
    assert not own_cache.exists()


@pytest.mark.parametrize("word", ["off", "OFF", "0", "no", "false"])
def test_the_cache_can_be_turned_off(own_cache, monkeypatch, word):
    monkeypatch.setenv("DLCORE_CACHE", word)
    assert cache_folder() is None
    with compile_cache():
        assert jax.config.jax_compilation_cache_dir is None  # pyright: ignore[reportAttributeAccessIssue]


def test_a_folder_that_cannot_be_made_means_no_cache_and_no_error(data, own_cache, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("DLCORE_CACHE", str(tmp_path / "file" / "compiled"))
    assert cache_folder() is None
    assert cell(data).stopped == "finished"


def test_the_cache_is_where_the_platform_keeps_caches(monkeypatch, tmp_path):
    monkeypatch.delenv("DLCORE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    assert cache_folder() == tmp_path / "dlcore" / "compiled"
