"""The compiler's last text of a program, read: its instructions, and how often each of them runs in a training step."""

import re
from collections.abc import Iterator
from typing import NamedTuple

CHUNK_LOOPS = 2  # loops whose length is not known, around every step: see `train/_chunk.py`

_WIDTHS = {"pred": 1, "token": 0, "opaque": 0, "bf16": 2, "c64": 8, "c128": 16}
_SHAPE = re.compile(r"\b([a-z]+\d*\w*)\[([\d,]*)\](?:\{([^{}]*)\})?")
_HEADER = re.compile(r"^(ENTRY )?%?([\w.\-]+) .*\{$")
_LINE = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = (.*)$")
_CALLED = re.compile(r"\b(body|calls|to_apply|true_computation|false_computation)=%?([\w.\-]+)")
_CONDITION = re.compile(r"\bcondition=%?([\w.\-]+)")
_BRANCHES = re.compile(r"\bbranch_computations=\{([^}]*)\}")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')
_NAME = re.compile(r'op_name="([^"]*)"')


class Instruction(NamedTuple):
    """A line of the text: the shapes as they stand there, and what it says of itself."""

    name: str
    shape: str
    opcode: str
    operands: tuple[str, ...]  # names; of a parameter its number, of a constant its value
    called: tuple[str, ...]  # computations
    op_name: str  # scopes and primitive, as JAX named them
    trips: int | None  # of a loop, where the compiler says
    condition: str  # of a loop: a computation


class Module(NamedTuple):
    """A program: instructions by name, computation by computation."""

    entry: str
    computations: dict[str, dict[str, Instruction]]


class Visit(NamedTuple):
    """An instruction that is executed by itself, not as a part of a fusion."""

    instruction: Instruction
    computation: str
    times: int  # a step
    in_step: bool  # or once a chunk


def parse_hlo(text: str) -> Module:
    """Reads what `compiled.as_text()` gives."""
    entry, inside = "", None
    computations: dict[str, dict[str, Instruction]] = {}
    for line in text.splitlines():
        if header := _HEADER.match(line):
            inside = computations.setdefault(header[2], {})
            entry = header[2] if header[1] else entry
        elif inside is not None and (found := _LINE.match(line)):
            inside[found[1]] = _instruction(found[1], found[2])
    return Module(entry, computations)


def visits(module: Module) -> Iterator[Visit]:
    """Yields what is executed, in every branch, and how often a step; a loop of unknown length counts once."""
    deepest = max((depth for _, _, _, depth in _walk(module, module.entry, 1, 0)), default=0)
    for instruction, computation, times, depth in _walk(module, module.entry, 1, 0):
        yield Visit(instruction, computation, times, depth >= min(CHUNK_LOOPS, deepest))


def shape_bytes(shape: str, *, padded: bool = True, memory: int | None = None) -> int:
    """Returns how much memory a shape takes.

    Args:
      shape: as in the text, with its layout: `f32[64,10]{1,0:T(8,128)}`, or a tuple of such.
      padded: whether tiles that are not full count whole, as they do in memory.
      memory: count only arrays in this memory space; 0 is the large one. All of them unless given.

    Example:
      >>> shape_bytes("f32[64,10]{1,0:T(8,128)}"), shape_bytes("f32[64,10]{1,0:T(8,128)}", padded=False)
      (32768, 2560)
    """
    total = 0
    for kind, dims, layout in _SHAPE.findall(shape):
        order, _, tiling = layout.partition(":")
        space = re.search(r"S\((\d+)\)", tiling)
        if memory is not None and int(space[1] if space else 0) != memory:
            continue
        sizes = [int(size) for size in dims.split(",") if size]
        if padded and (tile := re.search(r"T\(([\d,]+)\)", tiling)):
            minor = [int(axis) for axis in order.split(",") if axis]
            for axis, size in zip(minor, reversed(tile[1].split(",")), strict=False):
                sizes[axis] = -(-sizes[axis] // int(size)) * int(size)
        count = 1
        for size in sizes:
            count *= size
        total += count * _bits(kind) // 8
    return total


def array_shapes(shape: str) -> list[str]:
    """Returns the arrays of a shape, which may be a tuple.

    Example:
      >>> array_shapes("(f32[64,10]{1,0:T(8,128)S(1)}, s32[])")
      ['f32[64,10]{1,0:T(8,128)S(1)}', 's32[]']
    """
    return [found[0] for found in _SHAPE.finditer(shape)]


def plain(shape: str) -> str:
    """Returns the shape of an array without its layout."""
    return shape.partition("{")[0]


def _walk(module: Module, name: str, times: int, depth: int) -> Iterator[tuple[Instruction, str, int, int]]:
    for instruction in module.computations.get(name, {}).values():
        yield instruction, name, times, depth
        if instruction.opcode not in ("while", "conditional", "call", "async-start"):
            continue  # a fusion is one instruction; what a reduction applies is arithmetic
        trips = _trips(module, instruction) if instruction.opcode == "while" else 1
        for inner in instruction.called:
            yield from _walk(module, inner, times * (trips or 1), depth + (trips is None))


def _trips(module: Module, loop: Instruction) -> int | None:
    """Returns how often a loop runs: as the compiler says, or by a condition that is no more than `i < constant`."""
    if loop.trips is not None:
        return loop.trips
    parts = list(module.computations.get(loop.condition, {}).values())
    for part in list(parts):
        parts += [inner for name in part.called for inner in module.computations.get(name, {}).values()]
    parts = [
        part for part in parts if part.opcode not in ("parameter", "get-tuple-element", "bitcast", "copy", "fusion")
    ]
    limits = [part.operands[0] for part in parts if part.opcode == "constant"]
    is_plain = [part.opcode for part in parts if part.opcode != "constant"] == ["compare"]
    return int(limits[0]) if is_plain and len(limits) == 1 and limits[0].isdecimal() else None


def _instruction(name: str, rest: str) -> Instruction:
    end = _closing(rest, 0) + 1 if rest.startswith("(") else rest.index(" ")
    shape, rest = rest[:end], rest[end:].lstrip()
    start = rest.index("(")
    stop = _closing(rest, start)
    operands = tuple(re.findall(r"%([\w.\-]+)", rest[start:stop]))
    if rest.startswith(("parameter(", "constant(")):
        operands = (rest[start + 1 : stop],)
    attributes = rest[stop:]
    branches = _BRANCHES.search(attributes)
    called = [found for _, found in _CALLED.findall(attributes)]
    called += re.findall(r"%?([\w.\-]+)", branches[1]) if branches else []
    op_name, trips = _NAME.search(attributes), _TRIPS.search(attributes)
    return Instruction(
        name,
        shape,
        rest[:start],
        operands,
        tuple(called),
        op_name[1] if op_name else "",
        int(trips[1]) if trips else None,
        condition[1] if (condition := _CONDITION.search(attributes)) else "",
    )


def _closing(text: str, start: int) -> int:
    depth = 0
    for place in range(start, len(text)):
        depth += (text[place] == "(") - (text[place] == ")")
        if depth == 0:
            return place
    return len(text) - 1


def _bits(kind: str) -> int:
    if kind in _WIDTHS:
        return 8 * _WIDTHS[kind]
    digits = re.search(r"\d+", kind)  # f32, s8, u4, f8e4m3fn
    return int(digits[0]) if digits else 8
