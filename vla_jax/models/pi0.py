"""π0 and π0.5 as a policy: SigLIP and Gemma read pictures and prompt, the action expert flows.

Architecture and numerics are openpi's (Physical-Intelligence/openpi), so its checkpoints load, see
vla_jax/convert.py. Flow time is the paper's (arXiv 2603.18532): τ = 0 is noise, τ = 1 the action,
v ≈ A - ε; openpi counts the other way, t = 1 - τ with velocity ε - A.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from sim.types import Observation
from vla_jax.models import lora
from vla_jax.models.config import PolicyConfig
from vla_jax.models.gemma import Cache, Language, Tower
from vla_jax.models.pi0_config import Pi0Config
from vla_jax.models.pi0_data import normalize, pad_last, say_state, unnormalize
from vla_jax.models.policy import time_waves
from vla_jax.models.siglip import SigLIP, resize_with_pad

# (path in the module, shape) → where the parameter lives
Sharding = Callable[[tuple, tuple[int, ...]], jax.sharding.Sharding]


class Pi0Prefix(NamedTuple):
    """What the suffix needs of the prefix; computed once per observation."""

    cache: Cache
    mask: jax.Array  # bool[B, T] tokens that exist
    state: jax.Array  # f32[B, A] normalized and padded


class Pi0(nnx.Module):
    """π0-sized policy; the same interface as `models.policy.VLA`."""

    def __init__(self, config: PolicyConfig, *, rngs: nnx.Rngs):
        """Raises ValueError if `config.pi0` is missing or does not fit the rest of `config`."""
        self.config, self.pi0 = config, check(config)
        c, w = self.pi0, self.pi0.expert.width
        dtype = jnp.dtype(c.param_dtype)

        def linear(inputs: int, outputs: int) -> nnx.Linear:
            return nnx.Linear(inputs, outputs, param_dtype=dtype, rngs=rngs)

        self.vision = SigLIP(c, rngs=rngs)
        self.language = Language(c, rngs=rngs)
        self.expert = Tower("expert", c, rngs=rngs)
        if not c.pi05:
            self.state_in = linear(c.action_dim, w)
        self.action_in = linear(c.action_dim, w)
        self.time_in = linear(w if c.pi05 else 2 * w, w)
        self.time_out = linear(w, w)
        self.action_out = linear(w, c.action_dim)
        self.noise = head([w, config.head_width, config.action], rngs)
        wide = config.head_width
        self.value_layers = head([config.privileged, wide, wide, 1], rngs)

    @staticmethod
    def role(path: tuple, config: PolicyConfig) -> str:
        """Which part of `Params` a parameter belongs to: actor, critic or frozen."""
        return lora.role(path, check(config))

    @property
    def horizon(self) -> tuple[int, int]:
        """Shape (H, A) of an action chunk in the flow."""
        return self.pi0.horizon, self.pi0.action_dim

    def executed(self, x: jax.Array) -> jax.Array:
        """f[..., H, A] → f[..., C, 7]: what the robot executes of a chunk; the rest is padding."""
        return x[..., : self.config.chunk, : self.config.action]

    def to_env(self, x: jax.Array) -> jax.Array:
        """A chunk of the flow f32[..., H, A] → actions of the environment f32[..., C, 7].

        Not clipped: `Env.step` does that.
        """
        return unnormalize(self.executed(x), self.pi0.action_norm, self.pi0.pi05)

    def from_env(self, action: jax.Array) -> jax.Array:
        """Actions of the environment f32[B, C, 7] → a chunk of the flow f32[B, H, A].

        Steps beyond C repeat the last one, as openpi's data do beyond an episode's end.
        """
        x = pad_last(normalize(action, self.pi0.action_norm, self.pi0.pi05), self.pi0.action_dim)
        rest = jnp.repeat(x[:, -1:], self.pi0.horizon - x.shape[1], axis=1)
        return jnp.concatenate([x, rest], axis=1)

    def flow_time(self, key: jax.Array, size: tuple[int, ...]) -> jax.Array:
        """Flow times to train at, f32[size] in [0, 0.999): π0's, which favours noisy chunks."""
        return 0.999 * (1.0 - jax.random.beta(key, 1.5, 1.0, size))

    def see(self, obs: Observation) -> tuple[Pi0Prefix, None]:
        """Encode an observation.

        openpi's third picture (right wrist) is masked out for a robot with two: nothing attends to
        its tokens and no position counts them, so they are left out with the same result.
        """
        c = self.pi0
        pictures = [resize_with_pad(x, c.vision.image) for x in (obs.image, obs.wrist)]
        seen = jnp.split(self.vision(jnp.concatenate(pictures)), 2)
        state = normalize(obs.proprio, c.state_norm, c.pi05)
        words = obs.instruction
        if c.state_prompt is not None:
            words = say_state(words, state, c.state_prompt, c.max_tokens)
        tokens = jnp.concatenate([*seen, self.language.embed(words)], axis=1)
        pixels = jnp.ones((words.shape[0], 2 * c.vision.tokens), bool)
        mask = jnp.concatenate([pixels, words != 0], axis=1)
        positions = jnp.cumsum(mask, axis=1) - 1
        _, cache = self.language(tokens, positions, mask[:, None] & mask[:, :, None])
        return Pi0Prefix(cache, mask, pad_last(state, c.action_dim)), None

    def velocity(
        self, prefix: Pi0Prefix, x: jax.Array, time: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Flow velocity and noise scale at one flow time.

        Args:
            prefix: from `see`.
            x: noisy action chunk f32[B, H, A].
            time: flow time f32[B] in [0, 1], 0 is noise.

        Returns:
            velocity f32[B, H, A] and standard deviation of the stochastic flow step f32[B, H, A].
        """
        c = self.pi0
        tokens, cond = self.embed_suffix(prefix.state, x, 1.0 - time)
        b, s = tokens.shape[:2]
        own = jnp.ones((s, s), bool)
        if not c.pi05:
            # The state's token is a block of its own: it does not see the actions.
            own = own.at[0, 1:].set(False)
        before = jnp.broadcast_to(prefix.mask[:, None], (b, s, prefix.mask.shape[1]))
        mask = jnp.concatenate([before, jnp.broadcast_to(own, (b, s, s))], axis=-1)
        positions = prefix.mask.sum(-1, keepdims=True) + jnp.arange(s)
        tokens = tokens.astype(c.dtype)
        features, _ = self.expert(tokens, positions, mask, prefix.cache, cond)
        features = features[:, -c.horizon :].astype(jnp.float32)
        return -self.action_out(features), self.noise_std(features)

    def embed_suffix(
        self, state: jax.Array, x: jax.Array, time: jax.Array
    ) -> tuple[jax.Array, jax.Array | None]:
        """Suffix tokens f32[B, S, width], and π0.5's condition f32[B, width]; openpi's time."""
        wave = time_waves(time, self.pi0.expert.width)
        action = self.action_in(x)
        if self.pi0.pi05:
            return action, nnx.silu(self.time_out(nnx.silu(self.time_in(wave))))
        wave = jnp.broadcast_to(wave[:, None], action.shape)
        mixed = nnx.silu(self.time_in(jnp.concatenate([action, wave], axis=-1)))
        return jnp.concatenate([self.state_in(state)[:, None], self.time_out(mixed)], axis=1), None

    def noise_std(self, features: jax.Array) -> jax.Array:
        """Bounded log-variance interpolation (ReinFlow, Flow-Noise), f32[B, H, A].

        Padded dimensions, which nobody executes, get the smallest noise.
        """
        c = self.config
        low, high = 2.0 * jnp.log(c.noise_min), 2.0 * jnp.log(c.noise_max)
        raised = self.noise(features).astype(jnp.float32)
        std = jnp.exp(0.5 * (low + 0.5 * (high - low) * (jnp.tanh(raised) + 1.0)))
        std = std * jnp.asarray(c.noise_scale)
        padding = jnp.full((*std.shape[:-1], self.pi0.action_dim - c.action), c.noise_min)
        return jnp.concatenate([std, padding], axis=-1)

    def localization_loss(self, sight: None, located: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Zeros: π0 points at nothing."""
        zeros = jnp.zeros(located.shape[0])
        return zeros, zeros

    def value(self, privileged: jax.Array) -> jax.Array:
        """Privileged state f32[B, Q] → value f32[B]; used in training only."""
        return self.value_layers(privileged)[:, 0]


def head(widths: list[int], rngs: nnx.Rngs) -> nnx.Sequential:
    """A tanh MLP that starts at zero."""
    layers: list = []
    for inputs, outputs in itertools.pairwise(widths[:-1]):
        layers += [nnx.Linear(inputs, outputs, rngs=rngs), nnx.tanh]
    zero = nnx.initializers.zeros_init()
    return nnx.Sequential(*layers, nnx.Linear(*widths[-2:], kernel_init=zero, rngs=rngs))


def check(config: PolicyConfig) -> Pi0Config:
    """π0's own sizes; ValueError if there are none or they do not hold the robot's."""
    c = config.pi0
    if c is None:
        raise ValueError("this policy has no π0 sizes: set PolicyConfig.pi0")
    if config.chunk > c.horizon:
        raise ValueError(f"chunk is {config.chunk}, π0's horizon only {c.horizon}")
    for name, size in (("action", config.action), ("proprio", config.proprio)):
        if size > c.action_dim:
            raise ValueError(f"{name} has {size} numbers, π0's action_dim only {c.action_dim}")
    return c


def abstract_params(config: PolicyConfig) -> nnx.State:
    """Shapes and precisions of the parameters; nothing is made."""
    return nnx.state(nnx.eval_shape(lambda: Pi0(config, rngs=nnx.Rngs(0))), nnx.Param)


def fresh_params(
    config: PolicyConfig,
    seed: int,
    paths: Collection[tuple] | None = None,
    sharding: Sharding | None = None,
) -> nnx.State:
    """Fresh parameters, made where they live.

    One program, from which the compiler drops the parameters that are not asked for.

    Args:
        config: of the policy.
        seed: of every random number.
        paths: which parameters; None is all.
        sharding: where each lives; None is the first device.
    """
    order = [
        path
        for path, _ in nnx.to_flat_state(abstract_params(config))
        if paths is None or path in paths
    ]

    def make() -> list[jax.Array]:
        flat = dict(nnx.to_flat_state(nnx.state(Pi0(config, rngs=nnx.Rngs(seed)), nnx.Param)))
        return [flat[path][...] for path in order]

    where = None
    if sharding is not None:
        shapes = jax.eval_shape(make)
        where = [sharding(path, x.shape) for path, x in zip(order, shapes, strict=True)]
    # Runs once: optimizing dozens of random generators takes a CPU over a minute.
    quick = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
    values = jax.jit(make, out_shardings=where, compiler_options=quick)()
    return nnx.from_flat_state(
        [(path, nnx.Param(value)) for path, value in zip(order, values, strict=True)]
    )
