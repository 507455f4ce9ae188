"""Solvability: does the scripted expert solve a scene, played without cameras?

Cameras are what costs time in an environment, and the make of the objects is what costs
compilations. Neither matters here: scenes are played without anything that is only seen, in one
program for all of them whatever their shapes; the shapes live in the engine on the host.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from generation.compile import SlotTemplate, slot_template
from generation.spec import Background, Look, SceneSpec
from sim.env import Env, EnvConfig
from sim.episode import Episode
from sim.expert import expert_action
from sim.physics import get_physics
from sim.physics.registry import release
from sim.randomize import Randomization
from sim.rig import make_rig
from sim.robots import get_robot
from sim.scene_batch import SceneBatch, build_scene_batch
from sim.scene_objects import object_facts
from sim.state import EnvState

_CHUNKS = (8, 32)  # scenes played side by side: a few, or many
_SEGMENT = 4  # control steps between two looks whether all episodes are over
_SPREAD = 0.1  # rad, of the arm's start in the episodes after the first


def solve_scenes(
    scenes: Sequence[SceneSpec],
    seed: int = 0,
    episodes: int = 1,
    robot: str = "widowx",
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> np.ndarray:
    """Which scenes the scripted expert solves, in MuJoCo's own engine on the host.

    The first episode of a scene starts exactly as designed. The arm of further ones starts within
    0.1 rad of home. Scenes whose every episode fails are called unsolved, so one lucky grasp of
    several is enough: this asks whether the task *can* be done, not how often.

    Args:
        scenes: S scenes of any shapes and goals.
        seed: of the starts after the first.
        episodes: tries per scene; scenes already solved are not played again.
        robot: name in the robot registry.
        progress: called with (scenes played in this round, scenes of the round).

    Returns:
        bool[S].

    Raises:
        ValueError: fewer than one episode, an unknown robot, or shapes the engine cannot hold.
    """
    if episodes < 1:
        raise ValueError(f"episodes is {episodes}: the expert needs at least one try")
    solved = np.zeros(len(scenes), bool)
    if not scenes:
        return solved
    template = slot_template([_bare(scene) for scene in scenes])
    size = next((n for n in _CHUNKS if n >= len(scenes)), _CHUNKS[-1])
    with _on_host():
        for episode in range(episodes):
            left = np.flatnonzero(~solved).tolist()
            for first in range(0, len(left), size):
                ids = left[first : first + size]
                # Always full chunks, so that one program serves all.
                padded = [scenes[ids[k % len(ids)]] for k in range(size)]
                solved[ids] = _play(padded, template, seed, episode, robot)[: len(ids)]
                progress(first + len(ids), len(left))
    return solved


@contextlib.contextmanager
def _on_host() -> Iterator[None]:
    """On a machine with an accelerator, the arrays stay beside the engine."""
    try:
        device = jax.devices("cpu")[0]
    except RuntimeError:  # JAX was told to use the accelerator alone
        yield
        return
    with jax.default_device(device):
        yield


def _play(
    scenes: Sequence[SceneSpec], template: SlotTemplate, seed: int, episode: int, robot: str
) -> np.ndarray:
    """One episode of each scene: bool[S]."""
    batch = _bare_batch(scenes, template, robot)
    config = EnvConfig(randomization=Randomization.none())
    env = Env(config, make_rig(get_robot(robot)), get_physics("native"), len(scenes))
    try:
        start = _start(batch, env.rig.num_arm, seed, episode)
        return np.asarray(_player(env)(batch, start))
    finally:
        release(int(batch.handle))


def _bare(scene: SceneSpec) -> SceneSpec:
    """The scene without anything that is only there to be looked at."""
    objects = tuple(
        thing.model_copy(update={"parts": tuple(part for part in thing.parts if part.collide)})
        for thing in scene.objects
    )
    return scene.model_copy(
        update={"objects": objects, "table": Look(), "background": Background()}
    )


def _bare_batch(scenes: Sequence[SceneSpec], template: SlotTemplate, robot: str) -> SceneBatch:
    """The scenes without pictures: equal structure whatever the shapes."""
    tokens = np.zeros((len(scenes), 1, 1), np.int32)
    bare = [_bare(scene) for scene in scenes]
    batch = build_scene_batch(bare, get_robot(robot), tokens, template=template)
    seen = ("geom_", "backdrop", "atlas")
    unseen = {
        field.name: () if field.metadata.get("static") else None
        for field in dataclasses.fields(batch)
        if field.name.startswith(seen)
    }
    slots = len(template)
    # The goal is about whole objects, with what is only seen of them.
    facts = object_facts(scenes, slots)
    return replace(batch, **facts, **unseen, template=SlotTemplate(((),) * slots))


def _start(batch: SceneBatch, arm: int, seed: int, episode: int) -> Episode:
    """Every scene of the batch as designed; after the first episode with the arm elsewhere."""
    n = batch.num_scenes
    spread = _SPREAD if episode else 0.0
    shift = spread * np.random.default_rng((seed, episode)).uniform(-1.0, 1.0, (n, arm))
    qpos = np.array(batch.qpos0)
    qpos[:, :arm] += shift
    return Episode(
        scene=jnp.arange(n, dtype=jnp.int32),
        phrase=jnp.zeros(n, jnp.int32),
        qpos=jnp.asarray(qpos),
        camera=jnp.zeros((n, 3)),
        ambient=jnp.zeros((n, 3)),
        key=jnp.zeros((n, 2), jnp.uint32),  # nothing is drawn any more
    )


@functools.lru_cache(maxsize=4)
def _player(env: Env) -> Callable[[SceneBatch, Episode], jax.Array]:
    """Compiled once for all chunks of one robot and number of slots."""

    def play(batch: SceneBatch, episode: Episode) -> jax.Array:
        def act(state: EnvState, step: jax.Array) -> tuple[jax.Array, None]:
            view, turn = env.view(batch, state), env.tool_yaw(state)
            return expert_action(view, env.rig.robot, turn), None

        def segment(carry):
            state, over, won, step = carry
            state, out, _ = env.advance(batch, state, act, _SEGMENT)
            won = won | (out.success & ~over)
            # What blew up is lost, whatever it touches later.
            over = over | out.success | ~state.physics.finite
            return state, over, won, step + _SEGMENT

        def going(carry):
            return (carry[3] < env.config.episode_steps) & ~carry[1].all()

        nothing = jnp.zeros(env.num_envs, bool)
        start = (env.begin(batch, episode), nothing, nothing, jnp.int32(0))
        return jax.lax.while_loop(going, segment, start)[2]

    return jax.jit(play)
