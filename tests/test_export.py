"""What is exported gives the same numbers in a process that has only JAX."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dlcore as dl
from dlcore.train._ahead import ahead
from dlcore.train._session import DEFAULTS

ELSEWHERE = """
import sys, numpy as np, jax
from jax import export
given = np.load(sys.argv[2])
call = jax.jit(export.deserialize(bytearray(open(sys.argv[1], "rb").read())).call)
out = call(*[given[f"arr_{i}"] for i in range(len(given.files))])
np.savez(sys.argv[3], *jax.tree.leaves(out))
assert "dlcore" not in sys.modules and "flax" not in sys.modules
"""


@pytest.fixture
def elsewhere(tmp_path):
    """Calls what was saved in a process that has never heard of dlcore."""

    def call(blob: bytes, *arguments):
        dl.export.save(blob, tmp_path / "program")
        np.savez(tmp_path / "given.npz", *arguments)
        command = [sys.executable, "-c", ELSEWHERE, "program", "given.npz", "out.npz"]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        out = np.load(tmp_path / "out.npz")
        return [out[name] for name in out.files]

    return call


@pytest.fixture(scope="module")
def run():
    return dl.fit(dl.models.mlp((16,), classes=3), dl.data.iris(), epochs=2, batch_size=32, progress=False)


@pytest.mark.slow
def test_a_process_with_only_jax_predicts_the_same_for_any_batch(run, elsewhere):
    x = np.asarray(run.data.train["x"])
    blob = dl.export.export_predict(run)
    (found,) = elsewhere(blob, x[:17])
    np.testing.assert_allclose(found, run.model.apply(run.params, run.state, x[:17])[0], atol=1e-6)
    assert jax.export.deserialize(bytearray(blob)).platforms == ("cpu", "cuda", "tpu")


@pytest.mark.slow
def test_what_was_saved_is_loaded_as_a_function(run, tmp_path):
    dl.export.save(dl.export.export_predict(run, platforms=("cpu",)), tmp_path / "program")
    assert [path.name for path in tmp_path.iterdir()] == ["program"]
    predict = dl.export.load_exported(tmp_path / "program")
    for count in (1, 5):
        x = np.asarray(run.data.train["x"][:count])
        np.testing.assert_allclose(predict(x), run.model.apply(run.params, run.state, x)[0], atol=1e-6)


@pytest.mark.slow
def test_a_convolutional_network_goes_to_every_platform_with_its_batch_open():
    model, x = dl.models.lenet5(10), jax.random.normal(jax.random.key(1), (3, 28, 28, 1))
    params, state = model.init(jax.random.key(0), x)
    made = jax.export.deserialize(bytearray(dl.export.export_predict(model, params, state, x)))
    assert not isinstance(made.in_avals[0].shape[0], int)
    np.testing.assert_allclose(made.call(x), model.apply(params, state, x)[0], atol=1e-5)


def test_a_model_that_asks_for_the_size_of_its_batch_keeps_that_of_x():
    model = dl.serial(double=lambda x: x * float(np.prod(x.shape)), out=dl.dense(2))
    x = jnp.ones((6, 3))
    params, state = model.init(jax.random.key(0), x)
    made = jax.export.deserialize(bytearray(dl.export.export_predict(model, params, state, x, platforms=("cpu",))))
    assert made.in_avals[0].shape == (6, 3)
    fixed = dl.export.export_predict(dl.dense(2), params["out"], {}, x, platforms=("cpu",), batch=4)
    assert jax.export.deserialize(bytearray(fixed)).in_avals[0].shape == (4, 3)


@pytest.mark.slow
def test_a_process_with_only_jax_trains_as_fit_does(elsewhere):
    x = np.asarray(jax.random.normal(jax.random.key(2), (64, 4)))
    data, model = (x, (x[:, 0] > 0).astype(np.int32)), dl.models.mlp((8,), classes=2)
    options: dict[str, Any] = {"batch_size": 16, "steps": 5, "key": 7}
    chunk = ahead({**DEFAULTS, "model": model, "data": data, **options})
    start = dl.fit(model, data, progress=False, **{**options, "steps": 1})
    end = dl.fit(model, data, progress=False, **options)
    # What one step has left, four more make what five leave.
    carry = [jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf for leaf in
             jax.tree.leaves(start.final)]  # fmt: skip
    blob = dl.export.export_chunk(model, data, platforms=("cpu",), **options)
    arrays = jax.tree.leaves(dl.data.as_dataset(data).train)
    out = elsewhere(blob, *carry, np.int32(4), *arrays)
    assert len(carry) == chunk.donated
    wanted = jax.tree.leaves(end.params)
    where = [number for number, name in enumerate(chunk.names) if name.startswith("params/")]
    assert len(where) == len(wanted)
    for number, leaf in zip(where, wanted, strict=True):
        np.testing.assert_allclose(out[number], leaf, atol=1e-6)


def test_a_damaged_file_is_said_in_one_line(run, tmp_path):
    blob = dl.export.export_predict(run, platforms=("cpu",))
    for name, content in (
        ("empty", b""),
        ("text", b"not a program at all, but long enough"),
        ("cut", blob[: len(blob) // 2]),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(dl.DlcoreError, match=f"{name}: expected an exported program") as caught:
            dl.export.load_exported(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(dl.DlcoreError, match="missing: expected an exported program, found"):
        dl.export.load_exported(tmp_path / "missing")


def test_what_cannot_be_exported_is_refused(run, monkeypatch):
    with pytest.raises(ValueError, match="platforms: there is no 'gpu'"):
        dl.export.export_predict(run, platforms=("gpu",))
    with pytest.raises(ValueError, match="expected several names"):
        dl.export.export_predict(run, platforms="cpu")
    with pytest.raises(TypeError, match="expected a Run or a layer, found 3"):
        dl.export.export_predict(3)
    with pytest.raises(TypeError, match="with its params"):
        dl.export.export_predict(dl.dense(3))
    with pytest.raises(TypeError, match="did you mean 'batch_size'"):
        dl.export.export_chunk(run.model, run.data, batchsize=3)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'dlcore\[export\]'"):
        dl.export.export_predict(run)
