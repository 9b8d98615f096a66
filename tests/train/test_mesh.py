"""One run over eight devices is the run on one, but for the order of sums."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import dlcore as dl

ROOT = Path(__file__).parents[2]

COMMON = """
import jax, numpy as np
import dlcore as dl
from dlcore import layers, scale

assert len(jax.devices()) == 8
digits = dl.data.digits()
images = (digits.train["x"][:256], digits.train["y"][:256])

def mlp():
    return dl.serial(layers.flatten(), up=dl.dense(64), norm=layers.batch_norm(), relu=dl.relu(), drop=dl.dropout(0.2),
                     down=dl.dense(32), gelu=layers.gelu(), head=dl.dense(10))

def attention():
    block = dl.serial(layers.layer_norm(), layers.multi_head_attention(2, causal=True))
    return dl.serial(embed=layers.embed(20, 16), block=dl.residual(block), mean=lambda x: x.mean(1), out=dl.dense(4))

draw = np.random.default_rng(0)
tokens = (draw.integers(0, 20, (256, 12)).astype(np.int32), draw.integers(0, 4, 256).astype(np.int32))
momentum = dl.optim.momentum(0.02)  # Adam makes steps of one size from gradients that are noise
clipped = dl.optim.chain(dl.optim.clip_by_norm(0.5), dl.optim.momentum(0.1))
LAYOUTS = {
    "data": {"data": 8},
    "params": scale.layout({"data": 8}, shard_params=True, least=64),
    "tensors": scale.layout({"model": 2}),
    "all": scale.layout({"data": 4, "model": 2}, shard_params=True, least=64),
}

def same(one, many):
    for name in ("loss", "accuracy", "validation_loss"):
        if name in one.metrics:
            np.testing.assert_allclose(many.metrics[name], one.metrics[name], rtol=1e-4, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-5), one.params, many.params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-5), one.state, many.state)
"""

EQUAL = """
def masked(key, n):
    # Weights that differ from device to device, and a device without any.
    x, y = (jax.lax.dynamic_slice_in_dim(jax.numpy.asarray(part), 32 * (n % 8), 32) for part in images)
    return {"x": x, "y": y, "mask": jax.numpy.where(jax.numpy.arange(32) < 4, 0.0, 1.0 + jax.numpy.arange(32) % 3)}

# Clipping would hide gradients that are too large by a factor; the first and the last case are not clipped.
for model, data, optimizer in ((mlp(), images, momentum), (attention(), tokens, clipped), (mlp(), masked, momentum)):
    options = dict(optimizer=optimizer, steps=20, batch_size=32, loss=dl.losses.cross_entropy)
    one = dl.fit(model, data, **options)
    for name, layout in LAYOUTS.items():
        many = dl.fit(model, data, mesh=layout, **options)
        same(one, many)
        print("same", name)
"""

PLACED = """
run = dl.fit(mlp(), digits, mesh=LAYOUTS["all"], epochs=1, optimizer=momentum)
kernel = run.params["up"]["kernel"]
assert kernel.sharding.spec == jax.sharding.PartitionSpec("data", "model"), kernel.sharding
assert {s.data.shape for s in kernel.addressable_shards} == {(16, 32)}
moments = [leaf for leaf in jax.tree.leaves(run.final.opt_state) if leaf.shape == kernel.shape]
assert moments and all(leaf.sharding.spec == kernel.sharding.spec for leaf in moments)
same(dl.fit(mlp(), digits, epochs=1, optimizer=momentum), run)
"""

RESUMED = """
import sys
folder = sys.argv[1]
whole = dl.fit(mlp(), images, mesh=LAYOUTS["params"], steps=20, batch_size=32, optimizer=momentum)
dl.fit(mlp(), images, mesh=LAYOUTS["params"], steps=10, batch_size=32, optimizer=momentum, out=folder)
more = dict(steps=20, batch_size=32, optimizer=momentum, resume=True, allow_changes=True)
again = dl.fit(mlp(), images, mesh=LAYOUTS["params"], out=folder, **more)
kept = [(run.params, run.state, run.final.opt_state, run.metrics["loss"]) for run in (whole, again)]
for a, b in zip(*map(jax.tree.leaves, kept), strict=True):
    assert np.asarray(a).tobytes() == np.asarray(b).tobytes()
for mesh in ({"data": 4}, None):
    other = folder + str(mesh and 4)
    import shutil
    dl.fit(mlp(), images, mesh=LAYOUTS["params"], steps=10, batch_size=32, optimizer=momentum, out=other)
    same(whole, dl.fit(mlp(), images, mesh=mesh, out=other, **more))
print("resumed")
"""


def run(script: str, *arguments: str) -> str:
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "8", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", COMMON + script, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_every_layout_gives_the_run_of_one_device():
    assert run(EQUAL).count("same") == 12


@pytest.mark.slow
def test_params_and_moments_lie_in_parts():
    run(PLACED)


@pytest.mark.slow
def test_a_run_goes_on_to_the_same_bits_and_on_another_mesh(tmp_path):
    assert "resumed" in run(RESUMED, str(tmp_path / "run"))


def test_a_mesh_of_one_device_is_a_run():
    options: dict[str, Any] = {"steps": 3, "batch_size": 32}
    model, iris = dl.models.softmax_regression(3), dl.data.iris()
    one, same = dl.fit(model, iris, **options), dl.fit(model, iris, mesh={"data": 1}, **options)
    assert (one.metrics["loss"] == same.metrics["loss"]).all()


def test_what_does_not_fit_is_refused():
    model, iris = dl.models.softmax_regression(3), dl.data.iris()
    with pytest.raises(ValueError, match="mesh: expected at most 1 devices"):
        dl.fit(model, iris, mesh={"data": 8}, steps=1)
    with pytest.raises(ValueError, match="mesh: a run over many devices is one run"):
        dl.fit(model, iris, mesh={"data": 1}, steps=1, seeds=2)
    with pytest.raises(TypeError, match="mesh: expected devices by axis"):
        dl.fit(model, iris, mesh=8, steps=1)
    with pytest.raises(ValueError, match="rules: 'kernel' names the axis 'modle'"):
        dl.scale.layout({"model": 1}, rules=(("kernel", (None, "modle")),))
