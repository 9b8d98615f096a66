"""On one CPU device and on two, each lane of a sweep has the bits of the lone run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

COMMON = """
import sys, warnings
import jax, numpy as np
import dlcore as dl
from dlcore import layers

def bits(run):
    final = run.final.replace(key=jax.random.key_data(run.final.key))
    leaves = jax.tree.leaves((run.params, run.state, final, dict(run.metrics)))
    return [np.asarray(leaf).tobytes() for leaf in leaves] + [str(run.stopped)]

digits = dl.data.digits()
images = (digits.train["x"][:128], digits.train["y"][:128])
"""

LANES = """
def mlp():
    return dl.models.mlp((16,), 10, dropout=0.2)

def lenet():
    block = lambda features, padding: dl.serial(
        conv=dl.conv(features, 5, padding=padding), norm=layers.batch_norm(), relu=dl.relu(), pool=layers.max_pool(2))
    return dl.serial(resize=layers.resize((28, 28)), one=block(6, "SAME"), two=block(16, "VALID"),
                     flatten=layers.flatten(), dense=dl.dense(32), relu=dl.relu(), dropout=dl.dropout(0.3),
                     out=dl.dense(10))

def attend(call, x):
    h = call.norm(x)
    q, k, v = (call[name](h).reshape(*h.shape[:2], 2, 8) for name in "qkv")
    x = x + call.out(jax.nn.dot_product_attention(q, k, v).reshape(h.shape))
    return x + call.mlp(call.second(x))

def attention():
    feed = dl.serial(up=dl.dense(32), gelu=layers.gelu(), dropout=dl.dropout(0.1), down=dl.dense(16))
    block = dl.compose(attend, norm=layers.layer_norm(), second=layers.layer_norm(), mlp=feed,
                       **{name: dl.dense(16) for name in ("q", "k", "v", "out")})
    return dl.serial(embed=layers.embed(20, 16), block=block, mean=lambda x: x.mean(1), out=dl.dense(4))

random = np.random.default_rng(0)
tokens = (random.integers(0, 20, (128, 12)).astype(np.int32), random.integers(0, 4, 128).astype(np.int32))
models = {"mlp": (mlp(), images), "lenet": (lenet(), images), "attention": (attention(), tokens)}
families = {
    "sgd": (dl.optim.sgd(0.1), {}), "adam": (dl.optim.adam(0.1), {"b1": 0.8}),
    "adamw": (dl.optim.adamw(0.1), {"weight_decay": 0.05}), "rmsprop": (dl.optim.rmsprop(0.1), {"decay": 0.95}),
}
model, data = models[sys.argv[1]]
for name, (optimizer, more) in families.items():
    options = {"optimizer": optimizer, "steps": 16, "batch_size": 16, "progress": False}
    space = {"learning_rate": [3e-3, 1e-2], **{one: [value] for one, value in more.items()}}
    result = dl.sweep(model, data, space=space, seeds=2, **options)
    for row in result.rows:
        own = {"learning_rate": row["learning_rate"], **more}
        assert bits(result.lane(row["lane"])) == bits(dl.fit(model, data, key=row["seed"], hparams=own, **options)), row
    print(len(jax.devices()), name)
"""

MOVED = """
model = lambda hparams: dl.models.mlp((hparams["width"],))
options = {"space": {"width": [4, 6], "learning_rate": [1e-3, 1e-1]}, "seeds": 2, "patience": 1, "rungs": [2]}
sweep = lambda **more: dl.sweep(model, digits, progress=False, epochs=6, **options, **more)
if sys.argv[1] == "begin":
    from dlcore.train import _progress
    heard = []
    def update(self, step, values):
        heard.append(step)
        if len(heard) == 5:
            raise KeyboardInterrupt
    _progress.Silent.update = update
    try:
        sweep(out=sys.argv[2], save_every=1)
    except KeyboardInterrupt:
        print(len(jax.devices()), "gone")
else:
    resumed, whole = sweep(out=sys.argv[2], resume=True), sweep()
    assert [bits(resumed.lane(n)) for n in range(8)] == [bits(whole.lane(n)) for n in range(8)]
    print(len(jax.devices()), "same")
"""


def run(script: str, *arguments: str, devices: str = "2") -> list[str]:
    """Runs a script in a process with so many CPU devices; returns the lines it printed."""
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": paths, "JAX_NUM_CPU_DEVICES": devices}
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("devices", ["1", "2"])
@pytest.mark.parametrize("model", ["mlp", "lenet", "attention"])
def test_lanes_have_the_bits_of_lone_runs_under_every_optimizer(model, devices):
    lines = run(COMMON + LANES, model, devices=devices)
    assert lines == [f"{devices} {name}" for name in ("sgd", "adam", "adamw", "rmsprop")]


@pytest.mark.slow
def test_a_sweep_begun_on_two_devices_goes_on_with_one(tmp_path):
    assert run(COMMON + MOVED, "begin", str(tmp_path)) == ["2 gone"]
    assert run(COMMON + MOVED, "end", str(tmp_path), devices="1") == ["1 same"]


@pytest.mark.slow
def test_every_core_becomes_a_device_unless_jax_has_started():
    script = "import os, jax, dlcore as dl\nprint(dl.use_all_cores() == len(os.sched_getaffinity(0)))"
    assert run(script, devices="-1") == ["True"]
    late = "import warnings, jax, dlcore as dl\njax.numpy.ones(3)\nwarnings.simplefilter('error')\n"
    late += "try: print(dl.use_all_cores())\nexcept UserWarning as warning: print(str(warning)[:22])"
    if hasattr(os, "sched_getaffinity") and len(os.sched_getaffinity(0)) > 1:
        assert run(late, devices="-1") == ["JAX had started before"]
