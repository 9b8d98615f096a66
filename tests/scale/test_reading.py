"""Compiled programs are read right: against XLA's own counts, and against arithmetic."""

from __future__ import annotations

import re
import types
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from dlcore.scale import CHIPS, Chip, Topology, measure, peak_bandwidth, peak_flops, topology
from dlcore.scale._gpu_target import target_config
from dlcore.scale._hlo import parse_hlo, shape_bytes, visits
from dlcore.scale._measure import read_out_of_memory
from dlcore.scale._traffic import bytes_moved, count_collectives, largest_buffers, layer_path

F32 = lambda *shape: jax.ShapeDtypeStruct(shape, jnp.float32)


def compiled(function, *structs) -> tuple[Any, Any]:
    made: Any = jax.jit(function).lower(*structs).compile()
    return made, parse_hlo(made.as_text())


def test_a_product_moves_what_xla_says():
    made, module = compiled(lambda x, w: jnp.tanh(x @ w), F32(128, 256), F32(256, 64))
    said = made.cost_analysis()["bytes accessed"]
    assert bytes_moved(module) == pytest.approx(said, rel=0.01)


def test_a_gather_moves_the_rows_and_not_the_table():
    made, module = compiled(lambda table, rows: table[rows] * 2, F32(10_000, 64), jax.ShapeDtypeStruct((8,), "int32"))
    row_bytes = 8 * 64 * 4
    assert row_bytes < bytes_moved(module) < 20 * row_bytes < 10_000 * 64 * 4


def test_a_scan_counts_as_often_as_it_runs():
    def chain(length):
        return compiled(lambda x, w: lax.scan(lambda x, _: (jnp.tanh(x @ w), None), x, length=length)[0],
                        F32(64, 64), F32(64, 64))  # fmt: skip

    (short, few), (long, many) = chain(10), chain(40)
    assert long.cost_analysis()["bytes accessed"] == pytest.approx(short.cost_analysis()["bytes accessed"], rel=0.01)
    assert bytes_moved(many) == pytest.approx(4 * bytes_moved(few), rel=0.1)
    assert max(visit.times for visit in visits(many)) == 40


def test_a_loop_is_counted_by_its_condition_where_the_compiler_does_not_say():
    made, _ = compiled(lambda x: lax.fori_loop(0, 7, lambda _, x: jnp.sin(x @ x), x), F32(32, 32))
    text = re.sub(r'"known_trip_count":\{"n":"7"\},?', "", made.as_text())
    assert "known_trip_count" not in text
    assert max(visit.times for visit in visits(parse_hlo(text))) == 7
    endless, module = compiled(
        lambda x: lax.while_loop(lambda x: x[0, 0] < 7, lambda x: jnp.sin(x @ x), x), F32(32, 32)
    )
    assert {visit.times for visit in visits(module)} == {1}


def test_the_largest_arrays_have_the_names_of_layers_and_arguments():
    def network(*leaves):
        x, w = leaves
        with jax.named_scope("encoder"):
            return jnp.sum(jnp.sin(x @ w), axis=1)

    _, module = compiled(network, F32(16, 512), F32(512, 1024))
    found = largest_buffers(module, ["inputs", "weights"], most=2)
    assert found[0] == {"bytes": 512 * 1024 * 4, "shape": "f32[512,1024]", "path": "weights"}
    assert found[1]["bytes"] == 16 * 1024 * 4 and found[1]["path"].startswith("encoder")


def test_tiles_that_are_not_full_count_whole():
    assert shape_bytes("bf16[3,130]{1,0:T(8,128)(2,1)}") == 8 * 256 * 2
    assert shape_bytes("f32[130,3]{0,1:T(8,128)}") == 256 * 8 * 4
    assert shape_bytes("(f32[2]{0}, pred[3]{0}, s4[4]{0}, f8e4m3fn[5]{0})") == 8 + 3 + 2 + 5
    assert shape_bytes("f32[64]{0:T(128)S(1)}", memory=0) == 0


@pytest.mark.parametrize(
    ("opcode", "shape", "expected"),
    [
        ("all-reduce", "f32[64,128]{1,0}", 64 * 128 * 4),
        ("all-gather", "f32[256,128]{1,0}", 256 * 128 * 4),
        ("reduce-scatter", "f32[16,128]{1,0}", 64 * 128 * 4),
        ("all-gather-start", "(f32[64,128]{1,0}, f32[256,128]{1,0})", 256 * 128 * 4),
    ],
)
def test_collectives_count_what_a_device_holds_of_them(opcode, shape, expected):
    text = "ENTRY %main (p: f32[64,128]) -> f32[64,128] {\n  %p = f32[64,128]{1,0} parameter(0)\n"
    text += f"  ROOT %c = {shape} {opcode}(%p), channel_id=1, to_apply=%add\n}}\n"
    kind = opcode.removesuffix("-start")
    assert count_collectives(parse_hlo(text)) == {kind: {"count": 1, "bytes": expected}}


def test_layers_are_read_off_the_names_of_operations():
    assert layer_path("jit(f)/while/body/jvp(encoder)/0/conv_general_dilated") == "encoder/0 conv_general_dilated"
    assert layer_path("jit(f)/conv1/branch_0_fun/conv_general_dilated") == "conv1 conv_general_dilated"
    assert layer_path("jit(f)/add") == "add" and layer_path("") == ""


def test_the_memory_of_a_program_is_arguments_results_and_what_lies_between():
    found = measure(jax.jit(lambda x: jnp.sin(x @ x) @ x).lower(F32(256, 256)))
    assert 3 * 4 * 256**2 <= found["peak_bytes"] <= 4 * 4 * 256**2


def test_a_refusal_for_memory_is_read():
    old = "RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in memory space hbm. "
    old += "Used 20.50G of 15.75G hbm. Exceeded hbm capacity by 4.75G."
    assert read_out_of_memory(old) == (round(20.5 * 2**30), round(15.75 * 2**30))
    assert read_out_of_memory("RESOURCE_EXHAUSTED: something new") == (None, None)


def test_slices_are_named_as_jax_names_them():
    assert topology("v5e:2x2") == Topology("v5e:2x2", CHIPS["v5e"], 4)
    assert topology("v5p:2x2x1").devices == 4 and topology("tpu7x:2x2x1").devices == 8
    assert all(isinstance(chip, Chip) and chip.flops > 100 * chip.bandwidth for chip in CHIPS.values())
    with pytest.raises(ValueError, match="there is no 'v6f'; did you mean 'v6e'"):
        topology("v6f:2x2")
    for odd in ("v5e", "v5e:2", "v5e:0x2", "v5p:2x2", "v6e:2x2x1"):
        with pytest.raises(ValueError, match="expected .* with its grid of"):
            topology(odd)


def test_what_is_started_and_done_later_moves_once():
    text = """ENTRY %main (x: f32[1024]) -> f32[1024] {
  %x = f32[1024]{0} parameter(0)
  %start = f32[1024]{0} all-reduce-start(%x), replica_groups={{0,1}}, to_apply=%add
  ROOT %done = f32[1024]{0} all-reduce-done(%start)
}"""
    module = parse_hlo(text)
    assert bytes_moved(module) == 2 * 4096
    assert count_collectives(module) == {"all-reduce": {"count": 1, "bytes": 4096}}
    assert [one["path"] for one in largest_buffers(module, [])] == ["", "all-reduce-start"]


def test_gpus_are_named_by_model_and_number():
    assert topology("cuda:h100") == Topology("cuda:h100", CHIPS["h100"], 1)
    assert topology("cuda:h200:8").devices == 8 and topology("cuda:a100").chip.memory > 79 * 2**30
    with pytest.raises(
        ValueError, match="there is no 'cuda:h10'; did you mean 'h100'.*cuda:a100, cuda:h100, cuda:h200"
    ):
        topology("cuda:h10")
    with pytest.raises(ValueError, match="there is no 'h100'; did you mean 'cuda:h100'"):
        topology("h100")
    for odd in ("cuda:h100:", "cuda:h100:0", "cuda:h100:2x2"):
        with pytest.raises(ValueError, match="expected how many GPUs a machine has, as in 'cuda:h100:8'"):
            topology(odd)


def test_what_the_compiler_is_told_of_a_gpu_is_that_of_its_model():
    for model, processors in {"a100": 108, "h100": 132, "h200": 132}.items():
        text = target_config(model)
        assert f"core_count: {processors}\n" in text and f"device_memory_size: {CHIPS[model].memory}\n" in text
        assert text.count("{") == text.count("}")


@pytest.mark.parametrize(
    ("kind", "peak", "bandwidth"),
    [
        ("TPU v5 lite", 197e12, 819e9),
        ("TPU v5", 459e12, 2765e9),
        ("TPU v6 lite", 918e12, 1638e9),
        ("NVIDIA A100-SXM4-80GB", 312e12, 2039e9),
        ("NVIDIA A100-SXM4-40GB", 312e12, 1555e9),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", None, None),
        ("NVIDIA H100 80GB HBM3", 989e12, 3350e9),
        ("NVIDIA H100 PCIe", 756e12, 2000e9),
        ("NVIDIA H200", 989e12, 4800e9),
        ("cpu", None, None),
        ("NVIDIA GeForce RTX 3090", None, None),
    ],
)
def test_devices_have_the_peaks_that_are_published(kind, peak, bandwidth):
    device = types.SimpleNamespace(device_kind=kind)
    assert peak_flops(device) == peak and peak_bandwidth(device) == bandwidth
