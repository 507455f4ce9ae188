"""π0's sizes, names and roles of its parameters, and the numbers that go in and out."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from pi0_samples import TINY

from vla_jax.convert import join
from vla_jax.models.config import PolicyConfig
from vla_jax.models.pi0 import Pi0, abstract_params
from vla_jax.models.pi0_config import (
    BASE,
    PI0,
    PI0_TINY,
    PI05,
    LoraConfig,
    NormStats,
    Pi0Config,
    StatePrompt,
)
from vla_jax.models.pi0_data import normalize, say_state, unnormalize
from vla_jax.models.siglip import resize_with_pad
from vla_jax.openpi.names import openpi_names

pytestmark = pytest.mark.usefixtures("quick_compilation")

LORA = LoraConfig(rank=3, alpha=6.0)


@pytest.mark.parametrize(
    ("pi0", "leaves", "size"),
    [(PI0, 50, 3_238_048_528), (PI05, 51, 3_353_433_872)],
    ids=["pi0", "pi05"],
)
def test_full_size_tree_is_openpis(pi0, leaves, size):
    """Names, shapes and number of parameters of the real models, without making one."""
    config = PolicyConfig(pi0=pi0.without_lora())
    params = abstract_params(config)
    flat = {join(path): leaf for path, leaf in nnx.to_flat_state(params)}
    names = openpi_names(pi0)
    shapes = {theirs: flat[ours].shape for ours, theirs in names.items()}
    assert len(shapes) == leaves
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == size
    own = set(flat) - set(names)
    assert {name.split("/")[0] for name in own} == {"noise", "value_layers"}
    llm, img = "PaliGemma/llm/layers/", "PaliGemma/img/Transformer/encoderblock/"
    heads = img + "MultiHeadDotProductAttention_0/"
    expected = {
        "PaliGemma/img/embedding/kernel": (14, 14, 3, 1152),
        "PaliGemma/img/pos_embedding": (1, 256, 1152),
        "PaliGemma/img/head/kernel": (1152, 2048),
        img + "LayerNorm_1/bias": (27, 1152),
        img + "MlpBlock_0/Dense_0/kernel": (27, 1152, 4304),
        heads + "query/kernel": (27, 1152, 16, 72),
        heads + "query/bias": (27, 16, 72),
        heads + "out/kernel": (27, 16, 72, 1152),
        "PaliGemma/llm/embedder/input_embedding": (257_152, 2048),
        llm + "attn/q_einsum/w": (18, 8, 2048, 256),
        llm + "attn/kv_einsum_1/w": (18, 2, 1, 1024, 256),
        llm + "attn/attn_vec_einsum/w": (18, 8, 256, 2048),
        llm + "mlp/gating_einsum": (18, 2, 2048, 16_384),
        llm + "mlp_1/linear": (18, 4096, 1024),
        llm + "pre_attention_norm/scale": (18, 2048),
        "action_in_proj/kernel": (32, 1024),
        "action_out_proj/kernel": (1024, 32),
    }
    if pi0.pi05:
        expected |= {
            llm + "pre_ffw_norm_1/Dense_0/kernel": (18, 1024, 3072),
            "PaliGemma/llm/final_norm_1/Dense_0/bias": (3072,),
            "time_mlp_in/kernel": (1024, 1024),
        }
        assert "state_proj/kernel" not in shapes
    else:
        expected |= {
            llm + "pre_ffw_norm_1/scale": (18, 1024),
            "state_proj/kernel": (32, 1024),
            "action_time_mlp_in/kernel": (2048, 1024),
        }
    assert {name: shapes.get(name) for name in expected} == expected


def count(config: PolicyConfig) -> dict[str, int]:
    params = abstract_params(config)
    sizes = dict.fromkeys(("actor", "critic", "frozen"), 0)
    for path, leaf in nnx.to_flat_state(params):
        role = Pi0.role(path, config)
        sizes[role] += int(np.prod(leaf.shape))
        stored = config.pi0.frozen_dtype if role == "frozen" else config.pi0.param_dtype
        if path[-1] in ("w", "embedding"):
            assert leaf.dtype == stored, path
    return sizes


def test_presets_have_the_sizes_they_promise():
    paper = count(PolicyConfig(pi0=PI0))
    # SigLIP and Gemma freeze; the action expert (311 M) and LoRA of rank 32 train.
    assert paper["frozen"] == 2_923_335_408
    assert 350e6 < paper["actor"] < 400e6
    base, tiny = count(PolicyConfig(pi0=BASE)), count(TINY)
    assert base["frozen"] == tiny["frozen"] == 0
    assert 100e6 < base["actor"] < 150e6
    assert tiny["actor"] < 50e3
    assert tiny["critic"] > 0


def roles(freeze: str, lora: LoraConfig) -> dict[str, str]:
    config = replace(TINY, pi0=replace(PI0_TINY, freeze=freeze, lora=lora))
    params = abstract_params(config)
    return {join(path): Pi0.role(path, config) for path, _ in nnx.to_flat_state(params)}


def test_roles():
    """What trains under each rule, and the value head apart."""
    none = LoraConfig()
    for name, role in roles("full", none).items():
        assert role == ("critic" if name.startswith("value_layers") else "actor")
    for rule, lora in (("expert", none), ("paper", LORA)):
        for name, role in roles(rule, lora).items():
            vlm = name.startswith(("vision", "language"))
            if name.startswith("value_layers"):
                assert role == "critic"
            elif vlm and not name.endswith(("/a", "/b")):
                assert role == "frozen", name
            else:
                assert role == "actor", name
    paper = roles("paper", LORA)
    assert {"vision/layers/query/a", "vision/layers/up/b", "language/layers/kv/a"} <= set(paper)
    assert "language/layers/down/b" in paper
    assert "expert/layers/q/a" not in paper
    attention = roles("paper", replace(LORA, kinds=("attention",)))
    assert "vision/layers/out/a" in attention and "vision/layers/up/a" not in attention
    every = roles("paper", replace(LORA, parts=("vision", "language", "expert")))
    assert every["expert/layers/q/w"] == "frozen" and every["expert/layers/q/a"] == "actor"
    assert every["expert/layers/norm_mlp/scale"] == every["action_in/kernel"] == "actor"


def test_actions_there_and_back():
    """from_env then to_env is the identity; statistics scale as openpi's transforms do."""
    norm = NormStats((0.5, 0.0), (2.0, 0.5), (-1.0, 0.0), (3.0, 1.0))
    action = jax.random.uniform(jax.random.key(0), (3, 4, 7), minval=-1.0)
    for pi05 in (False, True):
        pi0 = replace(PI0_TINY, pi05=pi05, action_norm=norm)
        module = nnx.eval_shape(lambda pi0=pi0: Pi0(replace(TINY, pi0=pi0), rngs=nnx.Rngs(0)))
        chunk = module.from_env(action)
        assert chunk.shape == (3, 6, 32)
        np.testing.assert_allclose(module.to_env(chunk), action, atol=1e-5)
        np.testing.assert_array_equal(chunk[:, 4:], jnp.repeat(chunk[:, 3:4], 2, axis=1))
        np.testing.assert_array_equal(chunk[..., 7:], 0.0)
        np.testing.assert_allclose(chunk[:, :4, 2:7], action[..., 2:], atol=1e-6)
    x = jnp.array([[4.5, 1.0]])
    np.testing.assert_allclose(normalize(x, norm, False), [[2.0, 2.0]], rtol=1e-5)
    np.testing.assert_allclose(normalize(x, norm, True), [[1.75, 1.0]], rtol=1e-5)
    np.testing.assert_allclose(
        unnormalize(jnp.array([[-1.0, 1.0]]), norm, True), [[-1, 1]], rtol=1e-5
    )
    np.testing.assert_array_equal(normalize(x, None, False), x)


def test_flow_times_favour_noise():
    """openpi's t = 0.999 Beta(1.5, 1) + 0.001 has mean 0.6004; ours is 1 - t."""
    module = nnx.eval_shape(lambda: Pi0(TINY, rngs=nnx.Rngs(0)))
    time = module.flow_time(jax.random.key(0), (20_000,))
    assert float(time.min()) >= 0.0 and float(time.max()) <= 0.999
    assert abs(float(time.mean()) - 0.3996) < 0.005


def test_resize_with_pad_by_hand():
    """Twice as wide as high: black bars above and below; a fitting picture stays as it is."""
    white = jnp.full((1, 4, 8, 3), 255, jnp.uint8)
    out = resize_with_pad(white, 8)
    np.testing.assert_array_equal(out[0, :, 0, 0], [-1, -1, 1, 1, 1, 1, -1, -1])
    grown = resize_with_pad(jnp.full((1, 2, 4, 3), 51, jnp.uint8), 8)
    np.testing.assert_allclose(grown[0, 2:6], -0.6, atol=1e-6)
    same = jnp.arange(192, dtype=jnp.uint8).reshape(1, 8, 8, 3)
    np.testing.assert_allclose(resize_with_pad(same, 8), same / 127.5 - 1.0, atol=1e-6)


def test_state_in_words():
    """Bins as np.digitize counts them, gaps closed, what does not fit cut."""
    prompt = StatePrompt(
        bins=tuple((100 + i,) if i % 2 else (400, 500 + i) for i in range(257)), end=(7, 8)
    )
    state = np.array([[-1.5, -1.0, 0.0, 0.999, 3.0]], np.float32)
    words = jnp.array([[2, 9, 0, 0]])
    bins = np.digitize(state[0], np.linspace(-1, 1, 257)[:-1])
    want = [2, 9] + [token for i in bins for token in prompt.bins[i]] + [7, 8]
    said = np.asarray(say_state(words, jnp.asarray(state), prompt, 16))[0]
    assert said[: len(want)].tolist() == want and not said[len(want) :].any()
    short = np.asarray(say_state(words, jnp.asarray(state), prompt, 4))[0]
    assert short.tolist() == want[:4]


def test_config_round_trip_and_complaints():
    spoken = StatePrompt(bins=((1,),) * 257, end=(2,))
    norm = NormStats((0.0,), (1.0,), (-1.0,), (1.0,))
    full = replace(PI05, state_norm=norm, action_norm=norm, state_prompt=spoken)
    for pi0 in (PI0, BASE, PI0_TINY, full):
        assert Pi0Config.from_json(pi0.to_json()) == pi0
        config = replace(TINY, pi0=pi0)
        assert PolicyConfig.from_json(config.to_json()) == config
        hash(config)
    data = PI0.to_json()
    with pytest.raises(ValueError, match=r"pi0\.vision has unknown fields \['colour'\]"):
        Pi0Config.from_json(data | {"vision": data["vision"] | {"colour": 1}})
    with pytest.raises(ValueError, match="freeze='paper' needs LoRA"):
        replace(PI0_TINY, freeze="paper")
    with pytest.raises(ValueError, match="freeze='full' trains every kernel"):
        replace(PI0_TINY, lora=LORA)
    with pytest.raises(ValueError, match="no LoRA there"):
        replace(PI0_TINY, lora=LORA, freeze="expert")
    with pytest.raises(ValueError, match="q01 and q99"):
        replace(PI05, action_norm=NormStats((0.0,), (1.0,)))
    with pytest.raises(ValueError, match="dtype is 'float16'"):
        replace(PI0_TINY, dtype="float16")
    with pytest.raises(ValueError, match="horizon only 6"):
        Pi0(replace(TINY, chunk=7), rngs=nnx.Rngs(0))
