"""What is wrong with imported assets: each is dropped, gripped, weighed and compared with its mesh.

An asset is tried alone on the table, in a scene of its own, by the same simulation and the same
stand-in gripper as scenes are.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

from generation.assets.mass import contains, extents, mass_properties, quat_to_matrix
from generation.assets.parts import corners
from generation.measures.probe import Probe
from generation.placing.settling import MOVED, TURNED, simulate
from generation.spec import (
    TABLE,
    Background,
    Edge,
    Look,
    Node,
    ObjectSpec,
    Part,
    SceneGraph,
    SceneSpec,
    TaskSpec,
)

if TYPE_CHECKING:
    from generation.assets.importing.asset import ImportedAsset

Array = NDArray[np.float64]

_DROP = 0.02  # m
_SECONDS = 3.0
_MASS = (0.003, 5.0)  # kg, of things on a table
_DENSITY = (20.0, 12000.0)  # kg/m^3, of the solid: from foam to lead
_GYRATION = (0.3, 1.3)  # of the radius of gyration of the box around it
_FIT = 0.35  # of the volume in which mesh and collision parts may differ
_GRID = 24  # sample points per axis
_STAND = "test plinth"  # scenes need a second object: this one is far away
STAGE = (0.5, -0.25, 0.0)  # m, where assets are tried: away from the robot


@dataclass(frozen=True)
class AssetVerdict:
    """One asset's test results.

    Attributes:
        asset, noun, licence, training: which it is and what may be done with it.
        mass: kg.
        stable: dropped from 2 cm it comes to rest upright where it fell.
        graspable: the open gripper fits around it; None if the asset does not claim so.
        plausible: mass, density and inertia are those of a real thing of this size.
        fit_error: volume in which its collision parts differ from its hulls, as a fraction of
            their union; None where the hulls have no volume.
        problems: one line each.
        faults: the same in a word each.
    """

    asset: str
    noun: str
    licence: str
    training: str
    mass: float
    stable: bool
    graspable: bool | None
    plausible: bool
    fit_error: float | None
    problems: tuple[str, ...]
    faults: tuple[str, ...]


def inspect_asset(asset: ImportedAsset) -> AssetVerdict:
    """Tests one asset; see `AssetVerdict`."""
    scene = stage_scene(asset)
    thing = scene.objects[0]
    dropped = _dropped(scene)
    grip = list(Probe(scene).grip()) if asset.graspable else []
    weight = _weighed(thing)
    error = fit_error(asset)
    shape = [] if error is None or error <= _FIT else [
        f"its collision parts differ from the mesh in {100 * error:.0f} % of the volume"
    ]  # fmt: skip
    found = {"falls over": dropped, "no grip": grip, "mass": weight, "rough fit": shape}
    return AssetVerdict(
        asset=asset.id,
        noun=asset.noun,
        licence=asset.provenance.licence,
        training=asset.provenance.training,
        mass=mass_properties(thing.parts, thing.density).mass,
        stable=not dropped,
        graspable=not grip if asset.graspable else None,
        plausible=not weight,
        fit_error=error,
        problems=tuple(problem for problems in found.values() for problem in problems),
        faults=tuple(word for word, problems in found.items() if problems),
    )


def summarise_assets(
    assets: Sequence[ImportedAsset], verdicts: Sequence[AssetVerdict], damaged: Sequence[str] = ()
) -> dict[str, Any]:
    """Report of assets that were inspected one by one.

    Args:
        assets, verdicts: one of each per asset.
        damaged: what could not even be read, a line each.

    Returns:
        assets; stable_, graspable_ (of those that claim to be; None if none does) and
        plausible_mass_fraction; mean_fit_error; licences (objects by licence, assets that forbid
        training); per_asset; problems.
    """
    count = len(assets) or 1
    claimed = [v.graspable for v in verdicts if v.graspable is not None]
    errors = [v.fit_error for v in verdicts if v.fit_error is not None]
    rows = [
        {"asset": v.asset, "noun": v.noun, "licence": v.licence, "source": a.provenance.source,
         "scenes": 0, "training": v.training}
        for a, v in zip(assets, verdicts, strict=True)
    ]  # fmt: skip
    kept = ("asset", "noun", "licence", "source", "scenes")
    return {
        "assets": len(assets),
        "damaged": len(damaged),
        "stable_fraction": sum(v.stable for v in verdicts) / count,
        "graspable_fraction": sum(claimed) / len(claimed) if claimed else None,
        "plausible_mass_fraction": sum(v.plausible for v in verdicts) / count,
        "mean_fit_error": round(float(np.mean(errors)), 4) if errors else None,
        "licences": {
            "objects": dict(sorted(Counter(v.licence for v in verdicts).items())),
            **{
                f"training_{kind}": [
                    {name: row[name] for name in kept} for row in rows if row["training"] == kind
                ]
                for kind in ("forbidden", "unknown")
            },
        },
        "per_asset": {
            v.asset: {
                "noun": v.noun,
                "mass_kg": round(v.mass, 4),
                "stable": v.stable,
                "graspable": v.graspable,
                "plausible": v.plausible,
                "fit_error": None if v.fit_error is None else round(v.fit_error, 4),
            }
            for v in verdicts
        },
        "problems": [
            *(f"asset {v.asset} ({v.noun}): {problem}" for v in verdicts for problem in v.problems),
            *damaged,
        ],
    }


def stage_scene(asset: ImportedAsset) -> SceneSpec:
    """A scene with the asset alone at `STAGE`, which is out of the robot's way."""
    draft = asset.draft
    thing = ObjectSpec(
        name="asset", family="asset", noun=asset.noun, colour=asset.colour, role="target",
        pos=STAGE, parts=draft.parts, density=draft.density, friction=draft.friction,
        grasp=draft.grasp, place=draft.place, height=draft.height, radius=draft.radius,
        material=draft.material, provenance=asset.provenance,
    )  # fmt: skip
    block = Part(shape="box", size=(0.03, 0.03, 0.01), pos=(0.0, 0.0, 0.01))
    stand = ObjectSpec(
        name="stand", family="stand", noun=_STAND, role="receptacle", parts=(block,),
        pos=(0.85, 0.55, 0.0), density=500.0, friction=0.8,
        grasp=(0.0, 0.0, 0.01, 0.0, 0.06), place=(0.0, 0.0, 0.02, 0.03), height=0.02, radius=0.043,
    )  # fmt: skip
    nodes = tuple(
        Node(name=o.name, noun=o.noun, role=o.role, family=o.family) for o in (thing, stand)
    )
    words = f"put the {asset.noun} on the {_STAND}"
    task = TaskSpec(
        relation="on", target="asset", receptacle="stand", instruction=words, paraphrases=(words,)
    )
    return SceneSpec(
        graph=SceneGraph(
            nodes=nodes,
            relations=tuple(Edge(subject=n.name, relation="on", object=TABLE) for n in nodes),
            goal=Edge(subject="asset", relation="on", object="stand"),
        ),
        objects=(thing, stand),
        task=task,
        table=Look(rgba=(0.78, 0.76, 0.72, 1.0)),
        background=Background(),
        seed=0,
    )


def _dropped(scene: SceneSpec) -> list[str]:
    motion = simulate(scene, _SECONDS, lift=_DROP)
    moved = float(np.linalg.norm(motion.pos[0] - np.array(scene.objects[0].pos)))
    # Negated, so that a NaN counts as a problem.
    if moved < MOVED and motion.turned[0] < TURNED:
        return []
    return [
        f"dropped from {_DROP * 100:.0f} cm it moves {moved * 100:.1f} cm and turns "
        f"{math.degrees(motion.turned[0]):.0f} degrees"
    ]


def _weighed(thing: ObjectSpec) -> list[str]:
    """What is odd about mass and inertia."""
    found = mass_properties(thing.parts, thing.density)
    problems = []
    if not _MASS[0] <= found.mass <= _MASS[1]:
        problems.append(
            f"it weighs {found.mass:.3g} kg; things on a table {_MASS[0]} to {_MASS[1]}"
        )
    if not _DENSITY[0] <= thing.density <= _DENSITY[1]:
        problems.append(f"its density is {thing.density:.0f} kg/m^3")
    points = np.concatenate([corners(part) for part in thing.parts if part.collide])
    box = np.ptp(points, axis=0)
    gyration = math.sqrt(float(np.trace(found.inertia)) / 2.0 / found.mass)
    expected = math.sqrt(float((box**2).sum()) / 12.0)
    if not _GYRATION[0] <= gyration / expected <= _GYRATION[1]:
        problems.append(
            f"its inertia is that of a thing of {gyration / expected:.1f} times its size"
        )
    inside = (found.com >= points.min(axis=0)) & (found.com <= points.max(axis=0))
    if not inside.all():
        problems.append(f"its centre of mass {found.com.round(3).tolist()} lies outside it")
    return problems


def fit_error(asset: ImportedAsset) -> float | None:
    """Volume in which collision parts and hulls differ, as a fraction of their union."""
    solid = [part for part in asset.draft.parts if part.collide]
    hulls = [hull for hull in (_planes(points) for points in asset.hulls) if hull is not None]
    if not hulls:
        return None
    ends = np.concatenate([*asset.hulls, *(corners(part) for part in solid)])
    low, high = ends.min(axis=0), ends.max(axis=0)
    axes = [np.linspace(a, b, _GRID + 1)[:-1] + (b - a) / (2 * _GRID)
            for a, b in zip(low, high, strict=True)]  # fmt: skip
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    mesh = np.stack([_within(planes, grid) for planes in hulls]).any(axis=0)
    parts = np.stack([_inside(part, grid) for part in solid]).any(axis=0)
    union = np.count_nonzero(mesh | parts)
    return np.count_nonzero(mesh != parts) / union if union else None


def _inside(part: Part, points: Array) -> NDArray[np.bool_]:
    if part.shape != "convex":
        return contains(part, points)
    planes = _planes(np.array(part.vertices))
    local = (points - np.array(part.pos)) @ quat_to_matrix(part.quat)
    if planes is None:
        return np.all(np.abs(local) <= extents(part), axis=1)
    return _within(planes, local)


def _within(planes: Array, points: Array) -> NDArray[np.bool_]:
    return np.all(points @ planes[:, :3].T + planes[:, 3] <= 0.0, axis=1)


def _planes(points: Array) -> Array | None:
    """Outward planes [F, 4] of a convex hull, None if it is flat."""
    try:
        return ConvexHull(points).equations
    except QhullError:
        return None
