"""What a cheap camera makes of a picture: colour balance, gamma, blur, noise and compression."""

from __future__ import annotations

import io

import jax.numpy as jnp
import numpy as np
from PIL import Image

from sim.image_noise import add_noise
from sim.transfer.config import TransferConfig


def expose(
    images: np.ndarray,
    key_data: np.ndarray,
    time: np.ndarray,
    camera: int,
    config: TransferConfig,
    noise: float,
) -> np.ndarray:
    """Pictures as the policy gets them.

    Args:
        images: u8[N, H, W, 3] as drawn.
        key_data: u32[N, ...] data of the episodes' keys; gains and gamma follow from them.
        time: i32[N] control steps since reset.
        camera: number of the camera.
        config: sizes of the effects.
        noise: standard deviation of the noise, 8-bit steps.

    Returns:
        u8[N, H, W, 3].
    """
    if config.gamma or config.white_balance or config.blur:
        gain, gamma = _balance(key_data, config)
        light = images.astype(np.float32) / 255.0
        light = (light * gain[:, None, None]) ** gamma[:, None, None, None]
        if config.blur:
            light = blurred(light, config.blur)
        images = np.round(255.0 * np.clip(light, 0.0, 1.0)).astype(np.uint8)
    if noise:
        noisy = add_noise(
            jnp.asarray(images), jnp.asarray(key_data), jnp.asarray(time), camera, noise
        )
        images = np.asarray(noisy)
    return compressed(images, config.jpeg) if config.jpeg else images


def _balance(key_data: np.ndarray, config: TransferConfig) -> tuple[np.ndarray, np.ndarray]:
    """Gains f32[N, 3] of the channels and exponents f32[N] of every episode."""
    gain, gamma = [], []
    for row in key_data.reshape(len(key_data), -1):
        rng = np.random.default_rng([*row.tolist(), 1])
        towards = rng.normal(size=3)
        gain.append(config.white_balance * towards / np.linalg.norm(towards))
        gamma.append(config.gamma * rng.choice([-1.0, 1.0]))
    return np.exp(gain).astype(np.float32), np.exp(gamma).astype(np.float32)


def blurred(images: np.ndarray, std: float) -> np.ndarray:
    """Gaussian blur of f32[N, H, W, 3] with a standard deviation in pixels."""
    reach = int(np.ceil(3.0 * std))
    offset = np.arange(-reach, reach + 1)
    weight = np.exp(-0.5 * (offset / std) ** 2)
    weight = (weight / weight.sum()).astype(np.float32)
    for axis in (1, 2):
        pad = [(0, 0)] * 4
        pad[axis] = (reach, reach)
        padded, size = np.pad(images, pad, mode="edge"), images.shape[axis]
        images = sum(
            w * np.take(padded, np.arange(i, i + size), axis) for i, w in enumerate(weight)
        )  # type: ignore[assignment]  # the start of the sum is no array
    return images


def compressed(images: np.ndarray, quality: int) -> np.ndarray:
    """Pictures u8[N, H, W, 3] after a trip through JPEG."""
    result = np.empty_like(images)
    for i, image in enumerate(images):
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=quality)
        result[i] = np.asarray(Image.open(buffer))
    return result
