"""Reads URDF files: one rigid body out of links, joints, primitives and meshes.

The file is untrusted. Meshes are taken from the URDF's folder (or the folder named as `root`) and
nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

import numpy as np

from generation.assets.formats.bounded_xml import MAX_BYTES, Element, parse_xml
from generation.assets.importing.asset import Array, AssetError

_MAX_LINKS = 500
_MAX_SHAPES = 1000
_MAX_NUMBER = 1e4  # metres, radians or kilograms
_MOVABLE = ("revolute", "continuous", "prismatic", "planar", "floating")
_DUMMY_INERTIA = (1.0, 1.0, 1.0)
Rgb = tuple[float, float, float]


@dataclass(frozen=True)
class Shape:
    """A visual or collision geometry.

    Attributes:
        kind: of geometry.
        size: box: sides [3]; cylinder: radius, length; sphere: radius; mesh: scale [3]. In m.
        file: of a mesh.
        pose: [4, 4], from the geometry's frame to the body's.
        rgb: sRGB colour, if the file gives one.
    """

    kind: Literal["box", "cylinder", "sphere", "mesh"]
    size: tuple[float, ...]
    pose: Array
    file: Path | None = None
    rgb: Rgb | None = None


@dataclass(frozen=True)
class UrdfModel:
    """All links of a URDF as one rigid body, in the root link's frame, joints at zero.

    Attributes:
        mass: kg of all links together; None if no link states one.
        friction: mean of `collision/gazebo/mu1` and `mu2`; None if absent.
        extra: texts of `extra_info`, such as category, description, real_height.
        notes: what was odd.
    """

    name: str
    visuals: tuple[Shape, ...]
    collisions: tuple[Shape, ...]
    mass: float | None
    friction: float | None
    extra: dict[str, str]
    notes: tuple[str, ...]


def read_urdf(path: str | Path, root: str | Path | None = None) -> UrdfModel:
    """Reads a URDF file; meshes are only looked up, not read.

    Args:
        path: the file.
        root: folder that meshes may come from, which contains the file; by default the file's own.

    Raises:
        AssetError: it cannot be one rigid body; says why.
    """
    path = Path(path)
    if not path.is_file():
        raise AssetError(f"{path.name}: no such file")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise AssetError(f"{path.name}: {error.strerror}") from None
    return _Reader(path.parent, Path(root) if root else path.parent).model(parse_xml(data))


class _Reader:
    def __init__(self, folder: Path, root: Path) -> None:
        self.folder, self.root = folder.resolve(), root.resolve()
        if not self.folder.is_relative_to(self.root):
            raise AssetError(f"the URDF's folder {folder} is not inside {root}")
        self.notes: list[str] = []
        self.materials: dict[str, Rgb] = {}

    def model(self, robot: Element) -> UrdfModel:
        if robot.tag != "robot":
            raise AssetError(f"the root element is <{robot.tag[:40]}>, not <robot>: no URDF")
        if any(child.tag.startswith("xacro:") for child in robot.children):
            raise AssetError("xacro macros are not expanded: run xacro on it first")
        for material in robot.all("material"):
            if (rgb := _colour(material)) is not None:
                self.materials[material.get("name")] = rgb
        links = self._links(robot)
        poses = self._poses(robot, links)
        visuals, collisions, masses, frictions = [], [], [], []
        extra: dict[str, str] = {}
        for name, link in links.items():
            visuals += self._shapes(link.all("visual"), poses[name])
            collisions += self._shapes(link.all("collision"), poses[name])
            masses += self._mass(name, link)
            frictions += _frictions(link)
            extra |= _extra(link)
        extra |= _extra(robot)
        if not visuals and not collisions:
            raise AssetError("a URDF without any visual or collision geometry")
        if len(visuals) + len(collisions) > _MAX_SHAPES:
            raise AssetError(f"more than {_MAX_SHAPES} geometries")
        if masses and len(masses) < len(links):
            self.notes.append(f"{len(links) - len(masses)} of {len(links)} links have no mass")
        return UrdfModel(
            name=robot.get("name")[:80],
            visuals=tuple(visuals),
            collisions=tuple(collisions),
            mass=sum(masses) if masses else None,
            friction=sum(frictions) / len(frictions) if frictions else None,
            extra=extra,
            notes=tuple(dict.fromkeys(self.notes)),
        )

    def _links(self, robot: Element) -> dict[str, Element]:
        links: dict[str, Element] = {}
        for link in robot.all("link"):
            name = link.get("name")
            if name in links:
                raise AssetError(f"two links are called {name[:60]!r}")
            links[name] = link
        if not links:
            raise AssetError("a URDF without links")
        if len(links) > _MAX_LINKS:
            raise AssetError(f"{len(links)} links: the limit is {_MAX_LINKS}")
        return links

    def _poses(self, robot: Element, links: dict[str, Element]) -> dict[str, Array]:
        """Pose [4, 4] of each link in the frame of the root link, with all joints at zero."""
        parent: dict[str, tuple[str, Array]] = {}
        for joint in robot.all("joint"):
            name, kind = joint.get("name")[:60], joint.get("type")
            ends = []
            for tag in ("parent", "child"):
                element = joint.find(tag)
                ends.append(element.get("link") if element else "")
                if ends[-1] not in links:
                    raise AssetError(f"joint {name!r}: its {tag} link {ends[-1][:60]!r} is missing")
            if kind not in ("fixed", *_MOVABLE):
                raise AssetError(f"joint {name!r} of unknown type {kind[:40]!r}")
            if kind != "fixed":
                self.notes.append(f"{kind} joint {name!r} frozen at zero")
            if ends[1] in parent:
                raise AssetError(f"link {ends[1][:60]!r} has two parents")
            parent[ends[1]] = (ends[0], _origin(joint))
        roots = [name for name in links if name not in parent]
        if len(roots) > 1:
            raise AssetError(f"links {roots[0][:60]!r} and {roots[1][:60]!r} are not connected")
        if not roots:
            raise AssetError("the joints form a circle")
        children: dict[str, list[str]] = {name: [] for name in links}
        for child, (above, _) in parent.items():
            children[above].append(child)
        poses, todo = {roots[0]: np.eye(4)}, [roots[0]]
        while todo:
            above = todo.pop()
            for child in children[above]:
                poses[child] = poses[above] @ parent[child][1]
                todo.append(child)
        if len(poses) < len(links):
            lost = next(name for name in links if name not in poses)
            raise AssetError(f"the joints form a circle at link {lost[:60]!r}")
        return poses

    def _shapes(self, elements: Iterable[Element], pose: Array) -> Iterator[Shape]:
        for element in elements:
            geometry = element.find("geometry")
            if geometry is None or not geometry.children:
                self.notes.append(f"a {element.tag} without geometry ignored")
                continue
            shape = self._geometry(geometry.children[0], pose @ _origin(element))
            material = element.find("material")
            if material is not None:
                rgb = _colour(material) or self.materials.get(material.get("name"))
                shape = replace(shape, rgb=rgb)
            yield shape

    def _geometry(self, shape: Element, pose: Array) -> Shape:
        if shape.tag == "box":
            return Shape("box", _positive(_numbers(shape.get("size"), 3, "box size")), pose)
        if shape.tag == "cylinder":
            size = (*_numbers(shape.get("radius"), 1, "radius"),
                    *_numbers(shape.get("length"), 1, "length"))  # fmt: skip
            return Shape("cylinder", _positive(size), pose)
        if shape.tag == "sphere":
            return Shape("sphere", _positive(_numbers(shape.get("radius"), 1, "radius")), pose)
        if shape.tag == "mesh":
            scale = _numbers(shape.get("scale", "1 1 1"), 3, "mesh scale")
            if min(abs(s) for s in scale) < 1e-6:
                raise AssetError(f"mesh scale {scale}: no side may be zero")
            return Shape("mesh", scale, pose, self._mesh_file(shape.get("filename")))
        raise AssetError(f"geometry <{shape.tag[:40]}> is not known: box, cylinder, sphere or mesh")

    def _mesh_file(self, reference: str) -> Path:
        name = unquote(reference.strip()).replace("\\", "/")
        if name.startswith("file://"):
            name = name.removeprefix("file://")
        if not name or "\0" in name:
            raise AssetError(f"mesh file name {reference[:80]!r} is not one")
        candidates = [self.folder / name]
        if name.startswith("package://"):
            inner = name.removeprefix("package://")
            rest = inner.partition("/")[2]
            # The package's folder can be the root, lie in it, or be any folder on the way to it.
            between = [
                f for f in (self.folder, *self.folder.parents) if f.is_relative_to(self.root)
            ]
            candidates = [folder / tail for folder in between for tail in (inner, rest)]
        elif "://" in name:
            raise AssetError(f"mesh {reference[:80]!r}: only files are read, no addresses")
        outside = False
        for candidate in candidates:
            try:
                found = candidate.resolve()
                if not found.is_relative_to(self.root):
                    outside = True
                elif found.is_file():
                    return found
            except (OSError, RuntimeError, ValueError):  # names too long, circles of links
                continue
        why = f"lies outside {self.root.name}/: not followed" if outside else "is missing"
        raise AssetError(f"mesh {reference[:80]!r} {why}")

    def _mass(self, name: str, link: Element) -> list[float]:
        element = link.find("inertial/mass")
        if element is None:
            return []
        (mass,) = _numbers(element.get("value"), 1, f"mass of link {name[:60]!r}")
        inertia = link.find("inertial/inertia")
        if inertia is None:
            self.notes.append("no inertia in the file: computed from the geometry")
        elif tuple(_lenient(inertia.get(k)) for k in ("ixx", "iyy", "izz")) == _DUMMY_INERTIA:
            self.notes.append("the file's inertia is a placeholder: computed from the geometry")
        if mass <= 0:
            self.notes.append(f"mass {mass:g} kg in the file ignored: it must be positive")
            return []
        return [mass]


def _numbers(text: str, count: int, what: str) -> tuple[float, ...]:
    words = text.split()
    values = tuple(_lenient(word) for word in words[: count + 1])
    if len(values) != count or not all(abs(v) <= _MAX_NUMBER for v in values):
        raise AssetError(f"{what} {text[:60]!r}: expected {count} finite numbers below 10,000")
    return values


def _lenient(text: str) -> float:
    """A number, NaN if the text is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _positive(size: tuple[float, ...]) -> tuple[float, ...]:
    if min(size) <= 0:
        raise AssetError(f"geometry of size {size}: all sides must be positive")
    return size


def _origin(element: Element) -> Array:
    """Pose [4, 4] of an <origin>: translation, and fixed-axis roll, pitch, yaw."""
    pose = np.eye(4)
    origin = element.find("origin")
    if origin is None:
        return pose
    pose[:3, 3] = _numbers(origin.get("xyz", "0 0 0"), 3, "origin xyz")
    roll, pitch, yaw = _numbers(origin.get("rpy", "0 0 0"), 3, "origin rpy")
    (cr, sr), (cp, sp), (cy, sy) = ((math.cos(a), math.sin(a)) for a in (roll, pitch, yaw))
    pose[:3, :3] = [
        [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
        [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
        [-sp, cp * sr, cp * cr],
    ]
    return pose


def _colour(material: Element) -> Rgb | None:
    element = material.find("color")
    if element is None:
        return None
    r, g, b, _ = _numbers(element.get("rgba"), 4, "colour")
    return (min(max(r, 0.0), 1.0), min(max(g, 0.0), 1.0), min(max(b, 0.0), 1.0))


def _frictions(link: Element) -> list[float]:
    """Coefficients of the link's collisions where EmbodiedGen writes them."""
    values = []
    for collision in link.all("collision"):
        pair = [collision.find(f"gazebo/{tag}") for tag in ("mu1", "mu2")]
        known = [_lenient(e.text or e.get("value")) for e in pair if e is not None]
        values += [v for v in known if 0.0 < v <= 10.0]
    return [sum(values) / len(values)] if values else []


def _extra(element: Element) -> dict[str, str]:
    extra = element.find("extra_info")
    return {c.tag[:40]: " ".join(c.text.split())[:400] for c in extra.children} if extra else {}
