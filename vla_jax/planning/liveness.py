"""How much memory a traced program will need at its worst moment, without compiling it.

A buffer (`planning.fused`) lives from the operation that writes it to the last one that reads it,
directly or through fused arithmetic. Operations run in the order of the program. Loops keep their
carry in place where the dependencies allow it. benchmarks/memory.py holds all this against XLA's
own account.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from vla_jax.planning.fused import Node, Program, array_bytes, inlined

# Bytes, and the first and last operation in which they are taken.
Span = tuple[int, int, int]
# Buffers of fewer bytes are not moved into free places: too many, too little to gain.
_WORTH = 4096


@dataclass(frozen=True)
class Loop:
    """What a loop of the outermost level takes.

    Attributes:
        length: iterations of the scan.
        stacked: bytes of the results that grow with its iterations.
        live: bytes alive beyond the program's arguments while it runs, its results included.
        scratch: bytes at the worst moment of an iteration, beyond those.
    """

    length: int
    stacked: int
    live: int
    scratch: int


@dataclass(frozen=True)
class Usage:
    """Memory of a program beyond its arguments.

    Attributes:
        peak: bytes at the worst moment.
        loops: scans of the outermost level, in order.
    """

    peak: int
    loops: tuple[Loop, ...]


def measure(jaxpr: Any, donated: Sequence[bool] = (), *, reuse: bool = True) -> Usage:
    """Bytes that a program needs beyond its arguments.

    Args:
        jaxpr: closed, of the program.
        donated: which arguments may be overwritten; the n-th donated one by the n-th result. None
            by default.
        reuse: whether buffers may lie in the place of an input while a copy of it is in use.
    """
    program = Program(jaxpr.jaxpr, outermost=True)
    given = [v for v, free in zip(program.inputs, donated, strict=False) if free]
    loops: list[Loop] = []
    peak = _peak(program, zip(given, program.outputs, strict=False), reuse, loops)
    consts = sum(array_bytes(getattr(x, "aval", x)) for x in jaxpr.consts)
    return Usage(peak + consts, tuple(loops))


def _peak(program: Program, into: Iterable[tuple[int, int]], reuse: bool, loops: list[Loop]) -> int:
    """Bytes at the worst moment, beyond the inputs.

    Args:
        program: the body.
        into: pairs of an input and the result that takes its place.
        reuse: see `measure`.
        loops: its scans are appended.
    """
    buffers = [node for node in program.nodes if node.buffer]
    first = {v: i for i, node in enumerate(buffers) for v in node.writes}
    last = {v: i for i, node in enumerate(buffers) for v in node.sources}
    placed, copies, places = _place(program, buffers, first, last, into)
    end = len(buffers)
    last |= dict.fromkeys(program.outputs, end)
    spans = [(program.size[v], i, last.get(v, i)) for v, i in first.items() if v not in placed]
    changes = [0] * (end + 2)
    for size, start, stop in (*_not_housed(spans, places if reuse else []), *copies):
        changes[start] += size
        changes[stop + 1] -= size
    live = peak = 0
    for i, node in enumerate(buffers):
        live += changes[i]
        scratch = _scratch(node, reuse)
        peak = max(peak, live + scratch)
        if node.op == "scan":
            params = node.eqn.params
            stacked = sum(program.size[v] for v in node.writes[params["num_carry"] :])
            loops.append(Loop(params["length"], stacked, live, scratch))
    return max(peak, live + changes[end])


def _place(
    program: Program,
    buffers: list[Node],
    first: dict[int, int],
    last: dict[int, int],
    into: Iterable[tuple[int, int]],
) -> tuple[set[int], list[Span], list[Span]]:
    """Which results are written over an input, the copies made for it, and the places left free.

    A result may take an input's place if every other reader of the input comes before it by
    dependence. Otherwise the input is copied at the start, and the copy lives until its last use;
    its place is free until the result is written there.
    """
    ancestors = _Ancestors(buffers)
    placed: set[int] = set()
    copies, places = [], []
    for old, new in into:
        if new == old or not program.size[old]:
            continue
        if new not in first or new in placed:  # another input, or a result that is there twice
            copies.append((program.size[old], 0, len(buffers)))
            continue
        placed.add(new)
        if not ancestors.all_before(old, first[new]):
            copies.append((program.size[old], 0, max(last.get(old, 0), first[new])))
            places.append((program.size[old], 0, first[new] - 1))
    return placed, copies, places


def _not_housed(spans: list[Span], places: list[Span]) -> list[Span]:
    """Buffers that find no free place: the largest choose first, each the tightest it fits."""
    places = sorted(place for place in places if place[0] >= _WORTH)
    taken: list[list[Span]] = [[] for _ in places]
    left = []
    for span in sorted(spans, reverse=True):
        size, start, stop = span
        at = bisect.bisect_left(places, (size,)) if size >= _WORTH else len(places)
        for i in range(at, len(places)):
            free = stop <= places[i][2] and all(
                stop < other[1] or other[2] < start for other in taken[i]
            )
            if free:
                taken[i].append(span)
                break
        else:
            left.append(span)
    return left


def _scratch(node: Node, reuse: bool) -> int:
    """Bytes that an operation needs while it runs, beyond operands and results."""
    params = {} if node.eqn is None else node.eqn.params
    if node.op == "scan":
        program = Program(params["jaxpr"].jaxpr)
        consts, carry = params["num_consts"], params["num_carry"]
        olds = program.inputs[consts : consts + carry]
        return _peak(program, zip(olds, program.outputs[:carry], strict=True), reuse, [])
    if node.op == "while":
        program = Program(params["body_jaxpr"].jaxpr)
        olds = program.inputs[params["body_nconsts"] :]
        return _peak(program, zip(olds, program.outputs, strict=True), reuse, [])
    if node.op == "cond":
        return max(_peak(Program(branch.jaxpr), (), reuse, []) for branch in params["branches"])
    return 0


class _Ancestors:
    """Which buffers depend on which, as sets of bits."""

    def __init__(self, buffers: list[Node]):
        self.readers: dict[int, list[int]] = {}
        self.bits: list[int] = []
        by_value: dict[int, int] = {}
        for i, node in enumerate(buffers):
            bits = 1 << i
            for v in node.sources:
                self.readers.setdefault(v, []).append(i)
                if v in by_value:
                    bits |= self.bits[by_value[v]]
            self.bits.append(bits)
            by_value |= dict.fromkeys(node.writes, i)

    def all_before(self, value: int, at: int) -> bool:
        """Whether every reader of a value is `at` or one that it depends on."""
        return all(self.bits[at] >> i & 1 for i in self.readers.get(value, ()))


def count_flops(jaxpr: Any) -> int:
    """Multiplications and additions of a program's matrix products; loops count every iteration.

    A `while` loop, whose iterations nobody knows, counts once, and of branches the dearest.
    """
    total = 0
    for eqn in jaxpr.jaxpr.eqns:
        op, params = eqn.primitive.name, eqn.params
        if op == "dot_general":
            (summed, _), _ = params["dimension_numbers"]
            inner = math.prod(eqn.invars[0].aval.shape[i] for i in summed)
            total += 2 * math.prod(eqn.outvars[0].aval.shape) * inner
        elif op == "scan":
            total += params["length"] * count_flops(params["jaxpr"])
        elif op == "while":
            total += count_flops(params["body_jaxpr"])
        elif op == "cond":
            total += max(count_flops(branch) for branch in params["branches"])
        elif (body := inlined(eqn)) is not None:
            total += count_flops(body)
    return total
