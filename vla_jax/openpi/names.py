"""Names of π0's parameters: ours on the left, openpi's on the right.

Shapes are the same on both sides, so a conversion moves numbers and never changes them. PaliGemma's
own checkpoints use the names of `PaliGemma/img` and `PaliGemma/llm`, without the expert.
"""

from __future__ import annotations

from vla_jax.models.pi0_config import Pi0Config

_BLOCK = "Transformer/encoderblock"
_HEADS = f"{_BLOCK}/MultiHeadDotProductAttention_0"
_VISION = {
    "patch/w": "embedding/kernel",
    "patch/bias": "embedding/bias",
    "position": "pos_embedding",
    "layers/norm_attention/scale": f"{_BLOCK}/LayerNorm_0/scale",
    "layers/norm_attention/bias": f"{_BLOCK}/LayerNorm_0/bias",
    "layers/query/w": f"{_HEADS}/query/kernel",
    "layers/query/bias": f"{_HEADS}/query/bias",
    "layers/key/w": f"{_HEADS}/key/kernel",
    "layers/key/bias": f"{_HEADS}/key/bias",
    "layers/value/w": f"{_HEADS}/value/kernel",
    "layers/value/bias": f"{_HEADS}/value/bias",
    "layers/out/w": f"{_HEADS}/out/kernel",
    "layers/out/bias": f"{_HEADS}/out/bias",
    "layers/norm_mlp/scale": f"{_BLOCK}/LayerNorm_1/scale",
    "layers/norm_mlp/bias": f"{_BLOCK}/LayerNorm_1/bias",
    "layers/up/w": f"{_BLOCK}/MlpBlock_0/Dense_0/kernel",
    "layers/up/bias": f"{_BLOCK}/MlpBlock_0/Dense_0/bias",
    "layers/down/w": f"{_BLOCK}/MlpBlock_0/Dense_1/kernel",
    "layers/down/bias": f"{_BLOCK}/MlpBlock_0/Dense_1/bias",
    "norm/scale": "Transformer/encoder_norm/scale",
    "norm/bias": "Transformer/encoder_norm/bias",
    "head/w": "head/kernel",
    "head/bias": "head/bias",
}
# # stands for nothing in the language model and for "_1" in the action expert.
_TOWER = {
    "layers/q/w": "layers/attn/q_einsum#/w",
    "layers/kv/w": "layers/attn/kv_einsum#/w",
    "layers/out/w": "layers/attn/attn_vec_einsum#/w",
    "layers/gate_up/w": "layers/mlp#/gating_einsum",
    "layers/down/w": "layers/mlp#/linear",
}
_NORMS = {
    "layers/norm_attention": "layers/pre_attention_norm#",
    "layers/norm_mlp": "layers/pre_ffw_norm#",
    "norm": "final_norm#",
}
_PROJECTIONS = {
    "action_in": "action_in_proj",
    "action_out": "action_out_proj",
    "time_in": "action_time_mlp_in",
    "time_out": "action_time_mlp_out",
    "state_in": "state_proj",
}
_PROJECTIONS_05 = {
    "action_in": "action_in_proj",
    "action_out": "action_out_proj",
    "time_in": "time_mlp_in",
    "time_out": "time_mlp_out",
}


def paligemma_names() -> dict[str, str]:
    """Our name → PaliGemma's, of the image encoder and the language model."""
    names = {f"vision/{ours}": f"img/{theirs}" for ours, theirs in _VISION.items()}
    names["language/embedding"] = "llm/embedder/input_embedding"
    return names | _tower("language", "", adaptive=False)


def openpi_names(config: Pi0Config) -> dict[str, str]:
    """Our name → openpi's, of every parameter that openpi has (LoRA, noise and value heads apart).

    Names are paths joined by "/".
    """
    names = paligemma_names() | _tower("expert", "_1", adaptive=config.pi05)
    names = {ours: f"PaliGemma/{theirs}" for ours, theirs in names.items()}
    for ours, theirs in (_PROJECTIONS_05 if config.pi05 else _PROJECTIONS).items():
        names |= {f"{ours}/{leaf}": f"{theirs}/{leaf}" for leaf in ("kernel", "bias")}
    return names


def _tower(part: str, suffix: str, *, adaptive: bool) -> dict[str, str]:
    names = dict(_TOWER)
    for ours, theirs in _NORMS.items():
        if adaptive:
            names[f"{ours}/w"] = f"{theirs}/Dense_0/kernel"
            names[f"{ours}/bias"] = f"{theirs}/Dense_0/bias"
        else:
            names[f"{ours}/scale"] = f"{theirs}/scale"
    return {
        f"{part}/{ours}": f"llm/{theirs.replace('#', suffix)}" for ours, theirs in names.items()
    }


def lora_names(name: str) -> tuple[str, str] | None:
    """Names of openpi's low-rank update a and b of one of its kernels, None if it cannot have one.

    As openpi stores it, the update of kernel w [..., I, O] is a [..., I, r] times b [..., r, O];
    see `read.with_lora` for the kernel that joins the heads.
    """
    stem, leaf = name.rsplit("/", 1) if "/" in name else ("", name)
    if "/llm/" not in name:
        return None
    if leaf == "w":
        return f"{stem}/lora_a", f"{stem}/lora_b"
    if leaf in ("gating_einsum", "linear"):
        return f"{name}_lora_a", f"{name}_lora_b"
    return None
