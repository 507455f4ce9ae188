"""One step of imitation: varied words and pictures, flow matching, Adam, and a moving average."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from vla_jax.data.augment import Augmentation, augment
from vla_jax.data.demonstrations import Demonstrations
from vla_jax.models.agent import init_params, make_imitation_loss
from vla_jax.models.config import PolicyConfig
from vla_jax.rl.agent import Params
from vla_jax.tokenizers import PAD, UNKNOWN

if TYPE_CHECKING:
    from vla_jax.imitation import ImitationConfig


class Trained(NamedTuple):
    """State of pretraining."""

    params: Params
    opt_state: Any  # of the actor
    average: Any  # moving average of the actor, None without one
    step: jax.Array  # i32[] minibatches so far

    @property
    def policy(self) -> Params:
        """The parameters to act with: the average, if there is one."""
        if self.average is None:
            return self.params
        return self.params._replace(actor=self.average)


class Pretrainer(NamedTuple):
    """What `make_pretrainer` returns."""

    # (seed, parameters to start from or None) -> Trained
    init: Any
    # (Trained, data, rows i32[steps, B], key) -> Trained, f32[2] mean flow loss and error in dm;
    # jitted, the state is donated.
    run: Any
    # (Params, data, rows i32[K, B], known f32[K, B], key) -> flow loss f32[] of the known rows.
    heldout: Any


@functools.lru_cache(maxsize=4)
def make_pretrainer(
    config: PolicyConfig,
    settings: ImitationConfig,
    placed: int | None = None,
    words_vary: bool = True,
) -> Pretrainer:
    """Adam with a cosine schedule on the actor.

    Args:
        config: sizes of the policy.
        settings: of the training.
        placed: how many rows of a minibatch, the first ones, know where things are; None means all.
        words_vary: false leaves instructions as they are: only a `WordTokenizer` has the unknown
            word that others are replaced by.
    """
    if not words_vary:
        settings = replace(settings, word_dropout=0.0, word_insertion=0.0)
    rate = settings.learning_rate
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(
            optax.warmup_cosine_decay_schedule(
                0.0, rate, settings.steps // 20, settings.steps, min(1e-5, 0.1 * rate)
            ),
            weight_decay=1e-4,
        ),
    )
    imitation_loss = make_imitation_loss(config)

    def init(seed: int, start: Params | None) -> Trained:
        params = init_params(config, seed) if start is None else start
        # A copy: the state is donated, and the same buffer cannot be donated twice.
        average = jax.tree.map(jnp.copy, params.actor) if settings.ema else None
        return Trained(params, optimizer.init(params.actor), average, jnp.zeros((), jnp.int32))

    def step(data: Demonstrations, carry: Trained, inputs):
        pick, key = inputs
        sample = vary(jax.tree.map(lambda x: x[pick], data), key, settings)
        key_loss = jax.random.split(key)[1]

        def loss(actor):
            params = carry.params._replace(actor=actor)
            flow, ground, error = _losses(imitation_loss, params, sample, key_loss, placed)
            return flow + settings.ground_weight * ground, (flow, error)

        actor = carry.params.actor
        grads, parts = jax.grad(loss, has_aux=True)(actor)
        changes, opt_state = optimizer.update(grads, carry.opt_state, actor)
        actor = optax.apply_updates(actor, changes)
        average = carry.average
        if average is not None:
            average = moving_average(average, actor, carry.step, settings.ema)
        params = carry.params._replace(actor=actor)
        return Trained(params, opt_state, average, carry.step + 1), jnp.stack(parts)

    def run(state: Trained, data: Demonstrations, rows: jax.Array, key: jax.Array):
        keys = jax.random.split(key, rows.shape[0])
        state, parts = jax.lax.scan(lambda c, x: step(data, c, x), state, (rows, keys))
        return state, parts.mean(0)

    def heldout(params: Params, data: Demonstrations, rows, known, key):
        def add(total, inputs):
            pick, weight, key = inputs
            sample = jax.tree.map(lambda x: x[pick], data)
            weight = weight * sample.has_action
            flow, _, _ = imitation_loss(
                params, sample.obs, sample.action, sample.located, weight, key
            )
            return total + jnp.stack([flow * weight.sum(), weight.sum()]), None

        keys = jax.random.split(key, rows.shape[0])
        total, _ = jax.lax.scan(add, jnp.zeros(2), (rows, known, keys))
        return total[0] / jnp.maximum(total[1], 1e-6)

    return Pretrainer(init, jax.jit(run, donate_argnums=0), jax.jit(heldout))


def _losses(imitation_loss, params: Params, sample: Demonstrations, key, placed: int | None):
    """Flow loss, localization loss and its error in dm; the latter two of the placed rows only."""

    def of(rows: slice, key):
        obs, action, located, has_action, _ = jax.tree.map(lambda x: x[rows], sample)
        return *imitation_loss(params, obs, action, located, has_action, key), has_action.sum()

    if placed is None:
        return of(slice(None), key)[:3]
    key_rest, key_placed = jax.random.split(key)
    flow, _, _, weight = of(slice(placed, None), key_rest)
    if not placed:
        return flow, jnp.zeros(()), jnp.zeros(())
    other, ground, error, more = of(slice(placed), key_placed)
    return (flow * weight + other * more) / (weight + more + 1e-6), ground, error


def vary(sample: Demonstrations, key: jax.Array, settings: ImitationConfig) -> Demonstrations:
    """Other words, and other pictures with their places, if the settings ask for them."""
    key_words = jax.random.split(key)[0]
    words = vary_words(sample.obs.instruction, key_words, settings)
    obs, located = replace(sample.obs, instruction=words), sample.located
    if settings.augment != Augmentation():
        key_pictures = jax.random.fold_in(key, 1)
        obs, located = augment(obs, located, key_pictures, settings.augment)
    return sample._replace(obs=obs, located=located)


def moving_average(average: Any, new: Any, step: jax.Array, decay: float) -> Any:
    """Exponential moving average of a pytree.

    The decay rises from 0.1 to `decay` as (1 + step) / (10 + step): otherwise the untrained
    parameters would weigh in for 1 / (1 - decay) steps.

    Args:
        average, new: pytrees of the same shapes.
        step: i32[] how often it was updated before.
        decay: in (0, 1).
    """
    keep = jnp.minimum(decay, (1.0 + step) / (10.0 + step))
    return jax.tree.map(lambda a, x: keep * a + (1.0 - keep) * x, average, new)


def vary_words(words: jax.Array, key: jax.Array, settings: ImitationConfig) -> jax.Array:
    """Hide words and slip in unknown ones at random: i32[B, L] → i32[B, L]."""
    key_hide, *keys = jax.random.split(key, 3)
    hidden = jax.random.bernoulli(key_hide, settings.word_dropout, words.shape) & (words > PAD)
    words = jnp.where(hidden, UNKNOWN, words)
    for k in keys:
        key_rate, key_place = jax.random.split(k)
        wanted = jax.random.bernoulli(key_rate, settings.word_insertion, words.shape[:1])
        # Only where there is room, and within the phrase.
        wanted &= words[:, -1] == PAD
        length = (words > PAD).sum(1)
        place = jax.random.randint(key_place, words.shape[:1], 1, jnp.maximum(length, 2))[:, None]
        column = jnp.arange(words.shape[1])
        moved = jnp.where(column > place, jnp.roll(words, 1, axis=1), words)
        moved = jnp.where(column == place, UNKNOWN, moved)
        words = jnp.where(wanted[:, None], moved, words)
    return words
