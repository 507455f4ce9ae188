"""From an EmbodiedGen task folder, whose assets are in a library already, to a scene of ours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from generation import layout as arranging
from generation.assets.colours import confusable
from generation.assets.formats import embodiedgen
from generation.assets.formats.embodiedgen import Goal, Layout
from generation.assets.importing.asset import AssetError, ImportedAsset
from generation.assets.parts import rounded, yaw_quat
from generation.assets.store import AssetLibrary
from generation.assets.stored import family_name
from generation.background import background, table_look
from generation.layout import WORKSPACES, LayoutError
from generation.placing.access import obstacles
from generation.placing.footprint import gap, standing
from generation.rooms import read_picture
from generation.spec import (
    SUPPORTS,
    Background,
    Edge,
    Node,
    ObjectSpec,
    Role,
    SceneGraph,
    SceneSpec,
    TaskSpec,
    mentions,
)

_ROUNDS = 6  # layouts drawn before a scene is given up
_APART = 0.01  # m between objects whose poses are taken over
_MAX_OBJECTS = 16
_VERBS = ("put", "place", "move", "set")
_MOTIONS = {"on": "onto", "in": "into"}  # what "move" goes with


def import_task(
    folder: str | Path,
    *,
    library: str,
    assets: Mapping[str, str],
    missing: Mapping[str, str] | None = None,
    seed: int = 0,
) -> tuple[SceneSpec, tuple[str, ...]]:
    """The scene of a task folder, in our conventions, and notes on what was changed.

    The objects keep their arrangement if the robot reaches it, as it is or moved as a whole; else
    they are laid out anew. All come to rest before the scene is returned.

    Args:
        folder: with layout.json.
        library: folder of the asset library that holds the assets.
        assets: node of the layout -> id of its asset.
        missing: node -> why it has none. Without a task object there is no scene; distractors are
            left out with a note.
        seed: of a new layout and of the table's look.

    Raises:
        AssetError: no scene can be made of it; says why.
    """
    folder, missing = Path(folder), dict(missing or {})
    layout = embodiedgen.read_layout(folder)
    shelf = AssetLibrary(library)
    things = {node: shelf.get(assets[node]) for node in layout.nodes if node in assets}
    wanted = embodiedgen.goal(layout, {node: thing.receptacle for node, thing in things.items()})
    _check_goal(wanted, things, missing)
    notes = [f"{node!r} left out: {missing[node]}" for node in layout.nodes if node in missing]
    nodes = (wanted.target, wanted.receptacle)
    nodes += tuple(n for n in layout.nodes if n in things and n not in nodes)
    if len(nodes) > _MAX_OBJECTS:
        notes.append(f"{len(nodes) - _MAX_OBJECTS} distractors left out: too many objects")
        nodes = nodes[:_MAX_OBJECTS]
    colours, untrue = _colours(nodes, things, notes)
    graph = _graph(layout, nodes, things, wanted, colours, notes)
    objects = [_object(node, things[name]) for node, name in zip(graph.nodes, nodes, strict=True)]
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    painted = [next(part.rgba for part in thing.parts if part.visible) for thing in objects]
    parts = {
        "graph": graph,
        "task": _task(graph, embodiedgen.sentence(layout), untrue),
        "table": table_look(rng, painted),
        "background": _background(folder, layout, rng, notes),
        "seed": seed,
    }
    poses = [embodiedgen.seen_from_robot(layout, node) for node in nodes]
    try:
        return _arranged(parts, objects, poses, rng, notes), tuple(notes)
    except ValueError as error:  # what SceneSpec, place or settle refuse
        raise AssetError(f"no scene can be made of it: {_first_line(error)}") from None


def _check_goal(
    wanted: Goal, things: Mapping[str, ImportedAsset], missing: Mapping[str, str]
) -> None:
    for node in (wanted.target, wanted.receptacle):
        if node not in things:
            why = missing.get(node, "it has no asset")
            raise AssetError(f"the task is about {node!r}, which is missing: {why}")
    if not things[wanted.target].graspable:
        raise AssetError(f"the gripper cannot lift the target {wanted.target!r}")
    able = things[wanted.receptacle].receptacle
    if wanted.relation in SUPPORTS and wanted.relation not in able:
        what = f"things can only be put {' and '.join(able)} it" if able else "it holds nothing"
        raise AssetError(
            f"the task puts {wanted.target!r} {wanted.relation} {wanted.receptacle!r}, but {what}"
        )


def _colours(
    nodes: Sequence[str], things: Mapping[str, ImportedAsset], notes: list[str]
) -> tuple[dict[str, str], set[str]]:
    """Colour word of each node, and the words in the layout's names that its assets belie."""
    colours, untrue = {}, set()
    for node in nodes:
        named, seen = embodiedgen.describe(node)[1], things[node].colour
        if named and seen and named != seen and not confusable(named, seen):
            notes.append(f"{node!r} is {seen} rather than {named}")
            untrue.add(named)
            named = seen
        colours[node] = named or seen
    return colours, untrue


def _graph(
    layout: Layout,
    nodes: Sequence[str],
    things: Mapping[str, ImportedAsset],
    wanted: Goal,
    colours: Mapping[str, str],
    notes: list[str],
) -> SceneGraph:
    names, made = {}, []
    for number, node in enumerate(nodes):
        role: Role = "distractor" if number > 1 else ("target", "receptacle")[number]
        noun, _ = embodiedgen.describe(node)
        names[node] = f"{noun.replace(' ', '_')[:48]}_{number}"
        made.append(
            Node(
                name=names[node],
                noun=noun,
                colour=colours[node],
                role=role,
                family=family_name(noun),
            )
        )
    edges = []
    for child, (relation, parent) in sorted(embodiedgen.carried(layout).items()):
        if child not in names or parent not in names:
            continue
        if (child, relation, parent) == (wanted.target, wanted.relation, wanted.receptacle):
            notes.append(f"{child!r} is {relation} {parent!r} already: it starts on the table")
        elif relation in things[parent].receptacle:
            edges.append(Edge(subject=names[child], relation=relation, object=names[parent]))
        else:
            notes.append(f"{child!r} starts on the table: {parent!r} holds nothing {relation} it")
    goal = Edge(
        subject=names[wanted.target], relation=wanted.relation, object=names[wanted.receptacle]
    )
    try:
        return SceneGraph(nodes=tuple(made), relations=tuple(edges), goal=goal)
    except ValueError as error:
        raise AssetError(f"no scene can be made of it: {_first_line(error)}") from None


def _object(node: Node, asset: ImportedAsset) -> ObjectSpec:
    draft = asset.draft
    return ObjectSpec(
        name=node.name,
        family=node.family,
        noun=node.noun,
        colour=node.colour,
        material=draft.material,
        role=node.role,
        parts=draft.parts,
        density=draft.density,
        friction=draft.friction,
        grasp=draft.grasp,
        place=draft.place,
        height=draft.height,
        radius=draft.radius,
        provenance=draft.provenance,
    )


def _task(graph: SceneGraph, said: str, untrue: set[str]) -> TaskSpec:
    """Wordings of the goal, the layout's own sentence first unless it has `untrue` words."""
    target, receptacle = graph.nodes[:2]
    first, second = (_phrase(node, graph) for node in (target, receptacle))
    relation = graph.goal.relation
    wordings = [f"{verb} {first} {relation} {second}" for verb in _VERBS]
    if relation in _MOTIONS:
        wordings[2] = f"move {first} {_MOTIONS[relation]} {second}"
    named = all(mentions(said, node.noun) for node in (target, receptacle))
    if named and len(said) <= 120 and not untrue & set(said.split()):
        wordings.insert(0, said)
    return TaskSpec(
        relation=graph.goal.relation,
        target=target.name,
        receptacle=receptacle.name,
        instruction=wordings[0],
        paraphrases=tuple(wordings),
    )


def _phrase(node: Node, graph: SceneGraph) -> str:
    """ "the bowl", or "the grey bowl" if there are several bowls."""
    alike = sum(other.noun == node.noun for other in graph.nodes) > 1
    return " ".join(filter(None, ("the", node.colour if alike else "", node.noun)))


def _background(
    folder: Path, layout: Layout, rng: np.random.Generator, notes: list[str]
) -> Background:
    plain = background(rng)
    picture = embodiedgen.background_picture(folder, layout)
    if picture is None:
        return plain
    try:
        return plain.model_copy(update={"picture": read_picture(picture)})
    except ValueError as error:
        notes.append(f"background picture ignored: {_first_line(error)}")
        return plain


def _arranged(
    parts: dict[str, Any],
    objects: Sequence[ObjectSpec],
    poses: Sequence[tuple[float, float, float] | None],
    rng: np.random.Generator,
    notes: list[str],
) -> SceneSpec:
    """The scene at rest: with the given poses, moved as a whole, or laid out anew."""
    graph: SceneGraph = parts["graph"]
    known = [pose for pose in poses if pose is not None]
    if len(known) == len(poses) and not graph.relations:
        for moved, words in _moves(known):
            placed = [_posed(thing, pose) for thing, pose in zip(objects, moved, strict=True)]
            if not _possible(placed, graph):
                continue
            try:
                scene = arranging.settle(SceneSpec(**parts, objects=tuple(placed)))
            except LayoutError:
                continue
            notes.append(words)
            return scene
        why = "the robot cannot reach its arrangement"
    else:
        why = "poses are missing" if len(known) < len(poses) else "things stand on other things"
    reason = ""
    for _ in range(_ROUNDS):
        try:
            placed = arranging.place(objects, graph, rng, "full")
            scene = arranging.settle(SceneSpec(**parts, objects=tuple(placed)))
        except LayoutError as error:
            reason = str(error)
            continue
        notes.append(f"laid out anew: {why}")
        return scene
    raise LayoutError(reason)


def _moves(
    poses: Sequence[tuple[float, float, float]],
) -> list[tuple[list[tuple[float, float, float]], str]]:
    """The arrangement as it is, and with its middle in the middle of the workspace."""
    space = WORKSPACES["full"]
    xy = np.array([pose[:2] for pose in poses])
    dx, dy = np.array([sum(space.x), sum(space.y)]) / 2 - (xy.min(axis=0) + xy.max(axis=0)) / 2
    moved = [(x + dx, y + dy, yaw) for x, y, yaw in poses]
    distance = math.hypot(dx, dy) * 100
    return [
        (list(poses), "arrangement as in the layout"),
        (moved, f"arrangement moved by {distance:.0f} cm to be within reach"),
    ]


def _posed(thing: ObjectSpec, pose: tuple[float, float, float]) -> ObjectSpec:
    x, y = max(-2.0, min(2.0, pose[0])), max(-2.0, min(2.0, pose[1]))
    pos, quat = rounded((x, y, 0.0)), rounded(yaw_quat(pose[2]))
    return thing.model_copy(update={"pos": pos, "quat": quat})


def _possible(objects: Sequence[ObjectSpec], graph: SceneGraph) -> bool:
    """All within the workspace, apart from each other, and the task can be done."""
    space = WORKSPACES["full"]
    for thing in objects:
        (x, y), (x0, x1), (y0, y1) = thing.pos[:2], space.x, space.y
        if not (x0 <= x <= x1 and y0 <= y <= y1):
            return False
    outlines = [standing(thing) for thing in objects]
    for k, first in enumerate(outlines):
        if any(gap(*first, *second) < _APART for second in outlines[:k]):
            return False
    return not obstacles(objects, graph)


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
    return " ".join(str(error).split())
