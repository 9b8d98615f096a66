"""TPUs are planned for where there is none. Needs the extra `aot` (libtpu), which CI installs."""

from __future__ import annotations

import importlib.util

import jax
import numpy as np
import pytest

import dlcore as dl
from dlcore import layers
from dlcore.scale import topology

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("libtpu") is None, reason="needs pip install 'dlcore[aot]'"),
]


def transformer(width=256, depth=4):
    attention = layers.residual(layers.serial(norm=layers.layer_norm(), attention=layers.multi_head_attention(4)))
    mlp = layers.serial(
        norm=layers.layer_norm(), up=layers.dense(4 * width), act=layers.relu(), down=layers.dense(width)
    )
    blocks = layers.repeat(depth, layers.serial(attention=attention, mlp=layers.residual(mlp)))
    return layers.serial(embed=layers.embed(1000, width), blocks=blocks, out=layers.dense(1000))


def tokens(count, length):
    x = np.zeros((count, length), np.int32)
    return x, x + 1


def parameter_bytes(model, x):
    return sum(4 * leaf.size for leaf in jax.tree.leaves(model.plan(x[:1]).params))


def test_lenet5_is_planned_for_four_chips():
    x = np.zeros((512, 28, 28, 1), np.float32)
    model = dl.models.lenet5(10)
    found = dl.plan(model, (x, np.arange(512) % 10), on="v5e:2x2", mesh={"data": 4}, batch_size=64)
    assert found.fits and found.step_seconds is not None and 0 < found.step_seconds < 1e-3
    assert found.collectives["all-reduce"]["bytes"] == pytest.approx(parameter_bytes(model, x), rel=0.05)


@pytest.mark.parametrize("on", ["v5e:2x2", "v5p:2x2x1", "tpu7x:2x2x1"])
def test_a_transformer_is_planned_for_every_generation(on):
    model, (x, y) = transformer(), tokens(64, 128)
    found = dl.plan(model, (x, y), on=on, mesh={"data": 4}, batch_size=16)
    assert found.fits and found.peak_bytes is not None and found.peak_bytes < topology(on).chip.memory
    # The gradient of a scanned block may go round layer by layer, which counts as often as it does.
    assert found.collectives["all-reduce"]["bytes"] == pytest.approx(parameter_bytes(model, x), rel=0.1)
    assert any(one["path"].startswith("params/blocks") for one in found.buffers)


def test_params_in_parts_are_gathered_and_take_less_of_every_chip():
    model, (x, y) = transformer(depth=1), tokens(64, 128)
    layout = dl.scale.layout({"data": 2, "model": 2}, shard_params=True)
    found = dl.plan(model, (x, y), on="v5e:2x2", mesh=layout, batch_size=16)
    assert found.fits and found.held_bytes < 0.6 * found.carry_bytes
    assert "all-gather" in found.collectives


def test_too_large_a_batch_is_refused_by_the_compiler_and_answered():
    found = dl.plan(transformer(), tokens(8192, 1024), on="v5e:2x2", batch_size=8192)
    assert not found.fits and found.memory_bytes is not None and found.memory_bytes < 16 * 2**30
    assert found.peak_bytes is None or found.peak_bytes > found.memory_bytes
    assert any("mesh={'data': 4}" in line for line in found.advice)
