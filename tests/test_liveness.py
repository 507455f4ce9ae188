"""Memory and arithmetic of small programs, counted by hand."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vla_jax.planning.liveness import count_flops, measure


def peak_of(f: Any, *shapes: tuple[int, ...], donated: tuple[bool, ...] = ()) -> int:
    """Bytes beyond the arguments of a function of float32 arrays."""
    args = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return measure(jax.jit(f).trace(*args).jaxpr, donated).peak


def test_arithmetic_needs_only_its_result():
    assert peak_of(lambda x: (2.0 * x + 1.0) ** 2 - x, (100,)) == 400
    assert peak_of(lambda x: (2.0 * x + 1.0) ** 2 - x, (100,), donated=(True,)) == 0
    assert peak_of(lambda x: (2.0 * x).sum(), (100,)) == 4


def test_products_live_until_they_are_used():
    two = lambda x, w: (x @ w) @ w  # noqa: E731
    assert peak_of(two, (10, 10), (10, 10)) == 800
    three = lambda x, w: ((x @ w) @ w) @ w  # noqa: E731
    assert peak_of(three, (10, 10), (10, 10)) == 800
    kept = lambda x, w: ((y := x @ w) @ w) @ w + y  # noqa: E731
    assert peak_of(kept, (10, 10), (10, 10)) == 1200


def test_a_loop_stacks_its_results_and_keeps_its_carry_in_place():
    def loop(x, w):
        def step(x, _):
            y = x @ w
            return x + y, y

        return jax.lax.scan(step, x, length=5)

    assert peak_of(loop, (10, 10), (10, 10)) == 400 + 5 * 400 + 400
    assert peak_of(loop, (10, 10), (10, 10), donated=(True, False)) == 5 * 400 + 400


def test_a_carry_that_is_still_needed_is_copied():
    def loop(x, w):
        return jax.lax.scan(lambda x, _: (x + 1.0, x @ w), x, length=5)

    assert peak_of(loop, (10, 10), (10, 10)) == 400 + 5 * 400 + 400 + 400


def test_the_place_of_a_copied_carry_holds_other_buffers():
    def loop(x, w):
        def step(x, _):
            y = jnp.tanh(x @ w) @ w  # in the place of x, of which a copy is in use
            z = x @ y
            return x + y.sum(), z

        return jax.lax.scan(step, x, length=5)

    matrix = jax.ShapeDtypeStruct((40, 40), jnp.float32)
    jaxpr = jax.jit(loop).trace(matrix, matrix).jaxpr
    assert measure(jaxpr).peak < measure(jaxpr, reuse=False).peak


def test_flops_of_loops_count_every_iteration():
    def loop(x, w):
        return jax.lax.scan(lambda x, _: (x @ w, None), x, length=5)[0] @ w

    jaxpr = jax.make_jaxpr(loop)(np.zeros((3, 4), np.float32), np.zeros((4, 4), np.float32))
    assert count_flops(jaxpr) == 6 * 2 * 3 * 4 * 4
