"""A world of the smallest size that trains: two scenes, native physics, a policy of 32 pixels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jax.numpy as jnp
from test_policy import CONFIG

import sim.env
import vla_jax as vj
from sim.randomize import Randomization
from vla_jax.models.agent import init_params
from vla_jax.rl.ppo import PPOConfig
from vla_jax.run import Policy
from vla_jax.sharding import MeshConfig
from vla_jax.tokenizers import WordTokenizer
from vla_jax.train import TrainConfig

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = TrainConfig(
    iterations=4,
    num_envs=4,
    length=2,
    save_every=2,
    ppo=PPOConfig(epochs=1, minibatches=2, value_warmup=1),
    mesh=MeshConfig(data=1),
)


def make_world(num_envs: int = 4):
    """Environment, batch, policy and scenes."""
    scenes = vj.design("put something in a container", n=2, seed=1)
    tokenizer = WordTokenizer.from_phrases(p for s in scenes for p in s.task.paraphrases)
    env, batch = vj.make_env(
        scenes,
        num_envs=num_envs,
        backend="native",
        image_size=32,
        wrist_size=16,
        episode_steps=8,
        reward="shaped",
        tokenizer=tokenizer,
        randomization=Randomization(object_xy=0.02),
    )
    config = replace(CONFIG, vocabulary=tokenizer.size)
    policy = Policy(config, tokenizer.words, env.config, init_params(config, 0))
    return env, batch, policy, scenes


def plain_picture(rig, batch, episode, xpos, xmat, size, *, wrist=False):
    """A picture of one colour, that of where the last body is.

    In place of `sim.env.picture`, for tests that are not about pictures: the ray caster is most of
    what they would compile.
    """
    colour = jnp.clip(128.0 + 256.0 * xpos[:, -1], 0.0, 255.0).astype(jnp.uint8)
    shape = (len(colour), size, size, 3)
    return SimpleNamespace(rgb=jnp.broadcast_to(colour[:, None, None], shape))


def plain_pictures() -> None:
    """From now on, in this process, cameras show a plain picture."""
    sim.env.picture = plain_picture


def timeless(row: dict[str, float]) -> dict[str, float]:
    """A row of metrics without what the clock says."""
    return {name: value for name, value in row.items() if name not in ("wall_s", "sps")}
