"""The lamps of an episode: from training's lights to three others."""

from __future__ import annotations

import math

import numpy as np

from sim.render.types import Light
from sim.transfer.config import TransferConfig
from sim.transfer.looks import LAMPS
from sim.transfer.opengl import Lamps


def lamps_of(light: Light, key_data: np.ndarray, config: TransferConfig) -> list[Lamps]:
    """The lamps of N episodes.

    The ray caster's lights are factors on linear light, MuJoCo's on sRGB: they become what has the
    same effect on a surface in shadow and on one that faces the light.

    Args:
        light: the lights that the training domain has, leading axis N.
        key_data: u32[N, ...] data of the episodes' keys, from which the others follow.
        config: how far to go from the one to the other.
    """
    host = {
        name: None if value is None else np.asarray(value, float)
        for name, value in vars(light).items()
    }
    rows = key_data.reshape(len(key_data), -1)
    return [_lamps({k: None if v is None else v[i] for k, v in host.items()}, row, config)
            for i, row in enumerate(rows)]  # fmt: skip


def _lamps(light: dict, row: np.ndarray, config: TransferConfig) -> Lamps:
    usual, far = _usual(light), _elsewhere(np.random.default_rng([*row.tolist(), 2]), light)
    share = config.lights
    mix = [(1.0 - share) * a + share * b for a, b in zip(usual, far, strict=True)]
    length = np.linalg.norm(mix[1], axis=1, keepdims=True)
    # Opposite directions would cancel in the middle of the way.
    direction = np.where(length > 0.1, mix[1] / np.maximum(length, 1e-9), far.direction)
    return Lamps(mix[0], direction, mix[2], mix[3])


def _usual(light: dict) -> Lamps:
    """Training's key light and, if it has one, its fill light."""
    shade = _srgb(light["ambient"])
    direction = np.tile([0.0, 0.0, -1.0], (LAMPS, 1))
    diffuse = np.zeros((LAMPS, 3))
    direction[0] = light["direction"]
    diffuse[0] = _srgb(light["ambient"] + light["diffuse"]) - shade
    if light["fill"] is not None:
        direction[1] = light["fill_direction"]
        diffuse[1] = _srgb(light["ambient"] + light["fill"]) - shade
    return Lamps(shade, direction, diffuse, diffuse)


def _srgb(linear: np.ndarray) -> np.ndarray:
    return np.clip(linear, 0.0, 1.0) ** (1.0 / 2.2)


def _elsewhere(rng: np.random.Generator, light: dict) -> Lamps:
    """A key lamp from another side and lower, one across from it, and one high up."""
    usual = math.atan2(light["direction"][1], light["direction"][0])
    key = usual + rng.choice([-1.0, 1.0]) * rng.uniform(0.5 * math.pi, math.pi)
    across = key + rng.choice([-1.0, 1.0]) * rng.uniform(1.7, 2.8)
    turn = np.array([key, across, rng.uniform(-math.pi, math.pi)])
    tilt = rng.uniform([0.6, 0.8, 0.0], [0.9, 1.1, 0.4])  # rad from the vertical
    flat = np.sin(tilt)
    direction = np.stack([flat * np.cos(turn), flat * np.sin(turn), -np.cos(tilt)], -1)
    strength = rng.uniform([0.40, 0.15, 0.10], [0.55, 0.30, 0.20])[:, None]
    warmth = rng.uniform(-0.12, 0.12, LAMPS)[:, None] * np.array([1.0, 0.1, -1.0])
    diffuse = strength * (1.0 + warmth)
    return Lamps(np.full(3, rng.uniform(0.22, 0.34)), direction, diffuse, diffuse)
