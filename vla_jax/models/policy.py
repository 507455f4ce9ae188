"""The vision-language-action policy: flow matching over action chunks, with noise and value heads.

Flow time follows the paper (arXiv 2603.18532): τ = 0 is noise, τ = 1 the action chunk, and the
velocity is v ≈ A - ε.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from sim.types import Observation
from vla_jax.models.config import PolicyConfig
from vla_jax.models.experts import KeyValue, TwoExpertStack
from vla_jax.models.language import LanguageEncoder
from vla_jax.models.vision import PatchEncoder, QueryPool, looking_loss

# Where in the proprioception the tool's position stands, see `Env.observe`.
TOOL = slice(-4, -1)
# The parts of the policy that read pictures and words.
_EYES = ("language", "scene_eye", "wrist_eye", "scene_pool", "wrist_pool", "word_in")


class Prefix(NamedTuple):
    """What the suffix needs of the prefix; computed once per observation."""

    features: jax.Array  # f32[B, T, width]
    mask: jax.Array  # bool[B, T]
    cache: list[KeyValue]
    # f32[B, P + 12]: proprioception, where the policy believes the named things to be, and the way
    # there from the tool.
    state: jax.Array


class Sight(NamedTuple):
    """What the policy made of its pictures: where its pointers point, what it believes."""

    scene_logits: jax.Array  # f32[B, 3, F, F] heat maps of target, receptacle and tool
    wrist_logits: jax.Array  # f32[B, 2, G, G] of target and receptacle
    estimate: jax.Array  # f32[B, 6] believed positions of target and receptacle, dm


class VLA(nnx.Module):
    """π0-shaped policy. Acts from two pictures, the instruction and the robot's own joint state."""

    def __init__(self, config: PolicyConfig, *, rngs: nnx.Rngs):
        self.config = config
        w, e = config.width, config.expert_width
        self.language = LanguageEncoder(config, rngs=rngs)
        self.scene_eye = PatchEncoder(config, config.image_size, rngs=rngs)
        self.wrist_eye = PatchEncoder(config, config.wrist_size, rngs=rngs)
        # Target, receptacle and tool: seeing its own tool beside where the joints say it is tells
        # the policy how the camera stands.
        self.scene_pool = QueryPool(config, self.scene_eye.grid, config.queries, 3, rngs=rngs)
        self.wrist_pool = QueryPool(config, self.wrist_eye.grid, config.wrist_queries, 2, rngs=rngs)
        self.word_in = nnx.Linear(config.feature_width, w, rngs=rngs)
        self.stack = TwoExpertStack(config, rngs=rngs)
        self.state_in = nnx.Linear(config.proprio + 12, e, rngs=rngs)
        self.action_in = nnx.Linear(config.action, e, rngs=rngs)
        self.step_position = nnx.Param(
            nnx.initializers.normal(0.5)(rngs.params(), (config.chunk, e))
        )
        self.time_in = nnx.Linear(2 * e, e, rngs=rngs)
        self.time_out = nnx.Linear(e, e, rngs=rngs)
        self.action_out = nnx.Linear(e, config.action, rngs=rngs)
        self.noise = nnx.Sequential(
            nnx.Linear(e, config.head_width, rngs=rngs),
            nnx.tanh,
            nnx.Linear(
                config.head_width,
                config.action,
                kernel_init=nnx.initializers.zeros_init(),
                rngs=rngs,
            ),
        )
        # Where the named things are, judged from the pictures. The estimate is read back by the
        # action expert: few numbers carry over to new scenes better than image features do.
        self.ground = nnx.Sequential(
            nnx.Linear(
                (config.queries + config.wrist_queries) * w + 4 * (3 + 2) + config.proprio,
                config.head_width,
                rngs=rngs,
            ),
            nnx.gelu,
            nnx.Linear(config.head_width, 6, rngs=rngs),
        )
        self.value_layers = nnx.Sequential(
            nnx.Linear(config.privileged, config.head_width, rngs=rngs),
            nnx.tanh,
            nnx.Linear(config.head_width, config.head_width, rngs=rngs),
            nnx.tanh,
            nnx.Linear(config.head_width, 1, kernel_init=nnx.initializers.zeros_init(), rngs=rngs),
        )

    @staticmethod
    def role(path: tuple, config: PolicyConfig) -> str:
        """Which part of `Params` a parameter belongs to."""
        if config.freeze == "vision" and path[0] in _EYES:
            return "frozen"
        return "critic" if path[0] == "value_layers" else "actor"

    @property
    def horizon(self) -> tuple[int, int]:
        """Shape of an action chunk in the flow."""
        return self.config.chunk, self.config.action

    def executed(self, x: jax.Array) -> jax.Array:
        """The numbers of a chunk that the robot executes: all."""
        return x

    def to_env(self, x: jax.Array) -> jax.Array:
        """A chunk of the flow as actions of the environment: the same."""
        return x

    def from_env(self, action: jax.Array) -> jax.Array:
        """Actions of the environment as a chunk of the flow: the same."""
        return action

    def flow_time(self, key: jax.Array, size: tuple[int, ...]) -> jax.Array:
        """Flow times to train at.

        RL acts with few integration steps, of which the first sees pure noise: half of the samples
        train that very point, the others the rest of the path.
        """
        key_time, key_zero = jax.random.split(key)
        return jax.random.uniform(key_time, size) * jax.random.bernoulli(key_zero, 0.5, size)

    def see(self, obs: Observation) -> tuple[Prefix, Sight]:
        """Encode an observation; also returns what the auxiliary localization loss needs."""
        words, word_mask = self.language(obs.instruction)
        scene, there, scene_logits = self.scene_pool(*self.scene_eye(obs.image), words, word_mask)
        wrist, here, wrist_logits = self.wrist_pool(*self.wrist_eye(obs.wrist), words, word_mask)
        seen = jnp.concatenate([scene, wrist], axis=1)
        tokens = jnp.concatenate([seen, self.word_in(words)], axis=1)
        mask = jnp.concatenate([jnp.ones(seen.shape[:2], bool), word_mask], axis=1)
        features, cache = self.stack.prefix(tokens, mask)
        seen = (features[:, : seen.shape[1]], there, here, obs.proprio)
        flat = [x.reshape(x.shape[0], -1).astype(features.dtype) for x in seen]
        # In float32 whatever the arithmetic: a centimetre is a small part of the workspace.
        estimate = self.ground(jnp.concatenate(flat, axis=-1)).astype(obs.proprio.dtype)
        # The way to go is a small difference of two positions: given apart, it is learned sooner.
        way = estimate - jnp.tile(obs.proprio[:, TOOL], 2)
        state = jnp.concatenate([obs.proprio, estimate, 3.0 * way], axis=-1)
        return Prefix(features, mask, cache, state), Sight(scene_logits, wrist_logits, estimate)

    def velocity(
        self, prefix: Prefix, x: jax.Array, time: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Flow velocity and noise scale at one flow time.

        Args:
            prefix: from `see`.
            x: noisy action chunk f32[B, C, A].
            time: flow time f32[B] in [0, 1], 0 is noise.

        Returns:
            velocity f32[B, C, A] and standard deviation of the stochastic flow step f32[B, C, A].
        """
        low = self.step_position[...].dtype
        wave = time_waves(time, self.config.expert_width)
        wave = jnp.broadcast_to(wave[:, None], (*x.shape[:2], wave.shape[-1])).astype(low)
        action = self.action_in(x.astype(low)) + self.step_position[...]
        action = self.time_out(nnx.silu(self.time_in(jnp.concatenate([action, wave], -1))))
        state = self.state_in(prefix.state.astype(low))[:, None]
        suffix = self.stack.suffix(
            jnp.concatenate([state, action], axis=1), prefix.cache, prefix.mask
        )[:, 1:]
        # At τ = 0 the target velocity A - x asks for exactly what went in: without this shortcut
        # the remains of x would be noise in the action.
        return self.action_out(suffix).astype(x.dtype) - x, self.noise_std(suffix)

    def noise_std(self, suffix: jax.Array) -> jax.Array:
        """Bounded log-variance interpolation of the noise head (ReinFlow, Flow-Noise)."""
        c = self.config
        low, high = 2.0 * jnp.log(c.noise_min), 2.0 * jnp.log(c.noise_max)
        raised = self.noise(suffix).astype(jnp.promote_types(suffix.dtype, jnp.float32))
        log_variance = low + 0.5 * (high - low) * (jnp.tanh(raised) + 1.0)
        return jnp.exp(0.5 * log_variance) * jnp.asarray(c.noise_scale)

    def localization_loss(self, sight: Sight, located: jax.Array) -> tuple[jax.Array, jax.Array]:
        """How badly the named things are localized; trains features, the action never sees it.

        The pointers should point at target, receptacle and (fixed camera) the tool, and the
        estimate of the positions of the first two should be right.

        Args:
            sight: from `see`.
            located: f32[B, 16], see `Env.located`.

        Returns:
            loss f32[B] and mean absolute error of the positions f32[B] in dm.
        """
        error = jnp.abs(sight.estimate - centred(located[:, :6])).mean(-1)
        maps = [sight.scene_logits[:, i] for i in range(3)]
        maps += [sight.wrist_logits[:, i] for i in range(2)]
        places = jnp.split(located[:, 6:], 5, axis=1)
        looking = sum(looking_loss(*pair) for pair in zip(maps, places, strict=True))
        return error + 0.05 * looking, error

    def value(self, privileged: jax.Array) -> jax.Array:
        """Privileged state f32[B, Q] → value f32[B]; used in training only."""
        return self.value_layers(privileged)[:, 0]


def centred(positions: jax.Array) -> jax.Array:
    """World positions f32[B, 6] (dm) relative to the middle of the workspace, as proprioception."""
    return positions - jnp.array([2.7, 0.0, 1.0, 2.7, 0.0, 1.0])


def time_waves(time: jax.Array, width: int) -> jax.Array:
    """Sine and cosine features of the flow time f32[B] → f32[B, width], periods 0.004 to 4 (π0)."""
    fraction = jnp.linspace(0.0, 1.0, width // 2)
    period = 4e-3 * (4.0 / 4e-3) ** fraction
    angle = time[:, None] * (2.0 * jnp.pi / period)
    return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=-1)
