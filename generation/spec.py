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

SPEC_VERSION = 1

Shape = Literal["box", "sphere", "capsule", "cylinder", "ellipsoid"]
Texture = Literal["plain", "checker", "stripes", "speckle", "wood", "marble", "fabric", "label"]
Role = Literal["target", "receptacle", "distractor"]
Relation = Literal["on", "in"]

# Number of leading `size` entries each shape uses (MuJoCo half sizes), the rest must be zero.
SIZE_ENTRIES: dict[str, int] = {
    "box": 3, "sphere": 1, "capsule": 2, "cylinder": 2, "ellipsoid": 3,
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
    """One primitive of an object, in the object's body frame.

    `size` are MuJoCo half sizes with unused entries zero. Colliding parts carry the object's mass;
    only boxes, spheres and capsules may collide. Invisible parts are never drawn.
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

    @model_validator(mode="after")
    def _check(self) -> Self:
        used = SIZE_ENTRIES[self.shape]
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


class ObjectSpec(_Record):
    """One rigid object, its resting pose, and where it can be gripped or can hold things.

    The body frame's origin is the centre of the footprint on the supporting surface.

    Attributes:
        grasp: x, y, z of the grasp point, yaw of the closing axis (all body frame), width in m.
        place: x, y, z of the centre of the surface that holds things, and its usable radius.
        height: extent above the body frame origin in m.
        radius: radius of the circle about the body's z axis that bounds the footprint, in m.
    """

    name: Name
    family: Name
    noun: Phrase
    colour: Word = ""
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

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not any(part.collide for part in self.parts):
            raise ValueError(f"object {self.name!r} has no colliding part: it would fall through")
        if not any(part.visible for part in self.parts):
            raise ValueError(f"object {self.name!r} has no visible part: make one visible")
        if self.role == "receptacle" and self.place[3] <= 0.0:
            raise ValueError(f"receptacle {self.name!r} has place radius 0: it holds nothing")
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
    """One object as a designer names it, before it has a shape."""

    name: Name
    noun: Phrase
    colour: Word = ""
    size: Literal["", "small", "large"] = ""
    role: Role
    family: Name


class Edge(_Record):
    """A relation that holds at the start, such as ("mug_2", "next to", "plate_1")."""

    subject: Name
    relation: Phrase
    object: Name


class SceneGraph(_Record):
    """What a designer returns: the objects, how they stand at the start, and the goal."""

    nodes: Annotated[tuple[Node, ...], Field(min_length=2, max_length=16)]
    relations: tuple[Edge, ...]
    goal: Edge

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [node.name for node in self.nodes]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"object names {repeated} occur twice: give each object its own")
        for edge in (*self.relations, self.goal):
            for name in (edge.subject, edge.object):
                if name not in names and name != "table":
                    raise ValueError(f"a relation names {name!r}; the scene has {names}")
        return self


class Look(_Record):
    """Appearance of a surface: two colours mixed by a procedural texture."""

    texture: Texture = "plain"
    rgba: Rgba = (0.6, 0.5, 0.4, 1.0)
    rgba2: Rgba = (0.5, 0.4, 0.3, 1.0)
    texture_scale: Annotated[FiniteFloat, Field(gt=0.0, le=10.0)] = 0.1


class Background(_Record):
    """Surroundings of the table: a vertical colour gradient over a floor colour."""

    top: Rgb = (0.9, 0.9, 0.9)
    horizon: Rgb = (0.7, 0.7, 0.7)
    floor: Rgb = (0.4, 0.4, 0.4)
    wall: Look | None = None


class SceneSpec(_Record):
    """A complete scene: target first, receptacle second, then the distractors."""

    version: Literal[1] = SPEC_VERSION
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
