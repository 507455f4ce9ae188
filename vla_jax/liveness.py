"""How much memory a traced program will need at its worst moment, without compiling it.

The program is walked as XLA:CPU would run it. Arithmetic is fused into what consumes it and needs
no memory of its own; matrix products, reductions, loops, sorts and callbacks read and write
buffers. A buffer lives from the operation that writes it to the last one that reads it, directly or
through fused arithmetic. Loops keep their carry in place where the dependencies allow it.

The rules are XLA's, simplified; benchmarks/memory.py holds them against its own account.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

# Bodies that are run in place.
_CALLS = {
    "jit",
    "pjit",
    "closed_call",
    "core_call",
    "remat",
    "remat2",
    "checkpoint",
    "custom_jvp_call",
    "custom_vjp_call",
    "custom_vjp_call_jaxpr",
    "shard_map",
}
# The same bytes under another name.
_VIEWS = {
    "reshape",
    "squeeze",
    "expand_dims",
    "stop_gradient",
    "copy",
    "copy_p",
    "bitcast_convert_type",
    "random_wrap",
    "random_unwrap",
    "optimization_barrier",
    "name",
    "reduce_precision",
    "sharding_constraint",
}
_ELEMENTWISE = set(
    "add sub mul neg sign abs max min and or not xor eq ne lt le gt ge select_n clamp "
    "convert_element_type integer_pow square add_any is_finite floor ceil round nextafter "
    "shift_left shift_right_logical shift_right_arithmetic population_count real imag div rem "
    "bitcast convert".split()
)
# Not computed twice if two operations want it.
_COSTLY = set(
    "exp exp2 expm1 log log1p tanh tan sin cos atan2 sqrt rsqrt cbrt pow logistic erf erf_inv erfc "
    "asin acos atan sinh cosh asinh acosh atanh lgamma digamma".split()
)
# Read through: broadcast, cut and rearranged.
_MOVES = set(
    "broadcast_in_dim iota slice pad transpose rev concatenate gather dynamic_slice split tile "
    "dynamic_update_slice".split()
)
_REPEATS = {"broadcast_in_dim", "gather"}
_FUSED = _ELEMENTWISE | _COSTLY | _MOVES
_REDUCTIONS = {"reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_and", "reduce_or"}


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

    @property
    def peak(self) -> int:
        """Bytes at the worst moment of the loop, beyond the program's arguments."""
        return self.live + self.scratch


@dataclass(frozen=True)
class Usage:
    """Memory of a program beyond its arguments.

    Attributes:
        peak: bytes at the worst moment.
        loops: scans of the outermost level, in order.
    """

    peak: int
    loops: tuple[Loop, ...]


def measure(jaxpr: Any, donated: Sequence[bool] = ()) -> Usage:
    """Bytes that a program needs beyond its arguments.

    Args:
        jaxpr: closed, of the program.
        donated: which arguments may be overwritten; the n-th donated one by the n-th result. None
            by default.
    """
    program = _Program(jaxpr.jaxpr, outermost=True)
    given = [v for v, free in zip(program.inputs, donated, strict=False) if free]
    into = list(zip(given, program.outputs, strict=False))
    peak = program.run(into)
    consts = sum(_bytes(getattr(x, "aval", x)) for x in jaxpr.consts)
    return Usage(peak + consts, tuple(program.loops))


def _bytes(aval: Any) -> int:
    """Of an array; 0 of what is no array."""
    dtype = getattr(aval, "dtype", None)
    if dtype is None:
        return 0
    size = 8 if "key<" in str(dtype) else dtype.itemsize
    return math.prod(getattr(aval, "shape", ())) * size


@dataclass
class _Node:
    """An operation after inlining; values are numbers."""

    op: str
    reads: list[int]
    writes: list[int]
    eqn: Any = None
    # Filled in by `_Program`.
    buffer: bool = False
    sources: frozenset[int] = field(default_factory=frozenset)


class _Program:
    """A body, flattened, with its buffers."""

    def __init__(self, jaxpr: Any, *, outermost: bool = False):
        self.outermost = outermost
        self.nodes: list[_Node] = []
        self.size: list[int] = []
        self.loops: list[Loop] = []
        self.inputs = [self.value(v.aval) for v in (*jaxpr.constvars, *jaxpr.invars)]
        names = dict(zip((*jaxpr.constvars, *jaxpr.invars), self.inputs, strict=True))
        self.flatten(jaxpr, names)
        self.outputs = [self.read(names, v) for v in jaxpr.outvars]
        self.drop_unused()
        self.find_buffers()

    # ------------------------------------------------------------------ flattening

    def value(self, aval: Any) -> int:
        """A new value."""
        self.size.append(_bytes(aval))
        return len(self.size) - 1

    def read(self, names: dict, v: Any) -> int:
        """The value of a variable; literals are values that nobody writes."""
        return self.value(v.aval) if hasattr(v, "val") else names[v]

    def flatten(self, jaxpr: Any, names: dict) -> None:
        """Append the operations of a body, calls inlined and views looked through."""
        for eqn in jaxpr.eqns:
            op, reads = eqn.primitive.name, [self.read(names, v) for v in eqn.invars]
            inner = None if self.outermost and op == "scan" else _inlined(eqn)
            if inner is not None:
                outs = self.inline(inner, reads)
            elif self.is_view(op, eqn):
                outs = reads[: len(eqn.outvars)]
            else:
                if op == "dot_general":
                    reads = self.arrange(eqn, reads)
                outs = [self.value(v.aval) for v in eqn.outvars]
                self.nodes.append(_Node(op, reads, outs, eqn))
            names.update(zip(eqn.outvars, outs, strict=True))

    def inline(self, inner: Any, reads: list[int]) -> list[int]:
        """A call's body, or that of a scan of one step: its slices and stacks are views."""
        names = {v: self.value(v.aval) for v in inner.jaxpr.constvars}
        names |= dict(zip(inner.jaxpr.invars, reads, strict=True))
        self.flatten(inner.jaxpr, names)
        return [self.read(names, v) for v in inner.jaxpr.outvars]

    def is_view(self, op: str, eqn: Any) -> bool:
        """Whether the result is the operand's bytes."""
        if op in _VIEWS:
            return True
        if not eqn.invars or not hasattr(eqn.invars[0].aval, "dtype"):
            return False
        before, after = eqn.invars[0].aval, eqn.outvars[0].aval
        if op == "convert_element_type":
            return before.dtype == after.dtype
        if op == "broadcast_in_dim":
            return math.prod(before.shape) == math.prod(after.shape)
        if op == "transpose":
            order = [i for i in eqn.params["permutation"] if before.shape[i] != 1]
            return order == sorted(order)
        return False

    def arrange(self, eqn: Any, reads: list[int]) -> list[int]:
        """Operands of a matrix product as it wants them: batch first, summed axes together."""
        (left, right), (batch_left, batch_right) = eqn.params["dimension_numbers"]
        out = []
        for x, v, summed, batch, last in (
            (reads[0], eqn.invars[0], left, batch_left, True),
            (reads[1], eqn.invars[1], right, batch_right, False),
        ):
            free = [i for i in range(v.aval.ndim) if i not in summed and i not in batch]
            order = [*batch, *free, *summed] if last else [*batch, *summed, *free]
            order = [i for i in order if v.aval.shape[i] != 1]
            if order != sorted(order):
                copy = self.value(v.aval)
                self.nodes.append(_Node("transpose", [x], [copy]))
                x = copy
            out.append(x)
        return out

    def drop_unused(self) -> None:
        """Leave out what no result depends on."""
        wanted, kept = set(self.outputs), []
        for node in reversed(self.nodes):
            if any(v in wanted for v in node.writes) or (node.eqn and node.eqn.effects):
                wanted.update(node.reads)
                kept.append(node)
        self.nodes = kept[::-1]

    # ------------------------------------------------------------------ buffers

    def find_buffers(self) -> None:
        """Which operations write a buffer, and which buffers each one reads."""
        users: dict[int, list[_Node]] = {}
        for node in self.nodes:
            for v in set(node.reads):
                users.setdefault(v, []).append(node)
        results = set(self.outputs)
        for node in reversed(self.nodes):
            node.buffer = self.needs_buffer(node, users, results)
        through: dict[int, frozenset[int]] = {}
        for node in self.nodes:
            reads = frozenset().union(*(through.get(v, frozenset((v,))) for v in node.reads))
            node.sources = reads
            if not node.buffer:
                for v in node.writes:
                    through[v] = reads

    def needs_buffer(self, node: _Node, users: dict, results: set[int]) -> bool:
        """Whether something reads the result from memory."""
        if node.op not in _FUSED:
            return True
        if any(v in results for v in node.writes):
            return True
        readers = [user for v in node.writes for user in users.get(v, ())]
        if node.op in _COSTLY and len(readers) > 1:
            return True
        for user in readers:
            if user.op not in _FUSED and user.op not in _REDUCTIONS:
                return True
            if node.op in _COSTLY and user.op in _REPEATS:
                return True
        return False

    # ------------------------------------------------------------------ liveness

    def run(self, into: Iterable[tuple[int, int]]) -> int:
        """Bytes at the worst moment, beyond the inputs.

        Args:
            into: pairs of an input and the result that takes its place.
        """
        buffers = [n for n in self.nodes if n.buffer]
        last: dict[int, int] = {}
        first = {v: i for i, n in enumerate(buffers) for v in n.writes}
        for i, node in enumerate(buffers):
            for v in node.sources:
                last[v] = i
        placed, extra, until = self.place(buffers, first, last, into)
        end = len(buffers)
        for v in self.outputs:
            last[v] = end
        changes = [0] * (end + 2)
        for v, at in first.items():
            if v in placed:
                continue
            changes[at] += self.size[v]
            changes[last.get(v, at) + 1] -= self.size[v]
        for size, stop in zip(extra, until, strict=True):
            changes[0] += size
            changes[stop + 1] -= size
        live = peak = 0
        for i, node in enumerate(buffers):
            live += changes[i]
            peak = max(peak, live + self.inside(node, live))
        return max(peak, live + changes[end])

    def place(self, buffers: list, first: dict, last: dict, into: Iterable) -> tuple:
        """Which results are written over an input, and the inputs that must be copied for it.

        A result may take an input's place if every other reader of the input comes before it by
        dependence. Otherwise the input is copied first, and the copy lives until its last use.
        """
        ancestors = _Ancestors(buffers)
        placed: set[int] = set()
        extra, until = [], []
        for old, new in into:
            if new == old or self.size[old] == 0:
                continue
            if new not in first or new in placed:  # another input, or a result that is there twice
                extra.append(self.size[old])
                until.append(len(buffers))
                continue
            placed.add(new)
            at = first[new]
            if not ancestors.all_before(old, at):
                extra.append(self.size[old])
                until.append(max(last.get(old, 0), at))
        return placed, extra, until

    def inside(self, node: _Node, live: int) -> int:
        """Bytes that an operation needs while it runs, beyond operands and results."""
        if node.eqn is None:
            return 0
        params = node.eqn.params
        if node.op == "scan":
            body, consts, carry = params["jaxpr"], params["num_consts"], params["num_carry"]
            program = _Program(body.jaxpr)
            olds = program.inputs[len(body.jaxpr.constvars) :][consts : consts + carry]
            scratch = program.run(zip(olds, program.outputs[:carry], strict=True))
            stacked = sum(self.size[v] for v in node.writes[carry:])
            self.loops.append(Loop(params["length"], stacked, live, scratch))
            return scratch
        if node.op == "while":
            body = params["body_jaxpr"]
            program = _Program(body.jaxpr)
            olds = program.inputs[params["body_nconsts"] :]
            return program.run(zip(olds, program.outputs, strict=False))
        if node.op == "cond":
            return max(_Program(branch.jaxpr).run(()) for branch in params["branches"])
        return 0


class _Ancestors:
    """Which buffers depend on which, as sets of bits."""

    def __init__(self, buffers: list[_Node]):
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


def _inlined(eqn: Any) -> Any:
    """The body of an operation that runs in place; None for others."""
    op, params = eqn.primitive.name, eqn.params
    if op in _CALLS:
        for key in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
            if key in params:
                body = params[key]
                return body if hasattr(body, "jaxpr") else _Open(body)
    if op == "scan" and params["length"] == 1:
        return params["jaxpr"]
    return None


@dataclass(frozen=True)
class _Open:
    """A body without constants, under the name that closed ones have it."""

    jaxpr: Any


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
        elif (body := _inlined(eqn)) is not None:
            total += count_flops(body)
    return total
