"""A traced program as the buffers that it writes and reads, when arithmetic is fused.

Arithmetic is fused into what consumes it and needs no memory of its own; matrix products,
reductions, loops, sorts and callbacks read and write buffers. The rules are XLA's, simplified.
"""

from __future__ import annotations

import math
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


def array_bytes(aval: Any) -> int:
    """Of an array; 0 of what is no array."""
    dtype = getattr(aval, "dtype", None)
    if dtype is None:
        return 0
    size = 8 if "key<" in str(dtype) else dtype.itemsize
    return math.prod(getattr(aval, "shape", ())) * size


@dataclass
class Node:
    """An operation after inlining; values are numbers."""

    op: str
    reads: list[int]
    writes: list[int]
    eqn: Any = None
    # Whether it writes a buffer, and the buffers that it reads; filled in by `Program`.
    buffer: bool = False
    sources: frozenset[int] = field(default_factory=frozenset)


class Program:
    """A body, flattened, with its buffers."""

    def __init__(self, jaxpr: Any, *, outermost: bool = False):
        self.outermost = outermost
        self.nodes: list[Node] = []
        self.size: list[int] = []
        self.inputs = [self.value(v.aval) for v in jaxpr.invars]
        names = dict(zip(jaxpr.invars, self.inputs, strict=True))
        names |= {v: self.value(v.aval) for v in jaxpr.constvars}
        self.flatten(jaxpr, names)
        self.outputs = [self.read(names, v) for v in jaxpr.outvars]
        self.drop_unused()
        self.find_buffers()

    # ------------------------------------------------------------------ flattening

    def value(self, aval: Any) -> int:
        """A new value."""
        self.size.append(array_bytes(aval))
        return len(self.size) - 1

    def read(self, names: dict, v: Any) -> int:
        """The value of a variable; literals are values that nobody writes."""
        return self.value(v.aval) if hasattr(v, "val") else names[v]

    def flatten(self, jaxpr: Any, names: dict) -> None:
        """Append the operations of a body, calls inlined and views looked through."""
        for eqn in jaxpr.eqns:
            op, reads = eqn.primitive.name, [self.read(names, v) for v in eqn.invars]
            inner = None if self.outermost and op == "scan" else inlined(eqn)
            if inner is not None:
                outs = self.inline(inner, reads)
            elif self.is_view(op, eqn):
                outs = reads[: len(eqn.outvars)]
            else:
                if op == "dot_general":
                    reads = self.arrange(eqn, reads)
                outs = [self.value(v.aval) for v in eqn.outvars]
                self.nodes.append(Node(op, reads, outs, eqn))
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
                self.nodes.append(Node("transpose", [x], [copy]))
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
        users: dict[int, list[Node]] = {}
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

    def needs_buffer(self, node: Node, users: dict, results: set[int]) -> bool:
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


def inlined(eqn: Any) -> Any:
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
