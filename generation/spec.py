"""What a scene is: frozen, validated records that travel as JSON and are named by their content.

All lengths are metres, angles radians, quaternions wxyz, z up, and the world origin lies on the
table top below the robot base with +x pointing away from the robot. Colours are sRGB in [0, 1].
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    ValidationError,
    field_validator,
    model_validator,
)

SPEC_VERSION = 2

Shape = Literal["box", "sphere", "capsule", "cylinder", "ellipsoid", "convex"]
Texture = Literal["plain", "checker", "stripes", "speckle", "wood", "marble", "fabric", "label"]
Role = Literal["target", "receptacle", "distractor"]
Relation = Literal[
    "on", "in", "stacked on", "next to", "left of", "right of", "in front of", "behind"
]
# Relations in which the object carries the subject; the others are seen from the robot.
SUPPORTS: tuple[Relation, ...] = ("on", "in", "stacked on")
TABLE = "table"  # what everything stands on that no relation puts elsewhere

# Number of leading `size` entries each shape uses (MuJoCo half sizes), the rest must be zero.
SIZE_ENTRIES: dict[str, int] = {
    "box": 3, "sphere": 1, "capsule": 2, "cylinder": 2, "ellipsoid": 3, "convex": 3,
}  # fmt: skip
# MJX has collision functions for every pair of these; cylinders and ellipsoids lack some.
COLLIDING_SHAPES = frozenset({"box", "sphere", "capsule"})


def _is_unit_quaternion(value: tuple[float, ...]) -> tuple[float, ...]:
    norm = math.sqrt(sum(v * v for v in value))
    if abs(norm - 1.0) > 1e-3:
        raise ValueError(f"quaternion {value} has length {norm:.4f}; normalise it to 1")
    return value


Unit = Annotated[FiniteFloat, Field(ge=0.0, le=1.0)]
Length = Annotated[FiniteFloat, Field(ge=0.0, le=2.0)]
Coordinate = Annotated[FiniteFloat, Field(ge=-2.0, le=2.0)]
Vec3 = tuple[Coordinate, Coordinate, Coordinate]
Quat = Annotated[
    tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat], AfterValidator(_is_unit_quaternion)
]
Rgb = tuple[Unit, Unit, Unit]
Rgba = tuple[Unit, Unit, Unit, Unit]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
Phrase = Annotated[str, Field(pattern=r"^[a-z]+( [a-z]+)*$", max_length=120)]
Word = Annotated[str, Field(pattern=r"^[a-z]*$", max_length=32)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Part(_Record):
    """One primitive or convex hull of an object, in the object's body frame.

    `size` are MuJoCo half sizes with unused entries zero. Colliding parts carry the object's mass;
    only boxes, spheres and capsules may collide. Invisible parts are never drawn. A convex part is
    the hull of `vertices` (part frame, m); its `size` are half extents that contain them.
    """

    shape: Shape
    size: tuple[Length, Length, Length]
    pos: Vec3 = (0.0, 0.0, 0.0)
    quat: Quat = (1.0, 0.0, 0.0, 0.0)
    rgba: Rgba = (0.5, 0.5, 0.5, 1.0)
    rgba2: Rgba = (0.5, 0.5, 0.5, 1.0)
    texture: Texture = "plain"
    texture_scale: Annotated[FiniteFloat, Field(gt=0.0, le=10.0)] = 0.02
    collide: bool = True
    visible: bool = True
    vertices: Annotated[tuple[Vec3, ...], Field(max_length=64)] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        used = SIZE_ENTRIES[self.shape]
        self._check_vertices()
        if min(self.size[:used]) <= 0.0:
            raise ValueError(f"{self.shape} size {self.size}: the first {used} must be positive")
        if any(self.size[used:]):
            raise ValueError(f"{self.shape} size {self.size}: entries after {used} must be 0")
        if self.collide and self.shape not in COLLIDING_SHAPES:
            raise ValueError(
                f"a colliding {self.shape}: build it from {sorted(COLLIDING_SHAPES)} and draw the "
                f"{self.shape} with collide=False"
            )
        if not (self.collide or self.visible):
            raise ValueError(f"a {self.shape} that neither collides nor is visible: remove it")
        return self

    def _check_vertices(self) -> None:
        if (self.shape == "convex") != (len(self.vertices) >= 4):
            raise ValueError(
                f"a {self.shape} part with {len(self.vertices)} vertices: a convex part has 4 to "
                "64, others none"
            )
        for vertex in self.vertices:
            if any(abs(v) > half + 1e-5 for v, half in zip(vertex, self.size, strict=True)):
                raise ValueError(f"vertex {vertex} lies outside the half extents {self.size}")


class Provenance(_Record):
    """Where an imported or generated asset is from and what its licence says about training."""

    asset: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    source: Annotated[str, Field(max_length=200)]
    licence: Annotated[str, Field(min_length=1, max_length=80)] = "unknown"
    training: Literal["allowed", "forbidden", "unknown"] = "unknown"


class ObjectSpec(_Record):
    """One rigid object, its resting pose, and where it can be gripped or can hold things.

    The body frame's origin is the centre of the footprint on the supporting surface.

    Attributes:
        grasp: x, y, z of the grasp point, yaw of the closing axis (all body frame), width in m.
        place: x, y, z of the centre of the surface that holds things, and its usable radius.
        height: extent above the body frame origin in m.
        radius: radius of the circle about the body's z axis that bounds the footprint, in m.
        provenance: of an imported asset; None for procedural shapes.
    """

    name: Name
    family: Name
    noun: Phrase
    colour: Word = ""
    material: Word = ""
    role: Role
    parts: Annotated[tuple[Part, ...], Field(min_length=1, max_length=32)]
    density: Annotated[FiniteFloat, Field(gt=0.0, le=20000.0)]
    friction: Annotated[FiniteFloat, Field(gt=0.0, le=5.0)]
    pos: Vec3 = (0.0, 0.0, 0.0)
    quat: Quat = (1.0, 0.0, 0.0, 0.0)
    grasp: tuple[Coordinate, Coordinate, Coordinate, FiniteFloat, Length]
    place: tuple[Coordinate, Coordinate, Coordinate, Length]
    height: Annotated[FiniteFloat, Field(gt=0.0, le=1.0)]
    radius: Annotated[FiniteFloat, Field(gt=0.0, le=1.0)]
    provenance: Provenance | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not any(part.collide for part in self.parts):
            raise ValueError(f"object {self.name!r} has no colliding part: it would fall through")
        if not any(part.visible for part in self.parts):
            raise ValueError(f"object {self.name!r} has no visible part: make one visible")
        return self


class TaskSpec(_Record):
    """What to do, and every wording of it that is true in this scene."""

    relation: Relation
    target: Name
    receptacle: Name
    instruction: Phrase
    paraphrases: Annotated[tuple[Phrase, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.target == self.receptacle:
            raise ValueError(f"{self.target!r} is both target and receptacle: name two objects")
        if self.instruction not in self.paraphrases:
            raise ValueError(f"the instruction {self.instruction!r} is not among its paraphrases")
        return self


class Node(_Record):
    """One object as a designer names it, before it has a shape.

    Attributes:
        noun: what the instructions call it.
        family: the kind of shape that it gets.
        match: how near the noun is to that family, 1 for its own nouns (cosine of word vectors).
    """

    name: Name
    noun: Phrase
    colour: Word = ""
    size: Literal["", "small", "large"] = ""
    material: Word = ""
    role: Role
    family: Name
    match: Unit = 1.0


class Edge(_Record):
    """A predicate over two objects, such as ("mug_2", "next to", "plate_1").

    "on", "in" and "stacked on" say what carries the subject; the others are seen from the robot:
    left is +y, behind is +x (away from the robot).
    """

    subject: Name
    relation: Relation
    object: Name


class SceneGraph(_Record):
    """What a designer returns: the objects, how they stand at the start, and the goal.

    Attributes:
        nodes: target first, then what the goal relates it to, then the distractors.
        relations: hold at the start. What none of them puts on or in something stands on the
            table.
        goal: the predicate that the task makes true; the success test follows from it.
        table: style of the table top, "" for any.
        room: style of the room, "" for any.
    """

    nodes: Annotated[tuple[Node, ...], Field(min_length=2, max_length=16)]
    relations: tuple[Edge, ...]
    goal: Edge
    table: Word = ""
    room: Word = ""

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [node.name for node in self.nodes]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"object names {repeated} occur twice: give each object its own")
        for edge in (*self.relations, self.goal):
            known = edge.subject in names and (edge.object in names or edge.object == TABLE)
            if not known or edge.subject == edge.object:
                raise ValueError(
                    f"the relation ({edge.subject!r}, {edge.relation!r}, {edge.object!r}) is not "
                    f"between two of {names}"
                )
            if edge.object == TABLE and edge.relation != "on":
                raise ValueError(
                    f"{edge.subject!r} is {edge.relation!r} the table: it stands on it"
                )
        if (self.goal.subject, self.goal.object) != (names[0], names[1]):
            raise ValueError(
                f"the goal relates {self.goal.subject!r} to {self.goal.object!r}; it must relate "
                f"the first two objects, {names[0]!r} and {names[1]!r}"
            )
        if self.goal in self.relations:
            raise ValueError(f"the goal {self.goal.relation!r} holds at the start: nothing to do")
        self._check_supports(names)
        return self

    def _check_supports(self, names: list[str]) -> None:
        """Everything is carried by one thing, and in the end by the table."""
        carried = {name: self.carriers(name) for name in names}
        for name, carriers in carried.items():
            if len(carriers) > 1:
                raise ValueError(f"{name!r} is carried by {list(carriers)}: name one of them")
            step, seen = name, {name}
            while above := [c for c in carried.get(step, ()) if c != TABLE]:
                step = above[0]
                if step in seen:
                    raise ValueError(f"{name!r} carries itself: break the circle of relations")
                seen.add(step)

    def carriers(self, name: str) -> tuple[str, ...]:
        """What the relations put the object on or in, "table" included; () if they say nothing."""
        edges = (e for e in self.relations if e.subject == name and e.relation in SUPPORTS)
        return tuple(dict.fromkeys(e.object for e in edges))


class Look(_Record):
    """Appearance of a surface: two colours mixed by a procedural texture."""

    texture: Texture = "plain"
    rgba: Rgba = (0.6, 0.5, 0.4, 1.0)
    rgba2: Rgba = (0.5, 0.4, 0.3, 1.0)
    texture_scale: Annotated[FiniteFloat, Field(gt=0.0, le=10.0)] = 0.1


class Room(_Record):
    """A procedural room, drawn as a panorama by `generation.rooms`; equal fields, equal picture."""

    style: Word
    variant: Annotated[int, Field(ge=0, le=15)] = 0


class Background(_Record):
    """Surroundings of the table: a colour gradient over a floor colour, or a panorama.

    Attributes:
        top, horizon, floor: the gradient, for renderers without panoramas too.
        room: a procedural room.
        picture: an imported equirectangular picture instead, a small JPEG or PNG in base64.
    """

    top: Rgb = (0.9, 0.9, 0.9)
    horizon: Rgb = (0.7, 0.7, 0.7)
    floor: Rgb = (0.4, 0.4, 0.4)
    room: Room | None = None
    picture: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/=]*$", max_length=262_144)] = ""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.room and self.picture:
            raise ValueError("a background with a room and a picture: keep one of them")
        return self


class SceneSpec(_Record):
    """A complete scene: target first, receptacle second, then the distractors."""

    version: Literal[2] = SPEC_VERSION
    graph: SceneGraph
    objects: Annotated[tuple[ObjectSpec, ...], Field(min_length=2, max_length=16)]
    task: TaskSpec
    table: Look
    background: Background
    seed: Annotated[int, Field(ge=0)]

    @field_validator("objects")
    @classmethod
    def _roles(cls, objects: tuple[ObjectSpec, ...]) -> tuple[ObjectSpec, ...]:
        expected = ["target", "receptacle"] + ["distractor"] * (len(objects) - 2)
        if [o.role for o in objects] != expected:
            raise ValueError(f"object roles {[o.role for o in objects]}; the order is {expected}")
        names = [o.name for o in objects]
        if len(set(names)) < len(names):
            raise ValueError(f"object names {names} are not unique: give each object its own")
        return objects

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [o.name for o in self.objects]
        if names != [node.name for node in self.graph.nodes]:
            raise ValueError(f"objects {names} do not match the graph's nodes")
        if (self.task.target, self.task.receptacle) != (names[0], names[1]):
            raise ValueError(
                f"the task is about {self.task.target!r} and {self.task.receptacle!r}; "
                f"the first two objects are {names[0]!r} and {names[1]!r}"
            )
        if self.task.relation != self.graph.goal.relation:
            raise ValueError(
                f"the task says {self.task.relation!r}, the graph's goal "
                f"{self.graph.goal.relation!r}: make them equal"
            )
        if self.task.relation in SUPPORTS and self.objects[1].place[3] <= 0.0:
            raise ValueError(f"receptacle {names[1]!r} has place radius 0: it holds nothing")
        for sentence in self.task.paraphrases:
            for thing in self.objects[:2]:
                _check_unambiguous(sentence, thing, self.graph)
        return self

    @property
    def id(self) -> str:
        """16 hex digits of the SHA-256 of the canonical JSON: equal scenes, equal ids."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces, so that equal scenes give equal bytes."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> SceneSpec:
        """Reads and validates a scene; ValueError names the first field that is wrong."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(step) for step in first["loc"]) or "scene"
            raise ValueError(f"not a valid scene: {where}: {first['msg']}") from None


def mentions(sentence: str, noun: str) -> list[str]:
    """Words (up to 2) before each occurrence of `noun`, joined, e.g. ["the red"]."""
    pattern = rf"(?:^|\s)((?:\S+\s){{0,2}}){re.escape(noun)}(?=\s|$)"
    return [match.group(1).strip() for match in re.finditer(pattern, sentence)]


def _check_unambiguous(sentence: str, thing: ObjectSpec, graph: SceneGraph) -> None:
    """The words used for `thing` must fit no other object of the scene."""
    nodes = {node.name: node for node in graph.nodes}
    before = mentions(sentence, thing.noun)
    if not before:
        raise ValueError(f"{sentence!r} does not mention the {thing.role} {thing.noun!r}")
    words = set(" ".join(before).split())
    for other in graph.nodes:
        # One family has several nouns (a cup is a mug), so the family decides, not the noun alone.
        alike = other.noun == thing.noun or other.family == thing.family
        if other.name == thing.name or not alike:
            continue
        by_colour = thing.colour in words and other.colour != thing.colour
        by_size = nodes[thing.name].size in words and other.size != nodes[thing.name].size
        if not (by_colour or by_size):
            raise ValueError(
                f"{sentence!r} is ambiguous: {thing.noun!r} fits both {thing.name!r} and "
                f"{other.name!r}; tell them apart by colour, size or noun"
            )
