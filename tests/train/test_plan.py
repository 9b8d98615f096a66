"""A plan says of a run what the run turns out to be."""

from __future__ import annotations

import importlib
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dlcore as dl
from dlcore.scale import Plan, compile_ahead

MODEL = dl.models.mlp((32,), classes=3)


def nbytes(tree):
    plain = [
        jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x for x in jax.tree.leaves(tree)
    ]
    return sum(leaf.size * leaf.dtype.itemsize for leaf in plain)


@pytest.fixture(scope="module")
def on_cpu():
    return dl.plan(MODEL, dl.data.iris(), on="cpu", batch_size=32)


def test_weights_data_and_operations_are_those_of_the_run(on_cpu):
    run = dl.fit(MODEL, dl.data.iris(), batch_size=32, steps=1, progress=False)
    assert isinstance(on_cpu, Plan) and on_cpu.carry_bytes == nbytes(run.final)
    data = 150 * (4 * 4 + 4)
    assert on_cpu.peak_bytes is not None and on_cpu.peak_bytes >= on_cpu.carry_bytes + data
    forward = 2 * 32 * (4 * 32 + 32 * 3)
    assert 2 * forward < on_cpu.flops < 4 * forward  # with the way back, but not to the inputs, and the update
    assert on_cpu.bytes_moved is not None and on_cpu.bytes_moved > 3 * on_cpu.carry_bytes
    assert on_cpu.collectives == {} and on_cpu.step_seconds is None


def test_it_knows_the_largest_arrays_by_layer(on_cpu):
    paths = [one["path"] for one in on_cpu.buffers]
    assert any(path.startswith("hidden_0") for path in paths) and "data/arrays/x" in paths


def test_it_prints_as_a_table(on_cpu):
    lines = repr(on_cpu).splitlines()
    assert lines[0] == "cpu: fits" and any("FLOP, 32 examples" in line for line in lines)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*donated")
def test_devices_share_a_batch_and_add_up_their_gradients(tmp_path, monkeypatch, on_cpu):
    monkeypatch.setenv("DLCORE_CACHE", str(tmp_path))
    found = dl.plan(MODEL, dl.data.iris(), on="cpu", mesh={"data": 4}, batch_size=32)
    parameters = nbytes(MODEL.init(jax.random.key(0), jnp.ones((1, 4)))[0])
    assert found.collectives["all-reduce"]["bytes"] == pytest.approx(parameters, abs=64)
    assert found.bytes_moved < on_cpu.bytes_moved and found.flops == on_cpu.flops and not found.cached
    # A second answer starts nothing.
    monkeypatch.setattr("subprocess.run", None)
    again = dl.plan(MODEL, dl.data.iris(), on="cpu", mesh={"data": 4}, batch_size=32)
    assert again.cached and again.collectives == found.collectives
    with pytest.raises(TypeError):
        dl.plan(MODEL, dl.data.iris(), on="cpu", mesh={"data": 4}, batch_size=64)


@pytest.mark.slow
def test_sources_iterators_and_functions_of_hyperparameters_have_plans():
    x, y = np.ones((8, 4), np.float32), np.zeros(8, np.int32)
    build = lambda hp: dl.models.mlp((8,), classes=3, dropout=hp["rate"])
    stream = ({"x": x, "y": y} for _ in range(2))
    found = dl.plan(build, stream, on="cpu", steps=2, hparams={"rate": 0.1}, loss=dl.losses.cross_entropy)
    assert found.fits and found.batch_size == 8
    assert "data/arrays/x" in [one["path"] for one in found.buffers]


def refused(monkeypatch, needed):
    monkeypatch.setitem(dl.plan.__globals__, "check_topology", lambda on, mesh: None)
    answer = {"compile_seconds": 1.0, "peak_bytes": needed, "out_of_memory": 15 * 2**30}
    monkeypatch.setitem(dl.plan.__globals__, "compile_ahead", lambda *_, **__: answer)
    return dl.plan(MODEL, dl.data.iris(), on="v5e:2x2", batch_size=32)


def test_too_little_memory_is_an_answer(monkeypatch):
    found = refused(monkeypatch, 20 * 2**30)
    assert not found.fits and found.memory_bytes == 15 * 2**30
    text = repr(found)
    assert "DOES NOT FIT" in text and "5.0 GiB too much" in text
    for word in ("mesh={'data': 4}", "batch_size=16", "accumulate=2", "remat"):
        assert word in text
    assert "more than the 15.0 GiB" in repr(refused(monkeypatch, None))


def test_without_libtpu_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'dlcore\[aot\]'"):
        dl.plan(MODEL, dl.data.iris(), on="v5e:2x2")


@pytest.mark.parametrize("found", [lambda name: None, lambda name: importlib.import_module("there.is.none")])
def test_without_the_plugin_for_cuda_it_says_what_to_install(found, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", found)
    with pytest.raises(ImportError, match=r"cuda:h100 needs .* no GPU: pip install 'dlcore\[aot-cuda\]'"):
        dl.plan(MODEL, dl.data.iris(), on="cuda:h100")


@pytest.mark.parametrize(
    ("kind", "seconds"), [("NVIDIA H100 80GB HBM3", True), ("NVIDIA A100-SXM4-80GB", True), ("Quadro P400", False)]
)
def test_a_gpu_that_is_here_is_estimated_by_what_is_published_of_it(kind, seconds, monkeypatch):
    gpu = types.SimpleNamespace(device_kind=kind, memory_stats=lambda: {"bytes_limit": 60 * 2**30})
    here = types.SimpleNamespace(**{**vars(jax), "devices": lambda: [gpu], "default_backend": lambda: "gpu"})
    monkeypatch.setitem(dl.plan.__globals__, "jax", here)
    found = dl.plan(MODEL, dl.data.iris(), on="cuda", batch_size=32)
    assert found.memory_bytes == 60 * 2**30 and (found.step_seconds is not None) == seconds
    if found.step_seconds is not None:
        bandwidth = dl.scale.peak_bandwidth(gpu)
        assert found.bytes_moved is not None and bandwidth is not None and found.bound == "memory"
        assert found.step_seconds == found.bytes_moved / bandwidth > found.flops / 312e12


def test_a_compiler_that_fails_is_said_in_one_line(monkeypatch):
    program = jax.export.export(jax.jit(jnp.sin))(jnp.ones(3))
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(dl.DlcoreError, match="the compiler failed: it ended with status 1"):
        compile_ahead(program, "cpu")


def test_what_has_no_plan_is_refused_before_anything_is_compiled():
    plan = lambda **options: dl.plan(MODEL, dl.data.iris(), **{"on": "cpu", **options})
    with pytest.raises(TypeError, match="did you mean 'batch_size'"):
        plan(batchsize=3)
    with pytest.raises(ValueError, match="seeds: a plan is of one run"):
        plan(seeds=3)
    with pytest.raises(ValueError, match="there is no 'tpu'"):
        plan(on="tpu")
    with pytest.raises(ValueError, match="there is no GPU here; expected .*'cuda:h100'.* or plan where the GPU is"):
        plan(on="cuda")
    with pytest.raises(ValueError, match="wants 16 devices, and cuda:h100:8 has 8"):
        plan(on="cuda:h100:8", mesh={"data": 16}, batch_size=32)
    with pytest.raises(ValueError, match="a multiple of the 3 devices along 'data'"):
        plan(mesh={"data": 3}, batch_size=32)
    with pytest.raises(ValueError, match="positive numbers of devices by axis"):
        plan(mesh={"data": 0})
    with pytest.raises(TypeError, match="devices by axis"):
        plan(mesh=4)
    with pytest.raises(ValueError, match="wants 8 devices, and v5e:2x2 has 4"):
        plan(on="v5e:2x2", mesh={"data": 8})


def test_a_compiler_that_was_killed_is_said_to_be(monkeypatch, tmp_path):
    program = jax.export.export(jax.jit(jnp.sin))(jnp.ones(3))
    killed = tmp_path / "python"
    killed.write_text("#!/bin/sh\nkill -9 $$\n")
    killed.chmod(0o700)
    monkeypatch.setattr("sys.executable", str(killed))
    with pytest.raises(dl.DlcoreError, match="the compiler was killed; .* too little memory"):
        compile_ahead(program, "cpu")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*donated")
def test_params_in_parts_take_less_of_a_device_and_are_gathered():
    model = dl.models.mlp((64,), classes=3)
    whole = dl.plan(model, dl.data.iris(), on="cpu", mesh={"data": 4}, batch_size=32)
    layout = dl.scale.layout({"data": 4}, shard_params=True, least=64)
    parts = dl.plan(model, dl.data.iris(), on="cpu", mesh=layout, batch_size=32)
    assert whole.held_bytes == whole.carry_bytes == parts.carry_bytes
    assert parts.held_bytes < 0.4 * parts.carry_bytes and parts.shard_params
    assert "all-gather" in parts.collectives and "all-gather" not in whole.collectives
    assert "params in parts" in repr(parts)


def test_a_layout_may_be_of_more_devices_than_there_are_until_something_runs_on_it():
    layout = dl.scale.as_layout({"data": 32})
    assert layout.size == 32 and dict(layout.elsewhere.mesh.shape) == {"data": 32}
    with pytest.raises(ValueError, match="mesh: expected at most 1 devices, the ones there are"):
        dl.fit(MODEL, dl.data.iris(), mesh=layout, steps=1, batch_size=64)
