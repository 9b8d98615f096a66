"""What is known of a training run before it is started anywhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dlcore.scale._layout import Layout


@dataclass(frozen=True, repr=False)
class Plan:
    """What `dl.plan` returns; printing it gives a table.

    Attributes:
      on: what it was compiled for.
      mesh: sizes of its axes, or None for one device.
      shard_params: whether each device keeps a part of params and optimizer only.
      batch_size: examples a step, over all devices.
      fits: whether the program has room in a device's memory.
      peak_bytes: of a device's memory that the training program needs, the data that it reads among them; None where
        the compiler does not tell.
      memory_bytes: that a device has, as far as the compiler may use them; None where that is not known.
      carry_bytes: of parameters, optimizer and state.
      held_bytes: what a device holds of them.
      flops: floating point operations of a step, over all devices, as `dl.inspect.flops` counts.
      bytes_moved: to and from a device's memory in a step, counted in the compiled program; None where it did not fit.
      collectives: what devices exchange in a step: {"all-reduce": {"count": 1, "bytes": 21632}}, bytes a device.
      buffers: the largest arrays: dicts of `bytes`, `shape` and `path`, which is a layer's or an argument's.
      step_seconds: an *estimate* from below, max(flops / peak, bytes / bandwidth) of a device; None where no peaks are
        published. A step may well take several times as long.
      bound: what that is limited by, "compute" or "memory".
      compile_seconds: what compiling took.
      cached: whether the answer was on disk already.
      advice: what would help where it does not fit.
    """

    on: str
    mesh: Mapping[str, int] | None
    shard_params: bool
    batch_size: int
    fits: bool
    peak_bytes: int | None
    memory_bytes: int | None
    carry_bytes: int
    held_bytes: int
    flops: int
    bytes_moved: int | None
    collectives: Mapping[str, Mapping[str, int]]
    buffers: Sequence[Mapping[str, Any]]
    step_seconds: float | None
    bound: str | None
    compile_seconds: float
    cached: bool
    advice: Sequence[str]

    def __repr__(self) -> str:
        over = "" if not self.mesh else " over " + ", ".join(f"{name}={size}" for name, size in self.mesh.items())
        over += ", params in parts" if self.shard_params else ""
        held = "" if self.held_bytes == self.carry_bytes else f", {say_bytes(self.held_bytes)} a device"
        rows = [
            ("memory", f"{self._memory()}, a device"),
            ("weights and optimizer", say_bytes(self.carry_bytes) + held),
            ("a step", f"{say_number(self.flops)}FLOP, {self.batch_size} examples, all devices"),
        ]
        if self.bytes_moved is not None:
            rows.append(("memory traffic", f"{say_bytes(self.bytes_moved)} a step and device"))
            said = [f"{entry['count']} {kind}, {say_bytes(entry['bytes'])}" for kind, entry in self.collectives.items()]
            rows.append(("between devices", ("; ".join(said) + " a step and device") if said else "nothing"))
        if self.step_seconds is not None:
            rows.append(("time of a step", f"{say_seconds(self.step_seconds)} or more (estimate; {self.bound} bound)"))
        rows.append(("compiled in", say_seconds(self.compile_seconds) + (", some time ago" if self.cached else "")))
        lines = [f"{self.on}{over}: {'fits' if self.fits else 'DOES NOT FIT'}"]
        lines += [f"  {name:<22} {value}" for name, value in rows]
        if self.buffers:
            lines.append("  largest arrays")
            lines += [f"    {say_bytes(one['bytes']):>10}  {one['shape']:<22} {one['path']}" for one in self.buffers]
        lines += [f"  -> {line}" for line in self.advice]
        return "\n".join(lines)

    def _memory(self) -> str:
        needed = "unknown" if self.peak_bytes is None else say_bytes(self.peak_bytes)
        if self.memory_bytes is None:
            return needed
        there = say_bytes(self.memory_bytes)
        if self.peak_bytes is None:
            return f"more than the {there} that there are"
        if not self.fits:
            return f"{needed} of {there}: {say_bytes(self.peak_bytes - self.memory_bytes)} too much"
        return f"{needed} of {there} ({self.peak_bytes / self.memory_bytes:.1%})"


def advise(
    peak: int | None, memory: int | None, carry_bytes: int, batch_size: int, layout: Layout | None, devices: int
) -> list[str]:
    """Returns what would make a program fit; `carry_bytes` are those of a device."""
    lines, spread = [], layout.axes.get("data", 1) if layout else 1
    is_sharded = layout is not None and layout.shard_params
    if devices > (layout.size if layout else 1):
        lines.append(f"spread the batch over more of the devices: mesh={{'data': {devices}}}")
    if memory is not None and carry_bytes > memory / 2 and devices > 1 and not is_sharded:
        share = f"{say_bytes(carry_bytes)} of weights and optimizer on every device are most of {say_bytes(memory)}"
        lines.append(f"shard: {share}; mesh=dl.scale.layout({{'data': {devices}}}, shard_params=True) spreads them too")
    elif memory is not None and carry_bytes > memory / 2:
        share = f"{say_bytes(carry_bytes)} of weights and optimizer on a device are most of {say_bytes(memory)}"
        lines.append(f"{share}: more devices to shard them over, a smaller model or optimizer, or more memory")
    if batch_size // spread > 1:
        guess = batch_size // 2
        if peak is not None and memory is not None and peak > carry_bytes and memory > carry_bytes:
            guess = min(guess, int(batch_size * (memory - carry_bytes) / (peak - carry_bytes)))
        guess = spread << max(0, (guess // spread).bit_length() - 1)  # sizes that divide what others are made of
        lines.append(f"a smaller batch: batch_size={guess}, about")
        many = -(-batch_size // guess)
        lines.append(f"accumulate: accumulate={many} takes the batch in so many parts, and gives the same updates")
    lines.append("remat: layers.remat(block) computes activations again on the way back instead of keeping them")
    return lines


def say_bytes(number: float) -> str:
    """Returns a size for people.

    Example:
      >>> say_bytes(3 * 2**20)
      '3.0 MiB'
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(number) < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"


def say_number(number: float) -> str:
    """Returns a count for people, with the beginning of its unit: "1.2 M"."""
    for unit in ("", "k", "M", "G", "T"):
        if abs(number) < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} P"


def say_seconds(seconds: float) -> str:
    """Returns a time for people."""
    for unit, scale in (("s", 1), ("ms", 1e3), ("us", 1e6)):
        if seconds * scale >= 1:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"
