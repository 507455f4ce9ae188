"""The solid that a surface encloses, as a grid of cells: works for what is not watertight too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from generation.assets.importing.asset import Array, AssetError, Faces
from generation.assets.importing.clean import Surface
from generation.assets.mass import MassProperties

CELLS = 64  # grid cells along the longest side

# Columns pass beside the vertices and edges that modellers put at round coordinates.
_SHIFT = np.array([0.0137, 0.0251, 0.0193])
_SHEET_AREA = 0.3  # an opening upwards of this share of the footprint makes a sheet of a surface
# What a closed solid at least fills of the cells that its surface passes; else it is a sheet.
_THIN = 0.05
Shape3 = NDArray[np.int64]  # [3]


@dataclass(frozen=True)
class Solid:
    """Cells of a regular grid and the mass properties at density 1.

    Attributes:
        origin: [3] centre of cell (0, 0, 0), m.
        pitch: cell size, m.
        cells: bool[X, Y, Z].
        properties: exact for a watertight surface, of the cells otherwise; density 1 kg/m^3.
        sheet: thickness given to a surface that encloses nothing, m; 0 for a solid.
    """

    origin: Array
    pitch: float
    cells: NDArray[np.bool_]
    properties: MassProperties
    sheet: float

    def points(self) -> Array:
        """Centres [P, 3] of the filled cells."""
        return np.argwhere(self.cells) * self.pitch + self.origin

    def grid(self) -> Array:
        """Centres [X * Y * Z, 3] of all cells."""
        axes = [np.arange(n) for n in self.cells.shape]
        index = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        return index * self.pitch + self.origin


def fill(surface: Surface, up: Array | None, cells: int = CELLS) -> Solid:
    """The solid of a surface.

    A closed surface is filled exactly. Another one is filled where most of three axes see an
    inside; if it opens upwards, like a cup without thickness, it is a sheet and gets one.

    Args:
        surface: oriented outwards.
        up: [3] unit vector, if known.

    Raises:
        AssetError: nothing is inside.
    """
    vertices, faces = surface.vertices, surface.faces
    low, high = vertices[faces].min((0, 1)), vertices[faces].max((0, 1))
    pitch = float((high - low).max()) / cells
    shape = np.maximum(np.ceil((high - low) / pitch).astype(int), 1) + 2
    origin = (low + high) / 2 - (shape - 1) / 2 * pitch + _SHIFT * pitch
    if _opens_up(surface, up, high - low):
        inside = None
    else:
        inside = _inside(vertices, faces, origin, pitch, shape, surface.watertight)
    touched = _touched(vertices, faces, origin, pitch, shape)
    sheet = 0.0
    if surface.watertight and inside is not None:
        exact = surface_properties(vertices, faces)
        if exact.volume > 0:
            # Walls thinner than a cell fall between the columns: keep the cells they pass.
            filled = float(inside.sum()) * pitch**3
            thin = filled < 0.5 * exact.volume
            if surface.numbers["components"] > 1 and 0.0 < filled < 0.93 * exact.volume:
                # Closed parts that overlap would weigh double.
                exact = cell_properties(np.argwhere(inside) * pitch + origin, pitch)
            return Solid(origin, pitch, inside | touched if thin else inside, exact, 0.0)
    if inside is None or inside.sum() < _THIN * touched.sum():
        inside, sheet = touched, pitch
    if not inside.any():
        raise AssetError("the surface encloses nothing")
    properties = cell_properties(np.argwhere(inside) * pitch + origin, pitch)
    return Solid(origin, pitch, inside, properties, sheet)


def _opens_up(surface: Surface, up: Array | None, extent: Array) -> bool:
    if up is None or surface.watertight:
        return False
    axis = int(np.argmax(np.abs(up)))
    footprint = float(np.prod(np.delete(extent, axis)))
    return float(surface.opening @ up) > _SHEET_AREA * footprint


def _inside(
    vertices: Array,
    faces: Faces,
    origin: Array,
    pitch: float,
    shape: Shape3,
    closed: bool,
) -> NDArray[np.bool_]:
    """Cells inside by the winding number along one axis, or by the vote of three."""
    local = (vertices - origin) / pitch
    if closed:
        return winding(local, faces, shape, 2)[0] > 0
    votes = np.zeros(tuple(shape), np.int8)
    asked = np.zeros(tuple(shape), np.int8)
    for axis in range(3):
        number, sound = winding(local, faces, shape, axis)
        votes += (number != 0) & sound
        asked += sound
    return (2 * votes > asked) & (votes > 0)


def winding(
    local: Array, faces: Faces, shape: Shape3, axis: int
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Winding numbers [X, Y, Z] of the cell centres along one axis, and where they can be trusted.

    Args:
        local: [V, 3] vertices in cells: centre (i, j, k) lies at (i, j, k).
    """
    order = [(axis + 1) % 3, (axis + 2) % 3, axis]
    corners = local[faces][:, :, order]
    nu, nv, nw = (int(shape[k]) for k in order)
    column, depth, sign = _crossings(corners, nu, nv)
    step = np.clip(np.ceil(depth), 0, nw).astype(int)
    number = np.zeros((nu * nv, nw + 1), np.int32)
    np.add.at(number, (column, step), sign)
    number = np.cumsum(number, axis=1)
    sound = np.broadcast_to(number[:, -1:] == 0, number.shape)[:, :-1]
    back = np.argsort(order)
    grid = number[:, :-1].reshape(nu, nv, nw).transpose(back)
    return grid, sound.reshape(nu, nv, nw).transpose(back)


def _crossings(
    corners: Array, nu: int, nv: int
) -> tuple[NDArray[np.int64], Array, NDArray[np.int32]]:
    """Where the grid's columns cross triangles [F, 3, 3]: column, depth, +1 entering."""
    flat = corners[:, :, :2]
    low = np.clip(np.ceil(flat.min(axis=1)), 0, [nu, nv]).astype(int)
    high = np.clip(np.floor(flat.max(axis=1)), -1, [nu - 1, nv - 1]).astype(int)
    wide = np.maximum(high - low + 1, 0)
    count = wide[:, 0] * wide[:, 1]
    owner = np.repeat(np.arange(len(corners)), count)
    index = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    u = low[owner, 0] + index // np.maximum(wide[owner, 1], 1)
    v = low[owner, 1] + index % np.maximum(wide[owner, 1], 1)
    a, b, c = (corners[owner, k] for k in range(3))

    def side(p: Array, q: Array) -> Array:
        return (q[:, 0] - p[:, 0]) * (v - p[:, 1]) - (q[:, 1] - p[:, 1]) * (u - p[:, 0])

    wa, wb, wc = side(b, c), side(c, a), side(a, b)
    total = wa + wb + wc
    hit = ((wa >= 0) & (wb >= 0) & (wc >= 0)) | ((wa <= 0) & (wb <= 0) & (wc <= 0))
    hit &= np.abs(total) > 1e-12
    wa, wb, wc, total = wa[hit], wb[hit], wc[hit], total[hit]
    depth = (wa * a[hit, 2] + wb * b[hit, 2] + wc * c[hit, 2]) / total
    return u[hit] * nv + v[hit], depth, np.where(total < 0, 1, -1).astype(np.int32)


def _touched(
    vertices: Array, faces: Faces, origin: Array, pitch: float, shape: Shape3
) -> NDArray[np.bool_]:
    """Cells that the surface passes, by points sampled a third of a cell apart."""
    corners = (vertices[faces] - origin) / pitch
    area = np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    steps = np.clip(np.ceil(np.sqrt(area) * 3), 1, 300).astype(int)
    out = np.zeros(tuple(shape), bool)
    for count in np.unique(steps):
        own = corners[steps == count]
        i, j = np.meshgrid(np.arange(count + 1), np.arange(count + 1), indexing="ij")
        keep = i + j <= count
        share = np.stack([i[keep], j[keep]], axis=1) / count
        weights = np.concatenate([1 - share.sum(axis=1, keepdims=True), share], axis=1)
        for block in np.array_split(own, max(1, len(own) * len(weights) // 2_000_000)):
            points = np.rint(np.einsum("pk,fkd->fpd", weights, block).reshape(-1, 3)).astype(int)
            points = np.clip(points, 0, shape - 1)
            out[points[:, 0], points[:, 1], points[:, 2]] = True
    return out


def surface_properties(vertices: Array, faces: Faces) -> MassProperties:
    """Exact volume, centre of mass and inertia (density 1) inside a closed surface."""
    middle = vertices[faces].reshape(-1, 3).mean(axis=0)
    corners = vertices[faces] - middle
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    volume6 = np.einsum("ij,ij->i", a, np.cross(b, c))  # six times each tetrahedron's volume
    volume = float(volume6.sum() / 6)
    if volume <= 0:
        return MassProperties(volume, volume, middle, np.zeros((3, 3)))
    total = a + b + c
    first = (volume6[:, None] * total).sum(axis=0) / 24
    second = sum(np.einsum("f,fi,fj->ij", volume6, p, p) for p in (a, b, c, total)) / 120
    com = first / volume
    spread = second - volume * np.outer(com, com)
    inertia = np.trace(spread) * np.eye(3) - spread
    return MassProperties(volume, volume, com + middle, inertia)


def cell_properties(points: Array, pitch: float) -> MassProperties:
    """Volume, centre of mass and inertia (density 1) of cubic cells at `points` [P, 3]."""
    cell = pitch**3
    com = points.mean(axis=0)
    centred = points - com
    spread = cell * (centred.T @ centred + len(points) * pitch**2 / 12 * np.eye(3))
    inertia = np.trace(spread) * np.eye(3) - spread
    return MassProperties(len(points) * cell, len(points) * cell, com, inertia)
