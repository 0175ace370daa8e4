"""The operations between devices in a compiled program, with their bytes."""

import collections
import dataclasses
import math
import re
from collections.abc import Iterable

_BITS = re.compile(r"(?:pred|[a-z]+(\d+))")
_SHAPE = re.compile(r"\b(pred|[a-z]+\d+)\[([\d,]*)\]")
_INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%?(\S+) = (.*?) ([a-z-]+)\((.*?)\)(?:, |$)(.*)$")
_KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
_OF_NORM = re.compile(r"/(?:norm|BatchNorm_\d+)/")


@dataclasses.dataclass(frozen=True)
class Collective:
    """One operation between devices.

    Attributes:
      kind: `all-reduce`, `all-gather` and so on.
      num_bytes: size of what it returns to each device.
      statistics_bytes: how many of these are BatchNorm's, whose statistics are of the whole batch.
        XLA combines operations, so one may carry gradients as well.
    """

    kind: str
    num_bytes: int
    statistics_bytes: int

    @property
    def is_of_statistics(self) -> bool:
        """Whether it would not be there without BatchNorm."""
        return self.statistics_bytes > self.num_bytes / 2


def find(text: str) -> list[Collective]:
    """Returns the operations between devices of a compiled program, given as its text."""
    lines = [match.groups() for line in text.splitlines() if (match := _INSTRUCTION.match(line))]
    names, operands = {}, {}
    for name, _, _, arguments, attributes in lines:
        operands[name] = re.findall(r"%([\w.-]+)", arguments)
        if found := re.search(r'op_name="([^"]*)"', attributes):
            names[name] = found[1]

    def is_of_norm(name: str) -> bool:
        # Copies and elements of tuples carry no name of their own.
        while name not in names and operands.get(name):
            name = operands[name][0]
        return bool(_OF_NORM.search(names.get(name, "")))

    result = []
    for name, types, operation, _, _ in lines:
        kind = operation.removesuffix("-start")
        if kind not in _KINDS:
            continue
        sizes = [_num_bytes(*shape) for shape in _SHAPE.findall(types)]
        if operation == "all-gather-start":  # It returns its operands, too, before the results.
            sizes = sizes[len(sizes) // 2 :]
        of_norm = [is_of_norm(operand) for operand in operands[name]]
        statistics = sum(size for size, found in zip(sizes, of_norm, strict=True) if found)
        result.append(Collective(kind, sum(sizes), statistics))
    return result


def _num_bytes(dtype: str, dims: str) -> int:
    bits = _BITS.match(dtype)[1] or 8  # A `pred` takes one byte.
    return math.prod(int(dim) for dim in dims.split(",") if dim) * int(bits) // 8


def summarize(found: Iterable[Collective]) -> dict[str, dict[str, int]]:
    """Returns the `number` and `bytes` of each kind, those of BatchNorm as a kind of their own."""
    totals = collections.defaultdict(lambda: {"number": 0, "bytes": 0})
    for each in found:
        of_statistics = f"{each.kind} of statistics"
        totals[of_statistics if each.is_of_statistics else each.kind]["number"] += 1
        if each.num_bytes > each.statistics_bytes:
            totals[each.kind]["bytes"] += each.num_bytes - each.statistics_bytes
        if each.statistics_bytes:
            totals[of_statistics]["bytes"] += each.statistics_bytes
    return dict(totals)
