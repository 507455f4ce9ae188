"""The physical and visible body of an import: parts, mass, grip, and what it can hold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from generation.assets.importing import nouns, split
from generation.assets.importing.appearance import Samples, exposed
from generation.assets.importing.asset import Array, AssetError, Faces
from generation.assets.importing.clean import Surface
from generation.assets.importing.collide import Body, collision_body, container_cells, is_convex
from generation.assets.importing.fit import MAX_COLLIDING
from generation.assets.importing.grasp import Grasp, find_grasp
from generation.assets.importing.hold import Surface2D, flat_top, height_map, hollow, without_gaps
from generation.assets.importing.nouns import Prior
from generation.assets.importing.primitives import covers
from generation.assets.importing.settle import grounded, settled
from generation.assets.importing.solid import Solid, fill
from generation.assets.importing.visible import MAX_VISIBLE, by_colour, owners, visible_parts
from generation.assets.mass import MassProperties, mass_properties
from generation.assets.parts import Draft, box, corners, rounded
from generation.spec import Part

# Steady: moved by less and tilted by less after 1.5 s on a table.
_STEADY = (0.01, math.radians(5.0))
_FAR = 0.03  # mean distance of the fit from the surface that is worth a warning, of the size
_DENSITY = (1.0, 20000.0)  # kg/m^3, what an `ObjectSpec` may have
_SEARCH_CELLS = 40  # grid on which cuts are searched; hulls come from the surface itself
_VISIBLE_SHAPES = 12  # cells by shape alone; the rest of the budget is for colours
_FOOT = 0.0015  # m, half height of the foot under what would roll


@dataclass(frozen=True)
class Hints:
    """What is known of a thing beside its mesh; None or "" is unknown.

    `rolls` lets it touch the table with spheres and capsules.
    """

    noun: str
    prior: Prior
    material: str
    mass: float | None
    friction: float | None
    rolls: bool = False


@dataclass(frozen=True)
class Built:
    """A body, what it is good for, and the figures of the report."""

    draft: Draft
    graspable: bool
    receptacle: tuple[Literal["on", "in"], ...]
    hulls: tuple[Array, ...]
    tags: tuple[str, ...]
    grasp_note: str
    hold_note: str
    numbers: dict[str, Any]
    warnings: tuple[str, ...]


def build_body(
    solid: Solid,
    surface: Surface,
    samples: Samples,
    collision: Sequence[Array],
    hints: Hints,
) -> Built:
    """Everything that follows from a solid in its body frame.

    Raises:
        AssetError: the body does not rest in this pose, or breaks a limit of the scene format.
    """
    vertices, faces = surface.vertices, surface.faces
    used = vertices[np.unique(faces)]
    warnings: list[str] = []
    samples = exposed(samples, solid)
    convex = is_convex(solid, used)
    basin = None if convex else _basin(solid, solid.cells)
    balls = hints.rolls
    cells = [split.whole(solid)]
    if not convex:
        coarse = fill(surface, np.array([0.0, 0.0, 1.0]), _SEARCH_CELLS)
        cells = split.refined(split.decompose(coarse, _VISIBLE_SHAPES), solid)
    fitted = collision_body(
        solid,
        vertices,
        faces,
        cells=cells,
        basin=basin,
        given=collision,
        samples=samples.points,
        balls=balls,
    )
    substance = nouns.MATERIALS[hints.material or hints.prior.material]
    mass = hints.mass or _mass(solid, vertices, faces, substance)
    friction = hints.friction or substance.friction
    parts, density = _steady(fitted, solid, mass, friction, warnings)
    if basin is not None:
        walls = split.decompose(solid, _VISIBLE_SHAPES, start=_walls(solid, basin))
        if split.excess(walls, solid.pitch) < split.excess(cells, solid.pitch):
            cells = walls
    hulls = tuple(split.hull_points(cell, vertices, faces, solid) for cell in cells)
    shown = by_colour(cells, samples, solid, MAX_VISIBLE)
    seen = visible_parts(shown, samples, vertices, faces, solid)
    properties = mass_properties(parts, density)
    grip, grasp_note = find_grasp(fitted.primitives, properties.com, mass)
    place, holds, hold_note = _place(fitted, solid)
    points = np.concatenate([corners(part) for part in parts] + [used])
    height, radius = float(points[:, 2].max()), float(np.linalg.norm(used[:, :2], axis=1).max())
    if height > 1.0 or radius > 1.0:
        raise AssetError(f"{height:.2f} m high, {radius:.2f} m in radius: the limit is 1 m")
    material = hints.material or hints.prior.material
    draft = Draft(
        parts=(*parts, *seen),
        density=density,
        friction=round(friction, 3),
        grasp=_grasp_tuple(grip, height),
        place=_place_tuple(place, height),
        height=round(height, 6),
        radius=round(radius, 6),
        material="" if material in nouns.CONTENTS else material,
    )
    size = float(np.ptp(used, axis=0).max())
    if fitted.distance > _FAR * size:
        warnings.append(
            f"its colliding parts differ by {fitted.error:.0%} of its volume, "
            f"{fitted.distance * 1e3:.1f} mm on average: too thin or too branched for "
            f"{MAX_COLLIDING} parts"
        )
    true = _scaled(solid.properties, mass)
    numbers = {
        "mass_kg": round(float(properties.mass), 4),
        "hulls": len(hulls),
        "hull_vertices": int(sum(len(hull) for hull in hulls)),
        "colliding_parts": len(parts),
        "visible_parts": len(seen),
        "fit": fitted.way,
        "fit_volume_error": round(fitted.error, 4),
        "fit_distance_mm": round(fitted.distance * 1e3, 3),
        "inertia_error": round(_inertia_error(properties, true), 4),
        "com_error_mm": round(float(np.linalg.norm(properties.com - true.com)) * 1e3, 3),
        "colour_error": round(_colour_error(shown, samples), 4),
        "height_mm": round(height * 1e3, 2),
        "extent_mm": [round(float(v) * 1e3, 2) for v in np.ptp(used, axis=0)],
    }
    return Built(
        draft, grip is not None, holds, hulls, _tags(holds, place, mass, balls, fitted, height),
        grasp_note, hold_note, numbers, tuple(warnings),
    )  # fmt: skip


def _basin(solid: Solid, cells: np.ndarray) -> Surface2D | None:
    top = without_gaps(height_map(cells, float(solid.origin[2]), solid.pitch), solid.pitch)
    return hollow(top, (float(solid.origin[0]), float(solid.origin[1])), solid.pitch)


def _walls(solid: Solid, basin: Surface2D) -> list[split.Cell]:
    groups = container_cells(solid, basin, 0.0, 8)
    return [cell for group in groups for cell in group]


def _mass(solid: Solid, vertices: Array, faces: Faces, substance: nouns.Material) -> float:
    """Mass in kg of the solid, or of its walls if it is a hollow thing modelled as solid."""
    volume = solid.properties.volume
    if substance.wall:
        a, b, c = (vertices[faces[:, k]] for k in range(3))
        area = float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)
        volume = min(volume, area * substance.wall)
    return max(substance.density * volume, 1e-3)


def _steady(
    fitted: Body, solid: Solid, mass: float, friction: float, warnings: list[str]
) -> tuple[list[Part], float]:
    """Hidden colliding parts that rest on a table as they are, and their density.

    What would roll or tip gets a thin foot as wide as its footprint near the table: real things
    have flat spots and soft undersides that primitives lack.

    Raises:
        AssetError: even so it does not rest.
    """
    drawn = [one.part(None, collide=True) for one in fitted.primitives]
    com = solid.properties.com
    parts = grounded(drawn, com)
    density = _density(parts, mass)
    moved, turned = settled(parts, density, friction)
    if moved <= _STEADY[0] and turned <= _STEADY[1]:
        return parts, density
    foot = _foot(solid)
    kept = sorted(drawn, key=lambda p: -_size(p))[: MAX_COLLIDING - 1]
    parts = grounded([foot, *kept], com)
    density = _density(parts, mass)
    again, tilted = settled(parts, density, friction)
    if again > _STEADY[0] or tilted > _STEADY[1]:
        raise AssetError(
            f"does not rest: tilts by {math.degrees(min(turned, tilted)):.0f}° on a table"
        )
    warnings.append(
        f"its parts would tilt by {math.degrees(turned):.0f}° or slide "
        f"{moved * 1e3:.0f} mm: given a foot"
    )
    return parts, density


def _size(part: Part) -> float:
    return float(np.prod(np.ptp(corners(part), axis=0)))


def _foot(solid: Solid) -> Part:
    """A plate under the lowest tenth of the solid that reaches below its centre of mass."""
    points = solid.points()
    height = float(np.ptp(points[:, 2]))
    low = points[points[:, 2] < points[:, 2].min() + 0.1 * height]
    com = solid.properties.com[:2]
    middle = (low[:, :2].min(axis=0) + low[:, :2].max(axis=0)) / 2
    half = np.ptp(low[:, :2], axis=0) / 2
    # The centre of mass well inside: half of the way to the edge at most.
    half = np.maximum(half, 2 * np.abs(com - middle))
    half = np.maximum(half, 0.15 * float(np.ptp(points[:, :2], axis=0).min()))
    return box((float(half[0]), float(half[1]), _FOOT), (middle[0], middle[1], _FOOT), None)


def _density(parts: Sequence[Part], mass: float) -> float:
    volume = mass_properties(parts, 1.0).volume
    density = mass / volume
    if not _DENSITY[0] <= density <= _DENSITY[1]:
        raise AssetError(
            f"a mass of {mass:.3g} kg in {volume * 1e6:.3g} cm3 is a density of {density:.3g} "
            "kg/m3: check size and mass"
        )
    return round(density, 3)


def _scaled(properties: MassProperties, mass: float) -> MassProperties:
    factor = mass / properties.mass
    return MassProperties(properties.volume, mass, properties.com, properties.inertia * factor)


def _inertia_error(found: MassProperties, true: MassProperties) -> float:
    """Largest difference of the inertia's entries, relative to the largest true moment."""
    largest = float(np.linalg.eigvalsh(true.inertia).max())
    return float(np.abs(found.inertia - true.inertia).max()) / max(largest, 1e-15)


def _colour_error(cells: list[split.Cell], samples: Samples) -> float:
    """Mean sRGB distance between the surface and the single colour of the part over it."""
    owner = owners(cells, samples.points)
    total = 0.0
    for k in np.unique(owner):
        own = samples.rgb[owner == k]
        total += float(np.linalg.norm(own - own.mean(axis=0), axis=1).sum())
    return total / len(samples.rgb)


def _place(
    fitted: Body, solid: Solid
) -> tuple[Surface2D | None, tuple[Literal["on", "in"], ...], str]:
    """Where things can be put, as the colliding parts have it, which goals that serves, and why."""
    grid = covers(fitted.primitives, solid.grid()).reshape(solid.cells.shape)
    inside = _basin(solid, grid)
    if inside is not None:
        return inside, ("in",), f"hollow {inside.depth * 1e3:.0f} mm deep, {_across(inside)}"
    top = height_map(grid, float(solid.origin[2]), solid.pitch)
    flat = flat_top(top, (float(solid.origin[0]), float(solid.origin[1])), solid.pitch)
    if flat is None:
        return None, (), "neither a hollow nor a flat top"
    height = float(top[np.isfinite(top)].max())
    # A low wide thing is a surface to put things on; a tall one can be stacked upon.
    wide = flat.radius > 0.03 and height < 2 * flat.radius
    return flat, ("on",) if wide else (), f"flat top, {_across(flat)}"


def _across(place: Surface2D) -> str:
    return f"{2e3 * place.radius:.0f} mm across"


def _grasp_tuple(grip: Grasp | None, height: float) -> tuple[float, float, float, float, float]:
    if grip is None:
        return rounded((0.0, 0.0, height, math.pi / 2, 0.0))  # type: ignore[return-value]
    return rounded((grip.x, grip.y, grip.z, grip.yaw, grip.width))  # type: ignore[return-value]


def _place_tuple(place: Surface2D | None, height: float) -> tuple[float, float, float, float]:
    if place is None:
        return rounded((0.0, 0.0, height, 0.0))  # type: ignore[return-value]  # four values
    return rounded((place.x, place.y, place.z, place.radius))  # type: ignore[return-value]  # four


def _tags(
    holds: tuple[str, ...],
    place: Surface2D | None,
    mass: float,
    balls: bool,
    fitted: Body,
    height: float,
) -> tuple[str, ...]:
    tags = ["imported"]
    if "in" in holds:
        tags.append("container")
    elif place is not None:
        tags += ["flat", *(["surface"] if holds else [])]
    if mass > 0.4:
        tags.append("heavy")
    if balls and all(one.shape != "box" for one in fitted.primitives):
        tags.append("rolling")
    if height < 0.02:
        tags.append("low")
    return tuple(tags)
