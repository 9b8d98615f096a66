"""Where the rules lay arrays, and what they refuse."""

from __future__ import annotations

import jax
import pytest
from jax.sharding import PartitionSpec as P

from dlcore import scale

TENSORS = scale.layout({"data": 4, "model": 2})
FULL = scale.layout({"data": 4, "model": 2}, shard_params=True, least=64)


@pytest.mark.parametrize(
    ("layout", "path", "shape", "spec"),
    [
        (TENSORS, "params/block/1/query/kernel", (64, 64), P(None, "model")),
        (TENSORS, "params/block/1/query/bias", (64,), P("model")),
        (TENSORS, "params/block/1/out/kernel", (64, 64), P("model", None)),
        (TENSORS, "params/block/1/out/bias", (64,), P(None)),
        (TENSORS, "params/blocks/up/kernel", (12, 64, 256), P(None, None, "model")),  # stacked by `repeat`
        (TENSORS, "opt_state/0/mu/blocks/down/kernel", (12, 256, 64), P(None, "model", None)),
        (TENSORS, "params/blocks/up/kernel", (64, 255), P(None, None)),  # two do not divide 255
        (TENSORS, "params/embed/embedding", (1000, 64), P(None, None)),
        (FULL, "params/embed/embedding", (1000, 64), P("data", None)),  # the longest axis
        (FULL, "params/block/up/kernel", (64, 256), P("data", "model")),
        (FULL, "params/block/up/bias", (256,), P("model")),  # one axis cannot be cut twice
        (FULL, "params/norm/scale", (63,), P(None)),  # small ones stay whole
        (FULL, "params/norm/scale", (64,), P("data")),
        (FULL, "step", (), P()),
    ],
)
def test_rules_say_how_an_array_lies(layout, path, shape, spec):
    assert layout.spec(path, shape) == spec


def test_the_first_rule_that_is_found_counts():
    rules = (("special/kernel$", (None, None)), *scale.TENSOR_RULES, ("kernel$", ("model", None)))
    layout = scale.layout({"model": 2}, rules=rules)
    assert layout.spec("params/special/kernel", (4, 4)) == P(None, None)
    assert layout.spec("params/other/kernel", (4, 4)) == P("model", None)
    assert layout.spec("params/query/kernel", (4, 4)) == P(None, "model")


def test_devices_by_axis_are_a_layout():
    assert scale.as_layout({"data": 2}) is scale.layout({"data": 2})
    assert scale.as_layout(TENSORS) is TENSORS
    with pytest.raises(TypeError, match="mesh: expected devices by axis, as in {'data': 4}"):
        scale.as_layout(4)


@pytest.mark.parametrize("axes", [{}, {"data": 0}, {"data": True}, {"data": 1.0}])
def test_axes_without_devices_are_refused(axes):
    with pytest.raises(ValueError, match="mesh: expected positive numbers of devices by axis"):
        scale.layout(axes)


def test_a_batch_that_cannot_be_cut_evenly_is_refused():
    with pytest.raises(ValueError, match="batch_size: expected a multiple of the 4 devices along 'data', found 30; 28"):
        TENSORS.check_batch_size(30)
    TENSORS.check_batch_size(32)


def test_devices_are_asked_for_when_a_run_starts_only():
    many = scale.layout({"data": 1 + len(jax.devices())})  # as in the folder of a run of a larger machine
    with pytest.raises(ValueError, match=f"mesh: expected at most {len(jax.devices())} devices"):
        many.check_devices()
