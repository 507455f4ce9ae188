"""Between the robot's numbers and π0's: normalization, padding, and the state said in words."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from vla_jax.models.pi0_config import NormStats, StatePrompt


def _ends(norm: NormStats, quantiles: bool, size: int) -> tuple[jax.Array, jax.Array]:
    """Offset and width of `size` dimensions; those without statistics stay as they are."""
    if quantiles:
        low, high = np.asarray(norm.q01), np.asarray(norm.q99)
        offset, width = (low + high + 1e-6) / 2.0, (high - low + 1e-6) / 2.0
    else:
        offset, width = np.asarray(norm.mean), np.asarray(norm.std) + 1e-6
    missing = max(0, size - len(offset))
    offset = np.concatenate([offset, np.zeros(missing)])[:size]
    width = np.concatenate([width, np.ones(missing)])[:size]
    return jnp.asarray(offset, jnp.float32), jnp.asarray(width, jnp.float32)


def normalize(x: jax.Array, norm: NormStats | None, quantiles: bool) -> jax.Array:
    """The robot's numbers f32[..., D] → π0's: z-scores, or with `quantiles` q01 → -1, q99 → 1."""
    if norm is None:
        return x
    offset, width = _ends(norm, quantiles, x.shape[-1])
    return (x - offset) / width


def unnormalize(x: jax.Array, norm: NormStats | None, quantiles: bool) -> jax.Array:
    """Inverse of `normalize`."""
    if norm is None:
        return x
    offset, width = _ends(norm, quantiles, x.shape[-1])
    return x * width + offset


def pad_last(x: jax.Array, size: int) -> jax.Array:
    """Zeros after the last axis's numbers, up to `size`."""
    return jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, size - x.shape[-1])])


def say_state(words: jax.Array, state: jax.Array, prompt: StatePrompt, length: int) -> jax.Array:
    """π0.5's prompt: the instruction's tokens, then the state's 256 bins as numbers, then the end.

    Runs on the device, so that an environment's fixed instruction tokens suffice while the state
    changes at every step. It gives what the tokenizer gives for the whole text because the words
    "Task: …, State:" and each number with the space before it are tokenized apart in Gemma's
    vocabulary (every digit is a token of its own).

    Args:
        words: i32[B, L] tokens up to "State:", padded with 0.
        state: f32[B, P] normalized, nominally in [-1, 1].
        prompt: the tokens of every bin and of the end.
        length: tokens of the result; what does not fit is cut.

    Returns:
        i32[B, length], padded with 0.
    """
    longest = max(len(tokens) for tokens in prompt.bins)
    table = np.zeros((len(prompt.bins), longest), np.int32)
    for row, tokens in zip(table, prompt.bins, strict=True):
        row[: len(tokens)] = tokens
    edges = jnp.linspace(-1.0, 1.0, 257)[:-1]
    bins = jnp.searchsorted(edges, state, side="right")  # 0 is below -1
    said = jnp.asarray(table)[bins].reshape(*state.shape[:-1], -1)
    end = jnp.broadcast_to(jnp.asarray(prompt.end, jnp.int32), (len(words), len(prompt.end)))
    loose = jnp.concatenate([words, said, end], axis=1)
    # Close the gaps: every token that is none moves behind the others, whose order stays.
    order = jnp.argsort(loose == 0, axis=1, stable=True)
    tight = jnp.take_along_axis(loose, order, axis=1)
    tight = jnp.pad(tight, ((0, 0), (0, max(0, length - tight.shape[1]))))
    return tight[:, :length]
