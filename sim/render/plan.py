"""How many scenes and rays are drawn at once: planned from a budget, not found by crashing."""

from __future__ import annotations

from dataclasses import dataclass

import jax

# Bytes, checked against XLA's own account of temporary memory (tests/test_render.py).
_BYTES_PER_RAY = 24  # of all rays of the scenes drawn at once: best, its reordering, outputs
_BYTES_PER_TILE_RAY = 260  # of the rays of a tile: directions, surface columns, colours
_BYTES_PER_GEOM = 600  # tables of a geom
_BYTES_PER_FACE = 320  # tables of a face of a convex part
_BUDGET = {"cpu": 512 << 20}
_ACCELERATOR_BUDGET = 4 << 30
# A CPU's tiles are long enough to hide the cost of starting each operation and short enough for its
# caches, and at least eight if possible, since sorting blocks into tiles is what makes loops short
# (measured: 32 k rays 6,500, 128 k 8,100, 512 k 5,600 frames/s). An accelerator wants all the work
# it can get.
_CPU_TILES = (1 << 15, 1 << 17)
_TILES = 8
_ACCELERATOR_TILE = 1 << 22


@dataclass(frozen=True)
class Plan:
    """Static sizes of a rendering program.

    Attributes:
        scenes: pictures that are drawn at once; the others wait.
        rays: rays that are handled at once.
        bytes: memory that the program needs besides its inputs and pictures, an upper bound.
    """

    scenes: int
    rays: int
    bytes: int


def plan_render(
    n: int,
    height: int,
    width: int,
    geoms: int,
    *,
    faces: int = 0,
    samples: int = 1,
    budget: int | None = None,
    platform: str | None = None,
) -> Plan:
    """The plan for N pictures.

    Args:
        n: scenes.
        height, width: pixels.
        geoms: geoms of a scene.
        faces: faces of all convex parts of a scene, with those that only fill up.
        samples: as in `render`.
        budget: bytes; by default 512 MiB on a CPU and 4 GiB on an accelerator.
        platform: "cpu" or another; by default the one that JAX computes on.

    Raises:
        ValueError: not even one picture fits; says what would.
    """
    platform = platform or jax.default_backend()
    if budget is None:
        budget = _BUDGET.get(platform, _ACCELERATOR_BUDGET)
    rays = (-(-height * samples // 8) * 8) * (-(-width * samples // 8) * 8)
    each = rays * _BYTES_PER_RAY + (geoms + 2) * _BYTES_PER_GEOM + faces * _BYTES_PER_FACE
    low, high = _CPU_TILES if platform == "cpu" else (_ACCELERATOR_TILE,) * 2
    tile = min(max(low, min(high, n * rays // _TILES)), max(n, 1) * rays)
    while tile > 64 and tile * _BYTES_PER_TILE_RAY > budget // 2:
        tile //= 2
    room = budget - tile * _BYTES_PER_TILE_RAY
    scenes = min(n, room // each)
    if scenes < 1:
        raise ValueError(
            f"one picture of {height} x {width} pixels with {samples} x {samples} rays each and "
            f"{geoms} geoms needs {each + tile * _BYTES_PER_TILE_RAY:,} bytes, the budget is "
            f"{budget:,}: draw smaller pictures, fewer samples, or raise the budget"
        )
    return Plan(int(scenes), int(tile), int(scenes * each + tile * _BYTES_PER_TILE_RAY))
