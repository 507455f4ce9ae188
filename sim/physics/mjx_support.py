"""What MJX cannot collide is refused by name, before anything is compiled."""

from __future__ import annotations

import re
from collections.abc import Sequence

import mujoco

from generation.compile import SlotTemplate, geom_parts
from generation.spec import SceneSpec
from sim.physics.import_mjx import collision_pairs, has_collider

_OBJECT_GEOM = re.compile(r"object(\d+)_geom(\d+)")


def check_collidable(
    model: mujoco.MjModel, scenes: Sequence[SceneSpec], template: SlotTemplate
) -> None:
    """Checks MJX's own table of collision functions for every pair of geoms that may meet.

    Args:
      model: any of the scenes, compiled to the template.
      scenes: to say where the shapes come from.
      template: geoms of every slot.

    Raises:
      ValueError: names the scene, the objects, their parts and shapes, and what to do.
    """
    for first, second, _ in collision_pairs(model):
        kinds = tuple(mujoco.mjtGeom(int(model.geom_type[geom])) for geom in (first, second))
        if has_collider(*kinds):  # pyright: ignore[reportArgumentType]
            continue
        shapes = [kind.name.removeprefix("mjGEOM_").lower() for kind in kinds]
        names = [model.geom(int(geom)).name for geom in (first, second)]
        # The template may pair parts that no single scene has; then two scenes share the blame.
        owners = [_owners(name, scenes, template) for name in names]
        common = [scene for scene in owners[0] if scene in owners[1]]
        where = [common[0], common[0]] if common else [next(iter(owner)) for owner in owners]
        things = [
            f"{owner[scene]} ({shape}) of scene {scene}"
            for owner, scene, shape in zip(owners, where, shapes, strict=True)
        ]
        raise ValueError(
            f"MJX cannot collide a {shapes[0]} with a {shapes[1]}: {things[0]} may meet "
            f'{things[1]}. Use backend="native", or build these parts from boxes, spheres and '
            "capsules"
        )


def _owners(geom: str, scenes: Sequence[SceneSpec], template: SlotTemplate) -> dict[str, str]:
    """What the geom is, by id of every scene that has it."""
    match = _OBJECT_GEOM.fullmatch(geom)
    if match is None:
        return {scene.id: f"geom {geom!r}" for scene in scenes}
    slot, column = int(match[1]), int(match[2])
    owners = {}
    for scene in scenes:
        if slot < len(scene.objects):
            thing = scene.objects[slot]
            part = geom_parts(thing.parts, template.slots[slot])[column]
            if part is not None:
                owners[scene.id] = f"part {part} of object {thing.name!r}"
    return owners
