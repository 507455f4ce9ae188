"""π0 and π0.5 against a float64 reference, and LoRA."""

from __future__ import annotations

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pi0_reference as reference
import pytest
from flax import nnx
from pi0_samples import TINY, TINY05, random_params

from sim.types import Observation
from vla_jax.convert import join
from vla_jax.models.config import PolicyConfig
from vla_jax.models.gemma import rms_norm
from vla_jax.models.lora import make_kernel, merge_lora
from vla_jax.models.pi0 import Pi0, abstract_params
from vla_jax.models.pi0_config import PI0_TINY, LoraConfig, Pi0Config
from vla_jax.models.siglip import layer_norm, resize_with_pad
from vla_jax.openpi.names import openpi_names

pytestmark = pytest.mark.usefixtures("quick_compilation")

LORA = LoraConfig(rank=3, alpha=6.0)


def merge(config: PolicyConfig, params: nnx.State) -> Pi0:
    graph, _ = nnx.split(nnx.eval_shape(lambda: Pi0(config, rngs=nnx.Rngs(0))), nnx.Param)
    return nnx.merge(graph, params)


@functools.cache
def flow(config: PolicyConfig):
    """(params, obs, x, time) → velocity, noise, prefix; compiled once a configuration."""

    @jax.jit
    def run(params, obs, x, time):
        module = merge(config, params)
        prefix, _ = module.see(obs)
        return *module.velocity(prefix, x, time), prefix

    return run


def openpi_params(config: Pi0Config, params: nnx.State) -> dict[str, np.ndarray]:
    flat = {join(path): leaf for path, leaf in nnx.to_flat_state(params)}
    names = openpi_names(config).items()
    return {theirs: np.asarray(flat[ours][...], np.float64) for ours, theirs in names}


@pytest.fixture(scope="module")
def obs() -> Observation:
    """Two examples with prompts of unlike length; a wide picture and a small square one."""
    rng = np.random.default_rng(1)
    words = rng.integers(1, 64, (2, 12)).astype(np.int32)
    words[0, 5:], words[1, 9:] = 0, 0
    return Observation(
        image=jnp.asarray(rng.integers(0, 256, (2, 16, 24, 3)), jnp.uint8),
        wrist=jnp.asarray(rng.integers(0, 256, (2, 8, 8, 3)), jnp.uint8),
        proprio=jnp.asarray(rng.standard_normal((2, 12)), jnp.float32),
        instruction=jnp.asarray(words),
    )


@pytest.fixture(scope="module")
def noisy() -> tuple[jax.Array, jax.Array]:
    key = jax.random.key(2)
    return jax.random.normal(key, (2, 6, 32)), jnp.array([0.0, 0.3])


@pytest.mark.parametrize("config", [TINY, TINY05], ids=["pi0", "pi05"])
def test_forward_pass_equals_the_reference(config, obs, noisy):
    """Cached prefix and suffix give what one joint pass gives, third picture slot included."""
    params = random_params(config)
    got, _, _ = flow(config)(params, obs, *noisy)
    flat = openpi_params(config.pi0, params)
    pictures = [np.asarray(resize_with_pad(x, 16), np.float64) for x in (obs.image, obs.wrist)]
    for i in range(2):
        images = [pictures[0][i], pictures[1][i], np.ones((16, 16, 3))]
        state = np.pad(np.asarray(obs.proprio[i], np.float64), (0, 20))
        words, x = np.asarray(obs.instruction[i]), np.asarray(noisy[0][i], np.float64)
        want = reference.velocity(flat, images, words, state, x, 1.0 - float(noisy[1][i]))
        # openpi's velocity points from the action to the noise, the paper's the other way.
        assert np.abs(want).mean() > 0.1
        np.testing.assert_allclose(got[i], -want, atol=3e-4 * np.abs(want).max())


def test_remat_and_bfloat16(obs, noisy):
    """Recomputed layers give the same; bfloat16 only rounds, and heads stay in float32."""
    params = random_params(TINY)
    fine, _, _ = flow(TINY)(params, obs, *noisy)
    frugal = flow(replace(TINY, pi0=replace(PI0_TINY, remat=True, dtype="bfloat16")))
    coarse, std, _ = frugal(params, obs, *noisy)
    assert coarse.dtype == std.dtype == jnp.float32
    assert 0.0 < float(jnp.abs(coarse - fine).mean()) < 0.1 * float(jnp.abs(fine).mean())
    # The three towers' layers, and nothing else, are recomputed in the backward pass.
    program = str(jax.make_jaxpr(frugal)(params, obs, *noisy))
    assert program.count("prevent_cse=False") == program.count("scan[") == 3


def test_layers_are_not_unrolled():
    """A deeper model is the same program: nothing but the length of the scans differs."""

    def equations(depth: int) -> int:
        pi0 = replace(
            PI0_TINY,
            vision=replace(PI0_TINY.vision, depth=depth),
            language=replace(PI0_TINY.language, depth=depth),
        )
        config = replace(TINY, pi0=pi0)
        params = abstract_params(config)
        spec = jax.ShapeDtypeStruct
        see = Observation(
            spec((1, 16, 16, 3), jnp.uint8),
            spec((1, 16, 16, 3), jnp.uint8),
            spec((1, 12), jnp.float32),
            spec((1, 12), jnp.int32),
        )
        chunk, time = spec((1, 6, 32), jnp.float32), spec((1,), jnp.float32)
        return str(jax.make_jaxpr(flow(config))(params, see, chunk, time)).count("\n")

    assert equations(2) == equations(9)


def test_norms_use_a_tiny_epsilon_in_float32():
    """Small activations show the epsilon 1e-6; bfloat16 input is normed in float32."""
    x = jnp.full((1, 1, 4), 1e-3)
    scale = {"scale": jnp.full(4, 0.5)}
    normed, gate = rms_norm(x, scale, None)
    np.testing.assert_allclose(normed, 1.5e-3 / np.sqrt(2e-6), rtol=1e-5)
    assert gate is None
    x = jnp.array([[[1e-3, -1e-3]]])
    normed = layer_norm(x, {"scale": jnp.ones(2), "bias": jnp.zeros(2)})
    np.testing.assert_allclose(normed[0, 0], [0.5**0.5, -(0.5**0.5)], rtol=1e-5)
    coarse = rms_norm(jnp.asarray([[[300.0, 1.0]]], jnp.bfloat16), {"scale": jnp.zeros(2)}, None)[0]
    assert coarse.dtype == jnp.bfloat16
    np.testing.assert_allclose(coarse[0, 0, 0].astype(jnp.float32), 2**0.5, rtol=4e-3)


def test_lora_starts_as_identity_and_merges(obs, noisy):
    """A fresh update changes nothing; a trained one gives the same merged into its kernel."""
    tuned = replace(TINY, pi0=replace(PI0_TINY, lora=LORA, freeze="paper"))
    plain = replace(TINY, pi0=tuned.pi0.without_lora())
    trained = random_params(tuned)
    fresh = jax.tree_util.tree_map_with_path(
        lambda path, x: 0.0 * x if path[-2].key == "b" else x, trained
    )
    kernel = make_kernel("language", "q", (4, 16, 8), 3, tuned.pi0, nnx.Rngs(0))
    assert float(jnp.abs(kernel["a"][...]).min()) > 0.0
    assert not kernel["b"][...].any()
    base = nnx.from_flat_state(
        [(path, leaf) for path, leaf in nnx.to_flat_state(trained) if path[-1] not in ("a", "b")]
    )
    start, _, _ = flow(tuned)(fresh, obs, *noisy)
    untouched, _, _ = flow(plain)(base, obs, *noisy)
    np.testing.assert_allclose(start, untouched, atol=1e-5)
    got, _, _ = flow(tuned)(trained, obs, *noisy)
    want, _, _ = flow(plain)(merge_lora(trained, tuned.pi0), obs, *noisy)
    assert float(jnp.abs(got - start).max()) > 0.1
    np.testing.assert_allclose(got, want, atol=3e-4 * float(jnp.abs(want).max()))


def test_noise_value_and_shapes(obs, noisy):
    """Noise stays in its range, padding gets the least of it; the value sees no picture."""
    params = random_params(TINY)
    _, std, _ = flow(TINY)(params, obs, *noisy)
    relative = std[..., :7] / jnp.asarray(TINY.noise_scale)
    assert float(relative.min()) >= TINY.noise_min - 1e-6
    assert float(relative.max()) <= TINY.noise_max + 1e-6
    np.testing.assert_allclose(std[..., 7:], TINY.noise_min)
    module = merge(TINY, params)
    assert module.horizon == (6, 32)
    assert module.executed(noisy[0]).shape == (2, 4, 7)
    assert module.value(jnp.ones((3, TINY.privileged))).shape == (3,)
    loss, error = module.localization_loss(None, jnp.ones((3, 16)))
    np.testing.assert_array_equal(jnp.stack([loss, error]), jnp.zeros((2, 3)))


def test_padding_and_state_reach_only_what_they_should(obs, noisy):
    """Padding tokens say nothing; the state moves π0's velocity; the prefix never sees it."""
    params = random_params(TINY)
    run = flow(TINY)
    base, _, prefix = run(params, obs, *noisy)
    poked = jax.tree_util.tree_map_with_path(
        lambda path, x: x.at[0].add(5.0) if "embedding" in jax.tree_util.keystr(path) else x, params
    )
    np.testing.assert_allclose(run(poked, obs, *noisy)[0], base, atol=1e-4)
    moved, _, other = run(params, replace(obs, proprio=obs.proprio + 1.0), *noisy)
    assert float(jnp.abs(moved - base).max()) > 1e-3
    jax.tree.map(np.testing.assert_array_equal, prefix.cache, other.cache)
    np.testing.assert_array_equal(other.state[:, 12:], 0.0)
