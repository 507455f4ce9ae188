"""Episodes: all that is drawn at a reset, as a record from which the episode can be replayed."""

from __future__ import annotations

from dataclasses import dataclass, fields

import jax
import jax.numpy as jnp

from sim.geometry import quat_multiply
from sim.physics.base import Dynamics
from sim.randomize import Randomization
from sim.rearrange import Things, shift_objects
from sim.rig import Rig
from sim.robots.kinematics import quat_to_mat
from sim.scene_batch import SceneBatch
from sim.spread import first_key
from sim.task_view import is_to_do

# The usual key light: where it shines (not of unit length) and how strong.
LIGHT_DIRECTION = (0.35, 0.45, -1.0)
LIGHT_DIFFUSE = 0.75


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Episode:
    """What was drawn for the episodes of N environments; None where a term is off.

    All leaves are plain arrays with leading axis N, so they can be saved, cut and joined.
    """

    scene: jax.Array  # i32[N] index into the scene batch
    phrase: jax.Array  # i32[N] which wording of the instruction
    qpos: jax.Array  # f32[N, nq] start positions of robot and objects
    camera: jax.Array  # f32[N, 3] displacement of the fixed camera, m
    ambient: jax.Array  # f32[N, 3] ambient light
    key: jax.Array  # u32[N, ...] data of the key of image noise and of the episodes that follow
    light_direction: jax.Array | None = None  # f32[N, 3] unit vector from the key light
    diffuse: jax.Array | None = None  # f32[N, 3] strength of the key light
    fill: jax.Array | None = None  # f32[N] strength of the second light
    backdrop: jax.Array | None = None  # i32[N] scene that lends its table and room
    paint: jax.Array | None = None  # f32[N, 5, 3] sRGB added to the backdrop, see `view.painted`
    tint: jax.Array | None = None  # f32[N, B, 3] sRGB added to the colours of every body's geoms
    camera_turn: jax.Array | None = None  # f32[N, 2, 3] rotation vectors of fixed and wrist, rad
    camera_fov: jax.Array | None = None  # f32[N, 2] factors on the fields of view
    blur: jax.Array | None = None  # f32[N] standard deviation of the pictures' blur, pixels
    jpeg: jax.Array | None = None  # f32[N] quality of the pictures' compression, 1 ... 100
    dynamics: Dynamics | None = None
    delay: jax.Array | None = None  # f32[N] age of what is observed, s


def draw_episode(
    rig: Rig,
    batch: SceneBatch,
    ranges: Randomization,
    keys: jax.Array,
    scene: jax.Array | None = None,
    scene_logits: jax.Array | None = None,
    axes: tuple[str, ...] = (),
) -> Episode:
    """Draw fresh episodes.

    Args:
        rig: the robot.
        batch: S scenes.
        ranges: what varies and how much.
        keys: key[N]; everything random in the episodes and in those that follow descends from it.
        scene: i32[N] scene of each environment; drawn if None ...
        scene_logits: ... from these f32[S], uniformly if None.
        axes: see `sim.spread`.
    """
    split = jax.vmap(lambda k: jax.random.split(k, 7))(keys)
    draw = lambda i, f: jax.vmap(f)(split[:, i])  # noqa: E731
    if scene is None:
        logits = jnp.zeros(batch.num_scenes) if scene_logits is None else scene_logits
        logits = jnp.where(jnp.arange(batch.num_scenes) < batch.count, logits, -jnp.inf)
        scene = draw(0, lambda k: jax.random.categorical(k, logits))
    scene = jnp.asarray(scene, jnp.int32)
    phrase = draw(1, lambda k: jax.random.randint(k, (), 0, batch.instruction.shape[1]))
    arm = rig.num_arm
    qpos = batch.qpos0[scene]
    joints = qpos[:, :arm] + draw(
        2, lambda k: jax.random.uniform(k, (arm,), minval=-1.0, maxval=1.0)
    ) * jnp.float32(ranges.joints)
    qpos = qpos.at[:, :arm].set(joints)
    qpos = _place_objects(rig, batch, ranges, scene, qpos, first_key(split[:, 3], axes), axes)
    low, high = ranges.ambient_low, ranges.ambient_high
    more = _Draws(keys)
    return Episode(
        scene=scene,
        phrase=phrase.astype(jnp.int32),
        qpos=qpos,
        camera=draw(4, lambda k: jax.random.uniform(k, (3,), minval=-1.0, maxval=1.0))
        * ranges.camera,
        ambient=draw(5, lambda k: jax.random.uniform(k, (3,), minval=low, maxval=high)),
        key=jax.random.key_data(split[:, 6]),
        **_draw_looks(more, batch, ranges, scene),
        **_draw_cameras(more, ranges),
        dynamics=_draw_dynamics(more, batch, ranges),
        delay=more.uniform(_DELAY, (), 0.0, ranges.delay) if ranges.delay else None,
    )


# Numbers of the streams below; `draw_episode` itself uses 0 ... 6. They never change, so that a
# seed keeps its meaning and a term does not change what the others draw.
(_LIGHT, _INTENSITY, _COLOUR, _FILL, _BACKDROP, _TINT, _TURN, _FOV) = range(7, 15)
(_MASS, _FRICTION, _STIFFNESS, _DAMPING, _LATENCY, _DELAY) = range(15, 21)
# 21 is that of `sim.image_noise`.
_PAINT, _BLUR, _JPEG = range(22, 25)


@dataclass(frozen=True)
class _Draws:
    """Independent random streams of N episodes."""

    keys: jax.Array

    def stream(self, number: int) -> jax.Array:
        """key[N]."""
        return jax.vmap(lambda key: jax.random.fold_in(key, number))(self.keys)

    def uniform(self, number: int, shape: tuple[int, ...], low: float, high: float) -> jax.Array:
        """f32[N, *shape]."""
        draw = lambda key: jax.random.uniform(key, shape, minval=low, maxval=high)  # noqa: E731
        return jax.vmap(draw)(self.stream(number))

    def factor(self, number: int, shape: tuple[int, ...], width: float) -> jax.Array:
        """f32[N, *shape] around 1; exactly 1 where the width is 0."""
        return self.uniform(number, shape, 1.0 - width, 1.0 + width) if width else self.ones(shape)

    def ones(self, shape: tuple[int, ...]) -> jax.Array:
        return jnp.ones((self.keys.shape[0], *shape), jnp.float32)


def _place_objects(
    rig: Rig,
    batch: SceneBatch,
    ranges: Randomization,
    scene: jax.Array,
    qpos: jax.Array,
    key: jax.Array,
    axes: tuple[str, ...],
) -> jax.Array:
    """Shift and turn the objects of every environment; other coordinates stay."""
    k = batch.num_objects
    start = batch.nq - 7 * k
    poses = qpos[:, start:].reshape(-1, k, 7)
    things = Things(
        position=poses[..., :3],
        radius=batch.object_radius[scene],
        active=batch.object_active[scene],
        carrier=batch.object_carrier[scene],
        leader=batch.object_leader[scene],
        turns=batch.object_turns[scene],
    )

    def suits(at: jax.Array, yaw: jax.Array) -> jax.Array:
        quat = quat_multiply(_spin(yaw[:, :2]), poses[:, :2, 3:])
        return is_to_do(rig, batch, scene, at, quat_to_mat(quat))

    position, yaw = shift_objects(key, things, ranges, suits, axes)
    poses = jnp.concatenate([position, quat_multiply(_spin(yaw), poses[..., 3:])], -1)
    return jnp.concatenate([qpos[:, :start], poses.reshape(qpos.shape[0], -1)], -1)


def _spin(yaw: jax.Array) -> jax.Array:
    """Quaternions f32[..., 4] of turns about the vertical, rad."""
    half = 0.5 * yaw
    return jnp.stack([jnp.cos(half), jnp.zeros_like(half), jnp.zeros_like(half), jnp.sin(half)], -1)


def _draw_looks(
    draws: _Draws, batch: SceneBatch, r: Randomization, scene: jax.Array
) -> dict[str, jax.Array]:
    """Light, colours, table and room."""
    looks = {}
    if r.light_cone:
        looks["light_direction"] = _in_cone(draws.uniform(_LIGHT, (2,), 0.0, 1.0), r.light_cone)
    if r.light_intensity or r.light_colour:
        strength = draws.factor(_INTENSITY, (1,), r.light_intensity)
        looks["diffuse"] = LIGHT_DIFFUSE * strength * draws.factor(_COLOUR, (3,), r.light_colour)
    if r.fill:
        looks["fill"] = draws.uniform(_FILL, (), 0.0, r.fill)
    if r.textures:
        looks["backdrop"] = _other_scene(draws, batch, r, scene)
    if r.surfaces:
        looks["paint"] = draws.uniform(_PAINT, (5, 3), -r.surfaces, r.surfaces)
    if r.colour:
        bodies = len(batch.tree.bodies)
        looks["tint"] = draws.uniform(_TINT, (bodies, 3), -r.colour, r.colour)
    return looks


def _in_cone(uniform: jax.Array, half_angle: float) -> jax.Array:
    """Directions f32[N, 3], uniform over a cone around the usual light, from uniform f32[N, 2]."""
    axis = jnp.array(LIGHT_DIRECTION) / jnp.linalg.norm(jnp.array(LIGHT_DIRECTION))
    side = jnp.cross(axis, jnp.array([1.0, 0.0, 0.0]))
    side = side / jnp.linalg.norm(side)
    cos = 1.0 - uniform[:, :1] * (1.0 - jnp.cos(half_angle))
    sin = jnp.sqrt(jnp.maximum(1.0 - cos**2, 0.0))
    turn = 2.0 * jnp.pi * uniform[:, 1:]
    across = jnp.cos(turn) * side + jnp.sin(turn) * jnp.cross(axis, side)
    return cos * axis + sin * across


def _other_scene(draws: _Draws, batch: SceneBatch, r: Randomization, scene: jax.Array) -> jax.Array:
    """Scenes i32[N] that lend their look: with probability `textures` not the episode's own."""
    count = batch.count

    def pick(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        key_swap, key_step = jax.random.split(key)
        swap = jax.random.bernoulli(key_swap, r.textures)
        return swap, jax.random.randint(key_step, (), 1, jnp.maximum(count, 2))

    swap, step = jax.vmap(pick)(draws.stream(_BACKDROP))
    return jnp.where(swap, (scene + step) % count, scene).astype(jnp.int32)


def _draw_cameras(draws: _Draws, r: Randomization) -> dict[str, jax.Array]:
    cameras = {}
    if r.camera_turn:
        cameras["camera_turn"] = draws.uniform(_TURN, (2, 3), -r.camera_turn, r.camera_turn)
    if r.camera_fov:
        cameras["camera_fov"] = draws.factor(_FOV, (2,), r.camera_fov)
    if r.blur:
        cameras["blur"] = draws.uniform(_BLUR, (), 0.0, r.blur)
    if r.jpeg:
        cameras["jpeg"] = draws.uniform(_JPEG, (), 100.0 - r.jpeg, 100.0)
    return cameras


def _draw_dynamics(draws: _Draws, batch: SceneBatch, r: Randomization) -> Dynamics | None:
    if not r.varies_dynamics:
        return None
    return Dynamics(
        mass=draws.factor(_MASS, (batch.num_objects,), r.mass),
        friction=draws.factor(_FRICTION, (), r.friction),
        stiffness=draws.factor(_STIFFNESS, (), r.stiffness),
        damping=draws.factor(_DAMPING, (), r.damping),
        latency=draws.uniform(_LATENCY, (), 0.0, r.latency),
    )


def check_episode(rig: Rig, batch: SceneBatch, ranges: Randomization, episode: Episode) -> None:
    """Raises ValueError unless these ranges draw episodes of the given one's structure."""
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), episode.scene.shape[0]))
    wanted = jax.eval_shape(lambda batch, keys: draw_episode(rig, batch, ranges, keys), batch, keys)
    for field in fields(Episode):
        own, other = getattr(episode, field.name), getattr(wanted, field.name)
        if (own is None) != (other is None):
            state, less = ("has no", "one") if own is None else ("has", "none")
            raise ValueError(
                f"the recorded episode {state} {field.name}, but the environment's randomization "
                f"draws {less}: replay it with the randomization that it was recorded with"
            )
        shapes, expected = ([x.shape for x in jax.tree.leaves(e)] for e in (own, other))
        if shapes != expected:
            raise ValueError(
                f"the recorded episode's {field.name} has shape {shapes}, these scenes and this "
                f"robot need {expected}: replay it with those that it was recorded with"
            )
