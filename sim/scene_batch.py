"""Scenes as stacked arrays: what the simulator, the renderer and the task read.

All scenes of a batch compile to one structure and differ only in numbers, so an environment moves
to another scene by gathering another row: no recompilation, no trip to the host. A program
compiled for one batch serves every batch of equal template and shapes.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from generation.compile import (
    TABLE_CENTRE,
    TABLE_HALF,
    PhysicsOptions,
    SlotTemplate,
    build_spec,
    compile_spec,
    same_structure,
    slot_template,
)
from generation.spec import SceneSpec
from sim.physics.registry import register_models
from sim.render.atlas import make_atlas
from sim.render.types import Atlas, Backdrop
from sim.robots.base import Robot
from sim.robots.kinematics import Tree
from sim.scene_looks import choose_panoramas, convex_planes, geom_looks, scene_backdrop
from sim.scene_objects import object_facts

TIMESTEP = 0.02
"""Physics step, s: grasps hold as well as at 10 ms for half the cost (benchmarks/physics.py)."""

OPTIONS = PhysicsOptions(iterations=6, ls_iterations=12, impratio=3.0, elliptic=True)
"""Solver settings that both engines support. The solver mostly stops after one or two iterations;
pyramidal cones and an impratio of 1 let objects creep out of the gripper."""

if TYPE_CHECKING:
    from sim.physics.mjx_capacity import Capacity
    from sim.physics.mjx_fields import MjxScenes

_OBJECT_GEOM = re.compile(r"object(\d+)_geom(\d+)")
_TYPE_NAMES = {
    int(mujoco.mjtGeom.mjGEOM_BOX): "box",
    int(mujoco.mjtGeom.mjGEOM_SPHERE): "sphere",
    int(mujoco.mjtGeom.mjGEOM_CAPSULE): "capsule",
    int(mujoco.mjtGeom.mjGEOM_CYLINDER): "cylinder",
    int(mujoco.mjtGeom.mjGEOM_ELLIPSOID): "ellipsoid",
}


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class SceneBatch:
    """S scenes of one structure with a robot in them. Pass it as an argument, never close over it.

    Slot 0 of the K object slots is the target, 1 the receptacle, the rest are distractors. The G
    drawn geoms are those of the robot, then of the objects, in MuJoCo's order; the table is part of
    the backdrop. Geom poses are in the frame of the body that carries them.

    Attributes:
      qpos0: f32[S, nq] start: robot home, objects at rest.
      geom_body: i32[G] body index, for poses from `body_poses(tree, qpos)`.
      geom_size: f32[S, G, 3] MuJoCo half sizes, m.
      geom_pos: f32[S, G, 3], m.
      geom_quat: f32[S, G, 4] wxyz.
      geom_rgb: f32[S, G, 3] first colour, sRGB in [0, 1].
      geom_rgb2: f32[S, G, 3] second colour of the texture.
      geom_texture: i32[S, G] index into `sim.render.types.TEXTURES`, then into the images
        of the atlas.
      geom_texture_scale: f32[S, G] m per period.
      geom_visible: bool[S, G] false for geoms that only collide, or only fill the template.
      geom_planes: f32[S, C, F, 4] faces of the C convex parts, see `RenderGeoms.planes`; None
        without convex parts.
      backdrop: table and surroundings, leaves with leading axis S.
      atlas: textures and panoramas that all scenes share.
      object_grasp: f32[S, K, 5] grasp point x, y, z (m), yaw of the closing direction (rad), width
        between the fingers (m), in the body frame.
      object_place: f32[S, K, 4] centre of the surface that holds things, usable radius, m.
      object_radius: f32[S, K] footprint radius, m.
      object_height: f32[S, K] height above the body frame's origin, m.
      object_bounds: f32[S, K, 6] lowest and highest corner in the body frame, m.
      object_active: bool[S, K] false for slots that the scene does not use.
      object_carrier: i32[S, K] slot of what stands on the table below the object at the start, its
        own if nothing carries it.
      object_leader: i32[S, K] slot whose shift the object shares when a reset moves it.
      object_turns: bool[S, K] whether a reset may turn the object, with what it carries.
      goal: i32[S] what the task makes true, index into `sim.goals.RELATIONS`.
      instruction: i32[S, I, L] tokens of I wordings.
      instruction_mask: bool[S, I, L] true where there is a token.
      count: i32[] number of scenes; rows beyond it repeat them, see `sim.buckets.make_room`.
      handle: i32[] key of the compiled models on the host, for the native engine.
      mjx: arrays of the MJX engine, or None if the batch was built without.
      template: geoms of every slot.
      tree: kinematic tree; body 0 is the world.
      geom_types: shape name of every drawn geom.
      geom_names: MuJoCo name of every drawn geom.
      object_bodies: body index of every slot.
      timestep: physics step, s.
      robot: name of the robot.
      nq, nv, nu: sizes of positions, velocities and controls.
    """

    qpos0: jax.Array
    geom_body: jax.Array
    geom_size: jax.Array
    geom_pos: jax.Array
    geom_quat: jax.Array
    geom_rgb: jax.Array
    geom_rgb2: jax.Array
    geom_texture: jax.Array
    geom_texture_scale: jax.Array
    geom_visible: jax.Array
    geom_planes: jax.Array | None
    backdrop: Backdrop
    atlas: Atlas
    object_grasp: jax.Array
    object_place: jax.Array
    object_radius: jax.Array
    object_height: jax.Array
    object_bounds: jax.Array
    object_active: jax.Array
    object_carrier: jax.Array
    object_leader: jax.Array
    object_turns: jax.Array
    goal: jax.Array
    instruction: jax.Array
    instruction_mask: jax.Array
    count: jax.Array
    handle: jax.Array
    mjx: MjxScenes | None
    template: SlotTemplate = dataclasses.field(metadata={"static": True})
    tree: Tree = dataclasses.field(metadata={"static": True})
    geom_types: tuple[str, ...] = dataclasses.field(metadata={"static": True})
    geom_names: tuple[str, ...] = dataclasses.field(metadata={"static": True})
    object_bodies: tuple[int, ...] = dataclasses.field(metadata={"static": True})
    timestep: float = dataclasses.field(metadata={"static": True})
    robot: str = dataclasses.field(metadata={"static": True})
    nq: int = dataclasses.field(metadata={"static": True})
    nv: int = dataclasses.field(metadata={"static": True})
    nu: int = dataclasses.field(metadata={"static": True})

    @property
    def num_scenes(self) -> int:
        """S, the number of rows; without `make_room` that is the number of scenes."""
        return self.qpos0.shape[0]

    @property
    def num_objects(self) -> int:
        """K, the number of object slots."""
        return len(self.object_bodies)


def build_scene_batch(
    scenes: Sequence[SceneSpec],
    robot: Robot,
    instruction: np.ndarray,
    instruction_mask: np.ndarray | None = None,
    *,
    template: SlotTemplate | None = None,
    options: PhysicsOptions | None = None,
    timestep: float = TIMESTEP,
    mjx: bool | Literal["warp"] = False,
    panoramas: Sequence[np.ndarray] = (),
    capacity: Capacity | None = None,
) -> SceneBatch:
    """Compiles scenes and stacks what differs between them.

    Args:
      scenes: S scenes.
      robot: stands at the origin in each.
      instruction: i32[S, I, L] tokens of I wordings of each scene's task, 0 is padding.
      instruction_mask: bool[S, I, L]; by default where the token is not 0.
      template: structure to fill; by default the smallest that fits. Give the template of all the
        scenes of a project to run several batches in one compiled program.
      options: solver settings; by default `OPTIONS`.
      timestep: physics step, s.
      mjx: also prepare the arrays of the MJX engine; "warp": those of its Warp implementation.
      panoramas: u8[h, w, 3] equirectangular pictures of surroundings (see `make_atlas`), given to
        the scenes in turn; without any, every scene has its own room.
      capacity: room for contacts in MJX; by default what these scenes need, see
        `sim.physics.mjx_capacity.choose_capacity`. Give `batch.mjx.capacity` of another batch to
        run in the program compiled for it.

    Raises:
      ValueError: if there are no scenes, if a scene does not fit the template, if the instruction
        has another number of scenes, if MJX cannot collide two of the shapes, or if Warp is asked
        for and not installed.
    """
    if not scenes:
        raise ValueError("no scenes: build_scene_batch needs at least one; design some first")
    instruction = np.asarray(instruction, np.int32)
    if instruction.ndim != 3 or len(instruction) != len(scenes):
        raise ValueError(
            f"instruction has shape {instruction.shape}, but {len(scenes)} scenes need "
            f"({len(scenes)}, wordings, tokens)"
        )
    mask = instruction != 0 if instruction_mask is None else np.asarray(instruction_mask, bool)
    template = template or slot_template(scenes)
    options = options or OPTIONS
    parts = (template, robot, timestep, options)
    models = [compile_spec(scene_spec(scene, *parts)) for scene in scenes]
    same_structure(models)
    qpos0 = np.stack([_start(model, robot) for model in models])
    key = (tuple(scene.id for scene in scenes), robot.name, template, options, timestep)
    model = models[0]
    drawn = np.flatnonzero(model.geom_bodyid > 0)
    names = tuple(model.geom(int(g)).name for g in drawn)
    panorama, pictures = choose_panoramas(scenes, panoramas)
    arrays = _mjx_scenes(scenes, models, parts, capacity, mjx == "warp") if mjx else None
    return SceneBatch(
        qpos0=_f32(qpos0),
        geom_body=jnp.asarray(model.geom_bodyid[drawn], jnp.int32),
        geom_size=_f32([m.geom_size[drawn] for m in models]),
        geom_pos=_f32([m.geom_pos[drawn] for m in models]),
        geom_quat=_f32([m.geom_quat[drawn] for m in models]),
        **geom_looks(scenes, template, names, model.geom_rgba[drawn]),
        geom_planes=convex_planes(scenes, template),
        backdrop=scene_backdrop(scenes, panorama),
        atlas=make_atlas(panoramas=pictures),
        **object_facts(scenes, len(template)),
        instruction=jnp.asarray(instruction),
        instruction_mask=jnp.asarray(mask),
        count=jnp.asarray(len(scenes), jnp.int32),
        handle=jnp.asarray(register_models(key, lambda: (models, qpos0)), jnp.int32),
        mjx=arrays,
        template=template,
        tree=Tree.from_model(model),
        geom_types=tuple(
            _shape(name, int(kind), template)
            for name, kind in zip(names, model.geom_type[drawn], strict=True)
        ),
        geom_names=names,
        object_bodies=tuple(model.body(f"object{k}").id for k in range(len(template))),
        timestep=timestep,
        robot=robot.name,
        nq=int(model.nq),
        nv=int(model.nv),
        nu=int(model.nu),
    )


def _f32(values: object) -> jax.Array:
    return jnp.asarray(np.asarray(values, np.float32))


def scene_spec(
    scene: SceneSpec,
    template: SlotTemplate,
    robot: Robot,
    timestep: float,
    options: PhysicsOptions,
    sensors: bool = True,
    meshes: bool = False,
) -> mujoco.MjSpec:
    """The scene with the robot as it is simulated, with three choices beyond `build_spec`.

    - The table is a plane: it touches objects like the top of the box it replaces and costs less.
      MJX needs it: it culls pairs by bounding spheres, and a table's contains everything on it.
    - Contacts have no torsional friction: flat pads resist turning with several points, and every
      contact costs a quarter less.
    - Integration is explicit. An implicit one changes the accelerations of the damped servos after
      the contact solver has matched those of pads and object, so that at steps above 10 ms every
      jerk of the arm makes a held object slip.
    """
    spec = build_spec(
        scene,
        template,
        robot.add_to_spec,
        timestep=timestep,
        options=options,
        sensors=sensors,
        meshes=meshes,
    )
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_EULER
    table = spec.geom("table")
    table.type = mujoco.mjtGeom.mjGEOM_PLANE
    table.pos = (TABLE_CENTRE[0], TABLE_CENTRE[1], TABLE_CENTRE[2] + TABLE_HALF[2])
    for geom in spec.geoms:
        geom.condim = 3
    return spec


def _shape(name: str, kind: int, template: SlotTemplate) -> str:
    """Shape of a drawn geom: an object's is that of its part, a robot's that of the model."""
    match = _OBJECT_GEOM.fullmatch(name)
    if match is None:
        return _TYPE_NAMES[kind]
    return template.slots[int(match[1])][int(match[2])][0]


def _mjx_scenes(
    scenes: Sequence[SceneSpec],
    models: Sequence[mujoco.MjModel],
    parts: tuple[SlotTemplate, Robot, float, PhysicsOptions],
    capacity: Capacity | None,
    warp: bool,
) -> MjxScenes:
    # MJX takes a second to import.
    from sim.physics.mjx_capacity import choose_capacity
    from sim.physics.mjx_fields import stack_fields
    from sim.physics.mjx_support import check_collidable

    template, robot, *_ = parts
    if not warp:  # Warp collides all shapes
        check_collidable(models[0], scenes, template)
    if capacity is None:
        grasp = np.array([scene.objects[0].grasp for scene in scenes])
        place = np.array([scene.objects[1].place for scene in scenes])
        capacity = choose_capacity(models, robot, grasp, place)
    spec = scene_spec(scenes[0], *parts, sensors=False)
    return stack_fields(spec, models, capacity, "warp" if warp else "jax")


def _start(model: mujoco.MjModel, robot: Robot) -> np.ndarray:
    """Start positions: the robot's joints come first and stand at home."""
    qpos = model.qpos0.copy()
    qpos[: robot.num_joints] = robot.home
    return qpos
