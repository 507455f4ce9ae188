"""π0 and π0.5 in float64 NumPy, written from openpi's definitions: one joint pass, layer by layer.

Reads parameters by openpi's names. Nothing here is shared with the library: prefix and suffix go
through every layer together, three picture slots are filled of which the third is masked out, and
the attention is a loop over query heads.
"""

from __future__ import annotations

import numpy as np

Flat = dict[str, np.ndarray]


def gelu(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1.0 + np.tanh(np.sqrt(2.0 / np.pi) * (x + 0.044715 * x**3)))


def swish(x: np.ndarray) -> np.ndarray:
    return x / (1.0 + np.exp(-x))


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def siglip(p: Flat, image: np.ndarray) -> np.ndarray:
    """image [S, S, 3] in [-1, 1] → tokens [T, width]."""
    img = "PaliGemma/img/"
    kernel = p[img + "embedding/kernel"]
    patch = kernel.shape[0]
    grid = image.shape[0] // patch
    x = np.stack(
        [
            np.tensordot(image[i : i + patch, j : j + patch], kernel, 3)
            for i in range(0, grid * patch, patch)
            for j in range(0, grid * patch, patch)
        ]
    )
    x = x + p[img + "embedding/bias"] + p[img + "pos_embedding"][0]
    block = img + "Transformer/encoderblock/"

    def norm(x: np.ndarray, scale: np.ndarray, bias: np.ndarray) -> np.ndarray:
        spread = np.sqrt(x.var(-1, keepdims=True) + 1e-6)
        return (x - x.mean(-1, keepdims=True)) / spread * scale + bias

    for i in range(len(p[block + "LayerNorm_0/scale"])):

        def at(name: str, i: int = i) -> np.ndarray:
            return p[block + name][i]

        heads = "MultiHeadDotProductAttention_0/"
        y = norm(x, at("LayerNorm_0/scale"), at("LayerNorm_0/bias"))
        q, k, v = (
            np.einsum("td,dnh->nth", y, at(f"{heads}{name}/kernel"))
            + at(f"{heads}{name}/bias")[:, None]
            for name in ("query", "key", "value")
        )
        seen = softmax(q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])) @ v
        x = x + np.einsum("nth,nhd->td", seen, at(heads + "out/kernel")) + at(heads + "out/bias")
        y = norm(x, at("LayerNorm_1/scale"), at("LayerNorm_1/bias"))
        y = gelu(y @ at("MlpBlock_0/Dense_0/kernel") + at("MlpBlock_0/Dense_0/bias"))
        x = x + y @ at("MlpBlock_0/Dense_1/kernel") + at("MlpBlock_0/Dense_1/bias")
    x = norm(x, p[img + "Transformer/encoder_norm/scale"], p[img + "Transformer/encoder_norm/bias"])
    return x @ p[img + "head/kernel"] + p[img + "head/bias"]


def rms_norm(p: Flat, name: str, i: int | None, x: np.ndarray, cond: np.ndarray | None):
    """→ normed, gate."""
    normed = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6)
    pick = (lambda a: a) if i is None else (lambda a: a[i])
    if f"{name}/scale" in p:
        return normed * (1.0 + pick(p[f"{name}/scale"])), 1.0
    change = cond @ pick(p[f"{name}/Dense_0/kernel"]) + pick(p[f"{name}/Dense_0/bias"])
    scale, shift, gate = np.split(change, 3)
    return normed * (1.0 + scale) + shift, gate


def rotate(x: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """x [N, T, H]."""
    half = x.shape[-1] // 2
    angle = positions[:, None] / 10_000.0 ** (2.0 / x.shape[-1] * np.arange(half))
    a, b = x[..., :half], x[..., half:]
    return np.concatenate(
        [a * np.cos(angle) - b * np.sin(angle), b * np.cos(angle) + a * np.sin(angle)], -1
    )


def gemma(p: Flat, xs: list[np.ndarray], positions, mask, cond) -> list[np.ndarray]:
    """Both towers: xs = [prefix [T0, D0], suffix [T1, D1]] → the same shapes."""
    llm, ends = "PaliGemma/llm/", [len(xs[0])]
    conds = [None, cond]
    for i in range(len(p[llm + "layers/attn/q_einsum/w"])):
        qs, ks, vs, gates = [], [], [], []
        for x, s, c in zip(xs, ("", "_1"), conds, strict=True):
            y, gate = rms_norm(p, f"{llm}layers/pre_attention_norm{s}", i, x, c)
            k, v = np.einsum("td,ckdh->ckth", y, p[f"{llm}layers/attn/kv_einsum{s}/w"][i])
            qs.append(np.einsum("td,ndh->nth", y, p[f"{llm}layers/attn/q_einsum{s}/w"][i]))
            ks.append(k), vs.append(v), gates.append(gate)
        q, k, v = (np.concatenate(z, axis=1) for z in (qs, ks, vs))
        q, k = rotate(q, positions), rotate(k, positions)
        group = len(q) // len(k)
        seen = []
        for head in range(len(q)):
            logits = q[head] @ k[head // group].T / np.sqrt(q.shape[-1])
            seen.append(softmax(np.where(mask, logits, -1e30)) @ v[head // group])
        parts = np.split(np.stack(seen), ends, axis=1)
        out = []
        for x, y, s, c, gate in zip(xs, parts, ("", "_1"), conds, gates, strict=True):
            w = p[f"{llm}layers/attn/attn_vec_einsum{s}/w"][i]
            x = x + np.einsum("nth,nhd->td", y, w) * gate
            y, gate = rms_norm(p, f"{llm}layers/pre_ffw_norm{s}", i, x, c)
            up = p[f"{llm}layers/mlp{s}/gating_einsum"][i]
            y = (gelu(y @ up[0]) * (y @ up[1])) @ p[f"{llm}layers/mlp{s}/linear"][i]
            out.append(x + y * gate)
        xs = out
    return [
        rms_norm(p, f"{llm}final_norm{s}", None, x, c)[0]
        for x, s, c in zip(xs, ("", "_1"), conds, strict=True)
    ]


def linear(p: Flat, name: str, x: np.ndarray) -> np.ndarray:
    return x @ p[f"{name}/kernel"] + p[f"{name}/bias"]


def velocity(p: Flat, images, words, state, x, time: float) -> np.ndarray:
    """openpi's v (ε - A) of one example at openpi's time (1 is noise).

    Args:
        images: three [S, S, 3] in [-1, 1]; the third slot is masked out.
        words: [L], 0 is padding.
        state: [A]; x: [H, A].
    """
    pictures = [siglip(p, image) for image in images]
    table = p["PaliGemma/llm/embedder/input_embedding"]
    prefix = np.concatenate([*pictures, table[words] * np.sqrt(table.shape[1])])
    exists = [np.full(len(t), i < 2) for i, t in enumerate(pictures)] + [words > 0]
    width = p["action_in_proj/bias"].size
    period = 4e-3 * (4.0 / 4e-3) ** np.linspace(0.0, 1.0, width // 2)
    wave = np.concatenate([np.sin(2 * np.pi * time / period), np.cos(2 * np.pi * time / period)])
    action = linear(p, "action_in_proj", x)
    if "time_mlp_in/kernel" in p:
        cond = swish(linear(p, "time_mlp_out", swish(linear(p, "time_mlp_in", wave))))
        suffix, blocks = action, [1] + [0] * (len(x) - 1)
    else:
        mixed = np.concatenate([action, np.tile(wave, (len(x), 1))], axis=1)
        mixed = linear(p, "action_time_mlp_out", swish(linear(p, "action_time_mlp_in", mixed)))
        cond = None
        suffix = np.concatenate([linear(p, "state_proj", state)[None], mixed])
        blocks = [1, 1] + [0] * (len(x) - 1)
    exists = np.concatenate([*exists, np.ones(len(suffix), bool)])
    block = np.cumsum([0] * len(prefix) + blocks)
    mask = (block[None] <= block[:, None]) & exists[None] & exists[:, None]
    _, out = gemma(p, [prefix, suffix], np.cumsum(exists) - 1, mask, cond)
    return linear(p, "action_out_proj", out[-len(x) :])
