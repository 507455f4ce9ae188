"""Facts about a batch's objects, and what of them moves together when a reset rearranges them.

What stands on or in something moves and turns with it, and things that the scene says stand "left
of" or "next to" each other move side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from generation.placing.footprint import Footprint
from generation.spec import SUPPORTS, TABLE, SceneSpec
from sim.goals import RELATIONS

# Room between the circles of things that turn on the spot beside each other, m.
_CLEARANCE = 0.015


def object_facts(scenes: Sequence[SceneSpec], slots: int) -> dict[str, jax.Array]:
    """`SceneBatch`'s goal and `object_*` arrays, zero for slots that a scene does not use."""
    shape = (len(scenes), slots)
    grasp, place, bounds = (np.zeros((*shape, size)) for size in (5, 4, 6))
    radius, height, active = np.zeros(shape), np.zeros(shape), np.zeros(shape, bool)
    for s, scene in enumerate(scenes):
        for k, thing in enumerate(scene.objects):
            grasp[s, k], place[s, k] = thing.grasp, thing.place
            radius[s, k], height[s, k], active[s, k] = thing.radius, thing.height, True
            outline = Footprint.of(thing)
            bounds[s, k] = (*outline.low, 0.0, *outline.high, thing.height)
    groups = [groups_of(scene, slots) for scene in scenes]
    numbers = {
        "object_grasp": grasp,
        "object_place": place,
        "object_bounds": bounds,
        "object_radius": radius,
        "object_height": height,
    }
    facts = {name: jnp.asarray(values.astype(np.float32)) for name, values in numbers.items()}
    return facts | {
        "object_active": jnp.asarray(active),
        "object_carrier": jnp.asarray(np.stack([g.carrier for g in groups])),
        "object_leader": jnp.asarray(np.stack([g.leader for g in groups])),
        "object_turns": jnp.asarray(np.stack([g.turns for g in groups])),
        "goal": jnp.asarray([RELATIONS.index(s.graph.goal.relation) for s in scenes], jnp.int32),
    }


class Groups(NamedTuple):
    """For every slot of a scene, K of them.

    Attributes:
        carrier: i32[K] slot of what stands on the table below the object, its own if nothing does.
        leader: i32[K] slot whose shift on the table the object takes, its own if it goes alone.
        turns: bool[K] whether the object, with all it carries, may turn on the spot.
    """

    carrier: np.ndarray
    leader: np.ndarray
    turns: np.ndarray


def groups_of(scene: SceneSpec, slots: int) -> Groups:
    """What the relations at the start tie together, for a template of so many slots."""
    index = {thing.name: k for k, thing in enumerate(scene.objects)}
    below = {
        index[e.subject]: index[e.object]
        for e in scene.graph.relations
        if e.relation in SUPPORTS and e.object != TABLE and {e.subject, e.object} <= set(index)
    }
    carrier = np.arange(slots, dtype=np.int32)
    for k in below:
        while carrier[k] in below:
            carrier[k] = below[int(carrier[k])]
    leader, turns = carrier.copy(), np.ones(slots, bool)
    for edge in scene.graph.relations:
        if edge.relation in SUPPORTS or not {edge.subject, edge.object} <= set(index):
            continue
        a, b = (carrier[index[name]] for name in (edge.subject, edge.object))
        leader[leader == leader[a]] = leader[b]
        # Turning changes the gap of things that are next to each other, and where the carried are.
        lone = a == index[edge.subject] and b == index[edge.object]
        if edge.relation == "next to" or not lone:
            turns[[a, b]] = False
    _keep_apart(scene, carrier, leader, turns)
    return Groups(carrier, leader, turns)


def _keep_apart(
    scene: SceneSpec, carrier: np.ndarray, leader: np.ndarray, turns: np.ndarray
) -> None:
    """Things that move side by side too close to turn do not."""
    at = np.array([thing.pos[:2] for thing in scene.objects])
    radius = np.array([thing.radius for thing in scene.objects])
    count = len(at)
    own = carrier[:count]
    spread = np.linalg.norm(at - at[own], axis=1) + radius
    wide = np.array([spread[own == k].max(initial=0.0) for k in range(count)])
    for a in range(count):
        for b in range(a):
            together = own[a] == a and own[b] == b and leader[a] == leader[b]
            if together and np.linalg.norm(at[a] - at[b]) < wide[a] + wide[b] + _CLEARANCE:
                turns[[a, b]] = False
