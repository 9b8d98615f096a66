"""What a step moves: through memory, and between devices; and which arrays are the largest."""

import re
from collections.abc import Sequence
from typing import Any

from dlcore.scale._hlo import Instruction, Module, array_shapes, plain, shape_bytes, visits

COLLECTIVES = (
    "all-reduce",
    "all-gather",
    "reduce-scatter",
    "all-to-all",
    "ragged-all-to-all",
    "collective-permute",
    "collective-broadcast",
)
# They rename what is there already, or stand for what is counted elsewhere.
_FREE = frozenset(
    "parameter constant tuple get-tuple-element bitcast while conditional call after-all partition-id replica-id "
    "async-start async-update iota opt-barrier add-dependency".split()
)
_COPIES = ("copy-start", "slice-start")  # while something else is computed; the result is (to, from, context)
_SLICES = ("dynamic-slice", "slice", "gather")
_WRAPPER = re.compile(r"^(?:\w+)\((.*)\)$")
# Names that JAX gives to what is not a layer's.
_FRAME = re.compile(r"while|body|cond|scan|closed_call|call_exported|checkpoint|rematted_computation|branch_\d+_fun")


def count_collectives(module: Module) -> dict[str, dict[str, int]]:
    """Returns what devices exchange in a step, by kind: how many times, and bytes a device, as they are held."""
    found: dict[str, dict[str, int]] = {}

    def add(one: Instruction, computation: str, times: int) -> None:
        kind = one.opcode.removesuffix("-start")
        if kind in COLLECTIVES:
            entry = found.setdefault(kind, {"count": 0, "bytes": 0})
            entry["count"] += times
            entry["bytes"] += times * _exchanged(module, computation, one)
        if one.opcode == "fusion":  # some stand within a fusion
            for inner in one.called:
                for part in module.computations.get(inner, {}).values():
                    add(part, inner, times)

    for visit in visits(module):
        if visit.in_step:
            add(visit.instruction, visit.computation, visit.times)
    return found


def bytes_moved(module: Module) -> int:
    """Returns how many bytes the instructions of a step read from and write to a device's large memory.

    Of what is only sliced or gathered from, the part that is read counts, and of an array that is updated in place, the
    update. A scan counts as often as it runs.
    """
    total = 0
    for visit in visits(module):
        if visit.in_step and not _is_free(visit.instruction.opcode):
            total += visit.times * _moved(module, visit.computation, visit.instruction)
    return total


def largest_buffers(module: Module, names: Sequence[str], most: int = 8) -> list[dict[str, Any]]:
    """Returns the largest arrays of a program: bytes a device, shape, and the layer or argument that they belong to.

    Args:
      module: the program.
      names: of its flat arguments.
      most: how many.
    """
    found: dict[tuple[str, str], int] = {}
    for visit in visits(module):
        one = visit.instruction
        is_argument = one.opcode == "parameter" and visit.computation == module.entry
        if (_is_free(one.opcode) and not is_argument) or one.opcode in _COPIES:
            continue
        path = _argument(one, names) if is_argument else layer_path(one.op_name) or one.opcode
        for array in array_shapes(one.shape):  # several, where a fusion has several results
            found[plain(array), path] = max(found.get((plain(array), path), 0), shape_bytes(array))
    ordered = sorted(found.items(), key=lambda item: -item[1])[:most]
    return [{"bytes": size, "shape": shape, "path": path} for (shape, path), size in ordered]


def layer_path(op_name: str) -> str:
    """Returns the layer that an operation stands in, and the operation.

    Example:
      >>> layer_path("jit(chunk)/while/body/transpose(jvp(encoder))/0/dot_general")
      'encoder/0 dot_general (backward)'
    """
    parts = [part for part in op_name.split(";")[0].split("/") if part and not part.startswith(("jit(", "pjit("))]
    backward, path = False, []
    for part in parts[:-1]:
        while wrapped := _WRAPPER.match(part):
            backward |= part.startswith("transpose(")
            part = wrapped[1]
        if part and not _FRAME.fullmatch(part):
            path.append(part)
    return " ".join(filter(None, ["/".join(path), *parts[-1:], "(backward)" if backward else ""]))


def _is_free(opcode: str) -> bool:
    return opcode in _FREE or opcode.endswith("-done")  # what was started has been counted there


def _argument(one: Instruction, names: Sequence[str]) -> str:
    number = re.search(r"\[(\d+)\]$", one.op_name)
    return names[int(number[1])] if number and int(number[1]) < len(names) else one.op_name


def _exchanged(module: Module, computation: str, one: Instruction) -> int:
    given = sum(shape_bytes(shape, padded=False) for shape in _operands(module, computation, one))
    result = shape_bytes(one.shape, padded=False)
    # What is started gives a tuple of its operands and its results, except for sums.
    if one.opcode.endswith("-start") and not one.opcode.startswith("all-reduce"):
        result -= given
    return max(given, result)


def _moved(module: Module, computation: str, one: Instruction) -> int:
    shapes = _operands(module, computation, one)
    written = shape_bytes(one.shape, memory=0)
    if one.opcode in _COPIES:
        to = array_shapes(one.shape)[0]
        return shape_bytes(to, memory=0) + min(shape_bytes(to), *(shape_bytes(shape, memory=0) for shape in shapes))
    if one.opcode in _SLICES:
        return 2 * written
    if one.opcode == "dynamic-update-slice":
        return 2 * shape_bytes(shapes[1], memory=0)
    if one.opcode != "fusion":
        return written + sum(shape_bytes(shape, memory=0) for shape in shapes)
    inside = module.computations.get(one.called[0], {}) if one.called else {}
    parameters = sorted((p for p in inside.values() if p.opcode == "parameter"), key=lambda p: int(p.operands[0]))
    read = 0
    for shape, parameter in zip(shapes, parameters, strict=False):
        users = [part for part in inside.values() if parameter.name in part.operands]
        if users and all(user.opcode in _SLICES and user.operands[0] == parameter.name for user in users):
            read += sum(shape_bytes(user.shape, memory=0) for user in users)
        elif users and all(
            user.opcode == "dynamic-update-slice" and user.operands[0] == parameter.name for user in users
        ):
            updates = sum(shape_bytes(inside[user.operands[1]].shape, memory=0) for user in users)
            read, written = read + updates, max(0, written - shape_bytes(shape, memory=0)) + updates
        else:
            read += shape_bytes(shape, memory=0)
    return read + written


def _operands(module: Module, computation: str, one: Instruction) -> list[str]:
    inside = module.computations[computation]
    return [inside[name].shape for name in one.operands if name in inside]
