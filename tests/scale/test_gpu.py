"""GPUs are planned for where there is none. Needs the extra `aot-cuda`, half a gigabyte, which CI leaves out."""

from __future__ import annotations

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dlcore as dl
from dlcore import layers
from dlcore.scale._compile import check_topology


def has_plugin() -> bool:
    try:
        check_topology("cuda:h100", None)
    except ImportError:
        return False
    return importlib.util.find_spec("flatbuffers") is not None


pytestmark = [
    pytest.mark.slow,
    pytest.mark.may_skip(reason="half a gigabyte for these alone"),
    pytest.mark.skipif(not has_plugin(), reason="needs pip install 'dlcore[aot-cuda]'"),
]

IMAGES = (np.zeros((512, 28, 28, 1), np.float32), np.arange(512) % 10)


def number(size: int | None) -> int:
    assert size is not None
    return size


def parameter_bytes(model, x):
    return sum(4 * leaf.size for leaf in jax.tree.leaves(model.plan(x[:1]).params))


def transformer(width=256, depth=4):
    attention = layers.residual(layers.serial(norm=layers.layer_norm(), attention=layers.multi_head_attention(4)))
    mlp = layers.serial(
        norm=layers.layer_norm(), up=layers.dense(4 * width), act=layers.relu(), down=layers.dense(width)
    )
    block = layers.serial(attention=attention, mlp=layers.residual(mlp), drop=layers.dropout(0.1))
    return layers.serial(embed=layers.embed(1000, width), blocks=layers.repeat(depth, block), out=layers.dense(1000))


def tokens(count, length):
    x = np.zeros((count, length), np.int32)
    return x, x + 1


@pytest.mark.parametrize("model", ["a100", "h100", "h200"])
def test_lenet5_is_planned_for_every_model(model):
    found = dl.plan(dl.models.lenet5(10), IMAGES, on=f"cuda:{model}", batch_size=64)
    data = sum(part.nbytes // (2 if part.dtype == np.int64 else 1) for part in IMAGES)
    assert found.fits and found.peak_bytes is not None and found.peak_bytes > found.carry_bytes + data
    assert found.memory_bytes == round(0.75 * dl.scale.CHIPS[model].memory) and found.collectives == {}
    assert found.step_seconds is not None and 1e-6 < found.step_seconds < 1e-3 and found.bound == "memory"


def test_gpus_add_up_their_gradients_and_share_the_batch():
    model = dl.models.lenet5(10)
    alone = dl.plan(model, IMAGES, on="cuda:h100:8", batch_size=64)
    found = dl.plan(model, IMAGES, on="cuda:h100:8", mesh={"data": 8}, batch_size=64)
    assert found.collectives["all-reduce"]["bytes"] == pytest.approx(parameter_bytes(model, IMAGES[0]), rel=0.05)
    assert found.flops == alone.flops and number(found.bytes_moved) < 0.5 * number(alone.bytes_moved)
    assert number(found.peak_bytes) < number(alone.peak_bytes)


@pytest.mark.parametrize("policy", [None, "bf16", "fp16"])
def test_a_transformer_is_planned_in_every_precision(policy):
    model, (x, y) = transformer(), tokens(64, 128)
    found = dl.plan(model, (x, y), on="cuda:h100:4", mesh={"data": 4}, batch_size=16, policy=policy)
    held = parameter_bytes(model, x) / (1 if policy is None else 2)  # gradients are added up as they are computed
    assert found.fits and found.collectives["all-reduce"]["bytes"] == pytest.approx(held, rel=0.1)
    assert any(one["path"].startswith(("params/blocks", "blocks")) for one in found.buffers)


def test_params_in_parts_are_gathered_and_take_less_of_every_gpu():
    model, (x, y) = transformer(depth=1), tokens(64, 128)
    layout = dl.scale.layout({"data": 2, "model": 2}, shard_params=True)
    whole = dl.plan(model, (x, y), on="cuda:h100:4", mesh={"data": 4}, batch_size=16)
    found = dl.plan(model, (x, y), on="cuda:h100:4", mesh=layout, batch_size=16)
    assert found.held_bytes < 0.6 * found.carry_bytes and "all-gather" in found.collectives
    assert number(found.peak_bytes) < number(whole.peak_bytes)


def test_too_large_a_batch_does_not_fit_and_a_larger_gpu_has_more_room(monkeypatch):
    found = dl.plan(transformer(), tokens(8192, 1024), on="cuda:h100:4", batch_size=8192)
    assert not found.fits and found.memory_bytes is not None and found.memory_bytes < 0.75 * 80 * 2**30
    assert found.peak_bytes is None or found.peak_bytes > found.memory_bytes
    assert any("mesh={'data': 4}" in line for line in found.advice)
    monkeypatch.setenv("XLA_CLIENT_MEM_FRACTION", "0.5")
    half = dl.plan(dl.models.lenet5(10), IMAGES, on="cuda:h200", batch_size=64)
    assert half.memory_bytes == pytest.approx(0.5 * 141 * 2**30, rel=0.01)


def test_a_program_for_a_gpu_is_kept_apart_by_model(monkeypatch, tmp_path):
    monkeypatch.setenv("DLCORE_CACHE", str(tmp_path))
    plan = lambda on: dl.plan(dl.models.mlp((8,), classes=3), dl.data.iris(), on=on, batch_size=32)
    assert not plan("cuda:h100").cached and not plan("cuda:a100").cached and plan("cuda:h100").cached


def test_a_matrix_product_takes_what_arithmetic_says():
    program = jax.export.export(jax.jit(lambda x, w: jnp.tanh(x @ w)), platforms=["cuda"])(
        *(jax.ShapeDtypeStruct((1024, 1024), jnp.float32) for _ in range(2))
    )
    found = dl.scale.compile_ahead(program, "cuda:h100", names=["x", "w"])
    assert found["bytes_moved"] >= 3 * 4 * 2**20 and found["peak_bytes"] >= 3 * 4 * 2**20
    assert found["bytes_moved"] < 6 * 4 * 2**20
