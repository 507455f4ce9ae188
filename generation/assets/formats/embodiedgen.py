"""Reads EmbodiedGen task folders: layout.json, the URDFs it names, and the background picture.

Their conventions: positions in metres with z up, quaternions xyzw, the robot anywhere in the room
and facing along its own x axis. Ours: the origin at the robot's base, +x away from it, wxyz.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from generation.assets.colours import COLOUR_SYNONYMS, COLOURS
from generation.assets.importing.asset import AssetError
from generation.assets.intake.sources import LAYOUT
from generation.spec import Relation

_MAX_BYTES = 4 << 20
_Text = Annotated[str, Field(max_length=2000)]
_Node = Annotated[str, Field(min_length=1, max_length=80)]
_Nodes = Annotated[tuple[_Node, ...], Field(max_length=32)]
_Position = tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat,
                  FiniteFloat]  # fmt: skip
# Words of a task that relate two objects, the longer ones first.
_WORDS: tuple[tuple[str, Relation], ...] = (
    ("on top of", "on"), ("to the left of", "left of"), ("to the right of", "right of"),
    ("in front of", "in front of"), ("left of", "left of"), ("right of", "right of"),
    ("next to", "next to"), ("inside", "in"), ("into", "in"), ("in", "in"), ("onto", "on"),
    ("on", "on"), ("beside", "next to"), ("behind", "behind"),
)  # fmt: skip
_TREE: dict[str, Relation] = {"ON": "on", "IN": "in", "INSIDE": "in"}
_BETWEEN = 4  # words between a relation and what it relates to


class _Task(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")
    task_desc: _Text = ""
    robot: _Text = ""
    background: _Text = ""
    context: _Text = ""
    manipulated_objs: _Nodes = ()
    distractor_objs: _Nodes = ()


class Layout(BaseModel):
    """What is read of a layout.json.

    Attributes:
        tree: what stands on or in what: node -> ((node, "ON" | "IN" | "INSIDE" | "FLOOR"), ...).
        relation: the task and the roles of the nodes.
        assets: node -> folder of its URDF, relative.
        position: node and robot -> x, y, z in m, and quaternion xyzw.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")
    tree: Annotated[dict[str, tuple[tuple[str, str], ...]], Field(max_length=200)] = {}
    relation: _Task
    assets: Annotated[dict[str, _Text], Field(max_length=200)] = {}
    position: Annotated[dict[str, _Position], Field(max_length=200)] = {}

    @property
    def nodes(self) -> tuple[str, ...]:
        """The movable objects, those of the task first, each once."""
        task = self.relation
        return tuple(dict.fromkeys((*task.manipulated_objs, *task.distractor_objs)))


@dataclass(frozen=True)
class Goal:
    """What the task makes true, in nodes of the layout."""

    target: str
    relation: Relation
    receptacle: str


def read_layout(folder: str | Path) -> Layout:
    """Reads `layout.json` in the folder of a task.

    Raises:
        AssetError: missing, too large, no JSON, or without what a scene needs; names the field.
    """
    path = Path(folder) / LAYOUT
    if not path.is_file():
        raise AssetError(f"{path} does not exist")
    with path.open("rb") as file:
        data = file.read(_MAX_BYTES + 1)
    return parse_layout(data)


def parse_layout(data: bytes) -> Layout:
    """The layout in the bytes of a layout.json; errors as `read_layout`."""
    if len(data) > _MAX_BYTES:
        raise AssetError(f"{LAYOUT} is larger than {_MAX_BYTES >> 20} MiB")
    try:
        return Layout.model_validate(json.loads(data))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"])[:120]
        raise AssetError(f"{LAYOUT}: {where or 'it'}: {first['msg']}") from None
    except (ValueError, RecursionError) as error:
        raise AssetError(f"{LAYOUT} is no JSON ({str(error)[:120]})") from None


def asset_urdf(folder: Path, layout: Layout, node: str) -> Path:
    """The URDF of a node, inside `folder`.

    Raises:
        AssetError: the layout names none, it is missing, or lies elsewhere.
    """
    if node not in layout.assets:
        raise AssetError(f"{node!r} has no asset in {LAYOUT}")
    root = folder.resolve()
    name = node.replace(" ", "_") + ".urdf"
    try:
        place = (root / layout.assets[node]).resolve()
        if not place.is_relative_to(root) or not (place / name).resolve().is_relative_to(root):
            raise AssetError(f"the asset of {node!r} lies outside the task's folder: not followed")
        if (place / name).is_file():
            return place / name
        urdfs = sorted(place.glob("*.urdf"))
    except (OSError, RuntimeError, ValueError) as error:
        if isinstance(error, AssetError):
            raise
        what = getattr(error, "strerror", None) or type(error).__name__
        raise AssetError(f"the asset of {node!r} cannot be found ({what})") from None
    if len(urdfs) == 1 and urdfs[0].resolve().is_relative_to(root):
        return urdfs[0]
    raise AssetError(f"the URDF of {node!r} is missing: {layout.assets[node][:80]}/{name}")


def background_picture(folder: Path, layout: Layout) -> Path | None:
    """The panorama of the task's background inside `folder`, if there is one."""
    root = folder.resolve()
    for place in (layout.assets.get(layout.relation.background, ""), "background"):
        try:
            path = (root / place / "pano_image.png").resolve()
            if path.is_relative_to(root) and path.is_file():
                return path
        except (OSError, RuntimeError, ValueError):
            continue
    return None


def describe(node: str) -> tuple[str, str]:
    """Noun and colour word of a node's name: "grey bowl2" is ("bowl", "grey")."""
    words = re.findall(r"[a-z]+", node.lower())
    named = [COLOUR_SYNONYMS.get(w, w) for w in words]
    colour = next((w for w in named if w in COLOURS), "")
    nouns = [w for w, n in zip(words, named, strict=True) if n not in COLOURS][-3:]
    return " ".join(nouns)[:60].strip() or "object", colour


def sentence(layout: Layout) -> str:
    """The task in lower-case letters and single spaces, without the robot's name."""
    text = layout.relation.task_desc.lower()
    if robot := layout.relation.robot.lower():
        text = re.sub(
            rf",?\s*\b(with |by |using )?(a |the )?(robot )?{re.escape(robot)}\b", "", text
        )
    return " ".join(re.findall(r"[a-z]+", text))


def goal(layout: Layout, holds: Mapping[str, tuple[str, ...]]) -> Goal:
    """The goal that the task's sentence states.

    Args:
        layout: of the task.
        holds: the goals that each object can serve, for a sentence that relates nothing.

    Raises:
        AssetError: no two objects of the task are related.
    """
    things, said = layout.relation.manipulated_objs, sentence(layout)
    if len(things) < 2:
        raise AssetError(
            f"the task {said[:80]!r} relates no two objects: only tasks such as putting one thing "
            "on or in another have a goal here"
        )
    for receptacle in reversed(things[1:]):
        if relation := _relation_before(said, describe(receptacle)[0]):
            return Goal(things[0], relation, receptacle)
    for receptacle in reversed(things[1:]):
        for relation in ("in", "on"):
            if relation in holds.get(receptacle, ()):
                return Goal(things[0], relation, receptacle)
    raise AssetError(f"the task {said[:80]!r} says nowhere to put the {describe(things[0])[0]}")


def _relation_before(said: str, noun: str) -> Relation | None:
    """The last relation that stands shortly before a noun, or its plural."""
    between = rf"(?: [a-z]+){{0,{_BETWEEN}}}? "
    found: list[tuple[int, Relation]] = []
    for words, relation in _WORDS:
        pattern = rf"\b{words}{between}{re.escape(noun)}(?:s|es)?\b"
        found.extend((match.start(), relation) for match in re.finditer(pattern, said))
    # Of "on top of" and "on" at one place the longer, which comes first, wins.
    return max(found, key=lambda item: item[0])[1] if found else None


def carried(layout: Layout) -> dict[str, tuple[Relation, str]]:
    """Objects that the tree puts on or in another object rather than on the table."""
    nodes = set(layout.nodes)
    return {
        child: (_TREE[relation.upper()], parent)
        for parent, children in sorted(layout.tree.items())
        for child, relation in children
        if parent in nodes and child in nodes and relation.upper() in _TREE
    }


def seen_from_robot(layout: Layout, node: str) -> tuple[float, float, float] | None:
    """x, y [m] and yaw [rad] of a node in the robot's frame, None if the layout lacks either."""
    robot = next((r for r in (layout.relation.robot, "robot") if r in layout.position), None)
    if robot is None or node not in layout.position:
        return None
    base, thing = layout.position[robot], layout.position[node]
    turn, yaw = _yaw(base[3:]), _yaw(thing[3:])
    if turn is None or yaw is None:
        return None
    dx, dy = thing[0] - base[0], thing[1] - base[1]
    c, s = math.cos(turn), math.sin(turn)
    return (c * dx + s * dy, -s * dx + c * dy, math.remainder(yaw - turn, 2 * math.pi))


def _yaw(xyzw: tuple[float, ...]) -> float | None:
    """Heading of a quaternion as the layout rounds it; None of a zero one."""
    norm = math.hypot(*xyzw)
    if not 1e-6 < norm < 1e6:
        return None
    x, y, z, w = (v / norm for v in xyzw)
    return math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
