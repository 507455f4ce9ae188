"""From a scene description to a MuJoCo model, with one structure for many scenes.

Scenes of one batch share a `SlotTemplate`: every object sits in a slot and every slot has the same
list of geom types in all scenes. What a scene lacks is filled with specks that touch nothing, so
the models differ only in numbers and a simulator can swap scenes without compiling again. Convex
parts, which are only drawn, are invisible boxes in those models: meshes would differ in structure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
from scipy.spatial import ConvexHull, QhullError

from generation.assets.mass import mass_properties
from generation.spec import ObjectSpec, Part, SceneSpec

GeomKey = tuple[str, bool]  # shape, collides

SPECK = 1e-4  # m, size of a geom that only fills its place in the template
_NEVER = -1.0
"""Contact margin of specks, m: nothing gets that deep into them. They sit inside real geoms, and
without it another object that presses 1 mm into a thin plate would also press on them."""
_UNUSED_MASS, _UNUSED_INERTIA = 1e-3, 1e-7  # kg, kg m^2: small, yet safe to divide by in float32
# A body needs *some* gravity compensation for the model's flag to be set, scene by scene the same.
_NO_GRAVCOMP = 1e-9
TABLE_HALF = (0.6, 0.6, 0.02)
TABLE_CENTRE = (0.3, 0.0, -0.02)

_GEOM_TYPES = {
    "box": mujoco.mjtGeom.mjGEOM_BOX,
    "sphere": mujoco.mjtGeom.mjGEOM_SPHERE,
    "capsule": mujoco.mjtGeom.mjGEOM_CAPSULE,
    "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
    "ellipsoid": mujoco.mjtGeom.mjGEOM_ELLIPSOID,
    "convex": mujoco.mjtGeom.mjGEOM_BOX,  # in its place, see above
}


@dataclass(frozen=True)
class PhysicsOptions:
    """Solver settings of a compiled scene; the defaults hold a grasp at 10 ms steps.

    The solver mostly stops early. With a limit of 6 or less it sometimes stops too early, and a
    banana dropped into a bowl explodes; with 8 or more, none of 96 such drops does.
    """

    iterations: int = 10
    ls_iterations: int = 20
    impratio: float = 5.0
    elliptic: bool = True
    torsional_friction: float = 0.01  # m


@dataclass(frozen=True)
class SlotTemplate:
    """Geom keys (shape, collides) of each object slot: 0 target, 1 receptacle, 2.. distractors."""

    slots: tuple[tuple[GeomKey, ...], ...]

    def __len__(self) -> int:
        return len(self.slots)


def slot_template(scenes: Sequence[SceneSpec]) -> SlotTemplate:
    """The smallest template that every one of `scenes` fits.

    Raises:
        ValueError: no scenes.
    """
    if not scenes:
        raise ValueError("a template of zero scenes: pass at least one scene")
    slots: list[Counter[GeomKey]] = []
    for scene in scenes:
        for k, thing in enumerate(scene.objects):
            if k == len(slots):
                slots.append(Counter())
            slots[k] |= Counter((part.shape, part.collide) for part in thing.parts)
    return SlotTemplate(tuple(tuple(sorted(slot.elements())) for slot in slots))


def geom_parts(parts: Sequence[Part], keys: Sequence[GeomKey]) -> tuple[int | None, ...]:
    """Which part fills each geom of a slot, None where the object has no part for it.

    Raises:
        ValueError: a part finds no place, so the template was made without this object.
    """
    waiting: dict[GeomKey, list[int]] = {}
    for index, part in enumerate(parts):
        waiting.setdefault((part.shape, part.collide), []).append(index)
    filled = tuple(waiting[key].pop(0) if waiting.get(key) else None for key in keys)
    left = {key: len(indices) for key, indices in waiting.items() if indices}
    if left:
        raise ValueError(f"parts {left} do not fit the template: build it from all the scenes")
    return filled


def build_spec(
    scene: SceneSpec,
    template: SlotTemplate,
    add_robot: Callable[[mujoco.MjSpec], None] | None = None,
    *,
    timestep: float = 0.01,
    options: PhysicsOptions | None = None,
    sensors: bool = True,
    meshes: bool = False,
) -> mujoco.MjSpec:
    """The scene as an MjSpec: table, robot, objects, contact sensors, in this order.

    Args:
        scene: what to build; its objects rest at their stored poses.
        template: the structure, usually `slot_template` of all the scenes of a batch.
        add_robot: adds the robot's bodies, joints and actuators; its base is "robot_base".
        timestep: seconds per physics step.
        options: solver settings.
        sensors: add the contact sensors; MJX cannot evaluate those between bodies.
        meshes: make convex parts meshes that MuJoCo draws; scenes then differ in structure.

    Raises:
        ValueError: the scene does not fit the template, or a convex part is flat and is to become a
            mesh.
    """
    if len(scene.objects) > len(template):
        raise ValueError(
            f"scene {scene.id} has {len(scene.objects)} objects, the template {len(template)} "
            "slots: build the template from all the scenes"
        )
    options = options or PhysicsOptions()
    spec = mujoco.MjSpec()
    _set_options(spec, timestep, options)
    spec.worldbody.add_geom(
        name="table",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=TABLE_HALF,
        pos=TABLE_CENTRE,
        rgba=scene.table.rgba,
        condim=4,
        friction=(0.8, options.torsional_friction, 1e-4),
    )
    if add_robot is not None:
        add_robot(spec)
    for k, keys in enumerate(template.slots):
        thing = scene.objects[k] if k < len(scene.objects) else None
        try:
            _add_object(spec, k, thing, keys, options, meshes)
        except ValueError as error:
            raise ValueError(f"scene {scene.id}, object {k}: {error}") from None
    if sensors:
        _add_sensors(spec, with_robot=add_robot is not None)
    return spec


def compile_scene(
    scene: SceneSpec,
    template: SlotTemplate | None = None,
    add_robot: Callable[[mujoco.MjSpec], None] | None = None,
    *,
    timestep: float = 0.01,
    options: PhysicsOptions | None = None,
    sensors: bool = True,
) -> mujoco.MjModel:
    """`build_spec`, compiled; without a template the scene's own. See `build_spec`."""
    template = template or slot_template([scene])
    spec = build_spec(
        scene, template, add_robot, timestep=timestep, options=options, sensors=sensors
    )
    return compile_spec(spec)


def compile_spec(spec: mujoco.MjSpec) -> mujoco.MjModel:
    """Compiles and erases the frame-alignment shortcuts, which differ from scene to scene.

    They say that a geom's or a body's inertial frame happens to equal the body frame, which saves
    a rotation; MJX keeps them as constants of the program. "Not aligned" is always right.
    """
    model = spec.compile()
    for body in range(1, model.nbody):
        if model.body(body).name.startswith("object"):
            model.body_sameframe[body] = mujoco.mjtSameFrame.mjSAMEFRAME_NONE
            start, count = int(model.body_geomadr[body]), int(model.body_geomnum[body])
            model.geom_sameframe[start : start + count] = mujoco.mjtSameFrame.mjSAMEFRAME_NONE
    return model


def same_structure(models: Sequence[mujoco.MjModel]) -> None:
    """Checks that models differ only in real numbers: sizes, types, names, topology are equal.

    The bounding volume trees are left out; they follow the geoms' places and MJX ignores them.

    Raises:
        ValueError: names the first field that differs.
    """
    first = models[0]
    for index, other in enumerate(models[1:], start=1):
        for field in _integer_fields(first):
            a, b = getattr(first, field), getattr(other, field)
            equal = np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b
            if not equal:
                raise ValueError(
                    f"models 0 and {index} differ in {field}: compile them with one template"
                )


def _integer_fields(model: mujoco.MjModel) -> list[str]:
    fields = []
    for name in dir(model):
        if name.startswith(("_", "bvh_", "oct_")):
            continue
        value = getattr(model, name)
        whole = isinstance(value, np.ndarray) and value.dtype.kind in "iub"
        if whole or isinstance(value, (int, bytes, str)):
            fields.append(name)
    return fields


def _set_options(spec: mujoco.MjSpec, timestep: float, options: PhysicsOptions) -> None:
    spec.option.timestep = timestep
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.solver = mujoco.mjtSolver.mjSOL_NEWTON
    spec.option.iterations = options.iterations
    spec.option.ls_iterations = options.ls_iterations
    spec.option.impratio = options.impratio
    cones = mujoco.mjtCone
    spec.option.cone = cones.mjCONE_ELLIPTIC if options.elliptic else cones.mjCONE_PYRAMIDAL
    disable = getattr(mujoco.mjtDisableBit, "mjDSBL_MULTICCD", None)
    if disable is not None:  # MuJoCo 4 has it on by default, earlier ones off
        spec.option.disableflags |= int(disable)


def _add_object(
    spec: mujoco.MjSpec,
    k: int,
    thing: ObjectSpec | None,
    keys: Sequence[GeomKey],
    options: PhysicsOptions,
    meshes: bool,
) -> None:
    body = spec.worldbody.add_body(name=f"object{k}")
    body.add_freejoint(name=f"object{k}_joint")
    body.explicitinertial = True
    if thing is None:
        body.pos = (2.0 + k, 2.0, 0.5)
        body.gravcomp = 1.0
        # Off the origin like every real object: else the mass matrix would have another pattern.
        body.ipos = (0.0, 0.0, 1e-3)
        body.mass, body.inertia = _UNUSED_MASS, (_UNUSED_INERTIA,) * 3
        filled: tuple[int | None, ...] = (None,) * len(keys)
        heart = (0.0, 0.0, 0.0)
    else:
        body.pos, body.quat = thing.pos, thing.quat
        body.gravcomp = _NO_GRAVCOMP
        props = mass_properties(thing.parts, thing.density)
        body.mass, body.ipos = props.mass, props.com
        body.inertia, body.iquat = props.principal()
        filled = geom_parts(thing.parts, keys)
        heart = next(part.pos for part in thing.parts if part.collide)
    for j, (shape, collide) in enumerate(keys):
        geom = body.add_geom(
            name=f"object{k}_geom{j}",
            type=_GEOM_TYPES[shape],
            condim=4,
            mass=0.0,
            contype=int(collide),
            conaffinity=int(collide),
        )
        index = filled[j]
        if thing is None or index is None:
            geom.size, geom.pos, geom.rgba = (SPECK,) * 3, heart, (0.0, 0.0, 0.0, 0.0)
            geom.margin = _NEVER
            continue
        part = thing.parts[index]
        geom.size, geom.pos, geom.quat = part.size, part.pos, part.quat
        drawn = part.visible and (part.shape != "convex" or meshes)
        geom.rgba = part.rgba if drawn else (*part.rgba[:3], 0.0)
        if part.shape == "convex" and meshes:
            _add_mesh(spec, geom, part, index)
        geom.friction = (thing.friction, options.torsional_friction, 1e-4)


def _add_mesh(spec: mujoco.MjSpec, geom: mujoco.MjsGeom, part: Part, index: int) -> None:
    """Gives the geom the hull of a convex part."""
    try:
        hull = ConvexHull(np.array(part.vertices))
    except QhullError:
        raise ValueError(
            f"part {index}: the {len(part.vertices)} vertices of a convex part lie in one plane"
        ) from None
    # Every face as seen from outside: counterclockwise around its normal.
    points = hull.points
    faces = hull.simplices.copy()
    a, b, c = (points[faces[:, i]] for i in range(3))
    inwards = (np.cross(b - a, c - a) * hull.equations[:, :3]).sum(1) < 0.0
    faces[inwards] = faces[inwards][:, ::-1]
    mesh = spec.add_mesh(name=f"{geom.name}_mesh")
    mesh.uservert, mesh.userface = points.ravel(), faces.ravel()
    geom.type, geom.meshname, geom.size = mujoco.mjtGeom.mjGEOM_MESH, mesh.name, (0.0, 0.0, 0.0)


def _add_sensors(spec: mujoco.MjSpec, *, with_robot: bool) -> None:
    """Contact truth: each sensor reads 1 where its two sides touch, else 0."""
    kind = mujoco.mjtObj
    pairs = [
        ("target_receptacle", kind.mjOBJ_BODY, "object1"),
        ("target_table", kind.mjOBJ_GEOM, "table"),
    ]
    if with_robot:
        pairs += [
            ("target_robot", kind.mjOBJ_XBODY, "robot_base"),  # XBODY: the whole subtree
            ("target_fingers_left", kind.mjOBJ_BODY, "left_finger"),
            ("target_fingers_right", kind.mjOBJ_BODY, "right_finger"),
        ]
    for name, other_kind, other in pairs:
        spec.add_sensor(
            name=name,
            type=mujoco.mjtSensor.mjSENS_CONTACT,
            objtype=kind.mjOBJ_BODY,
            objname="object0",
            reftype=other_kind,
            refname=other,
            intprm=[1 << int(mujoco.mjtConDataField.mjCONDATA_FOUND), 0, 1],
        )
