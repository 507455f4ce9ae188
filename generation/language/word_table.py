"""Builds `words.npz`, the table behind `generation.language.words`; needed only to change it.

    python -m generation.language.word_table WORDNET MODEL OUT.npz

WORDNET is the folder with the files of WordNet 3.0 (Debian package wordnet-base), MODEL the folder
of the sentence encoder all-MiniLM-L6-v2 (model.safetensors and vocab.txt). The encoder runs in
NumPy, some ten minutes on one core.
"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

Array = NDArray[np.float32]

DIMENSIONS = 56  # principal components kept
_ARTEFACT, _FOOD, _SUBSTANCE = 6, 13, 27  # WordNet's lexicographer files
_OBJECT = 17
# Kinds of artefacts that stand on no table.
_LARGE = (
    "vehicle structure furniture way building facility machine craft room excavation "
    "home_appliance white_goods weaponry bathtub system ship clothing footwear public_transport "
    "land geographical_area"
).split()
_SENSES = 5  # of a word, at most
_GLOSS_WORDS, _TOKENS = 14, 18  # of a sense's text
_HEADS = 12
_LAYERS = 6


@dataclass(frozen=True)
class Synset:
    """One sense: its WordNet file, its lemmas, the offsets of its hypernyms, its gloss."""

    file: int
    lemmas: tuple[str, ...]
    parents: tuple[str, ...]
    gloss: str


def read_wordnet(folder: Path) -> tuple[dict[str, Synset], dict[str, list[str]], Counter[str]]:
    """Noun synsets by offset, the offsets of each lemma's senses, and "lemma offset" counts."""
    synsets = {}
    for line in _lines(folder / "data.noun"):
        body, _, gloss = line.partition(" | ")
        fields = body.split()
        count = int(fields[3], 16)
        at = 4 + 2 * count
        pointers = [fields[at + 1 + 4 * k : at + 5 + 4 * k] for k in range(int(fields[at]))]
        parents = tuple(p[1] for p in pointers if p[0] in ("@", "@i") and p[2] == "n")
        lemmas = tuple(fields[4 + 2 * k] for k in range(count))
        synsets[fields[0]] = Synset(int(fields[1]), lemmas, parents, gloss)
    index = {}
    for line in _lines(folder / "index.noun"):
        fields = line.split()
        index[fields[0]] = fields[-int(fields[2]) :]
    counts: Counter[str] = Counter()
    for line in (folder / "cntlist.rev").read_text().splitlines():
        key, sense, count = line.split()
        lemma, _, rest = key.partition("%")
        senses = index.get(lemma, [])
        if rest.startswith("1:") and int(sense) <= len(senses):
            counts[f"{lemma} {senses[int(sense) - 1]}"] = int(count)
    return synsets, index, counts


def _lines(path: Path) -> Iterator[str]:
    for line in path.read_text(encoding="latin1").splitlines():
        if not line.startswith("  "):  # the licence
            yield line


def above(synsets: dict[str, Synset], known: dict[str, set[str]], offset: str) -> set[str]:
    """The synset and all its hypernyms; `known` keeps what was found."""
    if offset not in known:
        found = {offset}
        for parent in synsets[offset].parents:
            found |= above(synsets, known, parent)
        known[offset] = found
    return known[offset]


def build(wordnet: Path, model: Path, out: Path) -> None:
    """Writes the table."""
    synsets, index, counts = read_wordnet(wordnet)
    known: dict[str, set[str]] = {}
    below = Counter(a for offset in synsets for a in above(synsets, known, offset))
    content = {o: 1 - math.log(below[o]) / math.log(len(synsets)) for o in synsets}
    roots = {o for w in _LARGE for o in index[w] if synsets[o].file in (_ARTEFACT, 15, _OBJECT)}
    rows, things = [], []
    for offset, synset in synsets.items():
        common = any(counts[f"{w.lower()} {offset}"] > 0 for w in synset.lemmas)
        if all(w[0].isupper() for w in synset.lemmas):
            continue
        made = synset.file in (_ARTEFACT, _FOOD) and not roots & known[offset]
        thing = made or (synset.file in (_OBJECT, _SUBSTANCE) and common)
        if made or common:
            rows.append(offset)
            things.append(thing)
    extra = sorted({a for o in rows for a in known[o]} - {*rows})
    nodes = [*rows, *extra]
    at = {offset: k for k, offset in enumerate(nodes)}
    parents = np.full((len(nodes), 2), -1, np.int32)
    for k, offset in enumerate(nodes):
        for column, parent in enumerate(synsets[offset].parents[:2]):
            parents[k, column] = at[parent]
    lemmas = lemma_lines(rows, synsets, index)
    inside = {line.split("\t")[0] for line in lemmas}
    np.savez_compressed(
        out,
        vectors=reduced(Encoder(model)([text_of(synsets[o]) for o in rows])),
        parents=parents,
        content=np.round(np.array([content[o] for o in nodes]) * 255).astype(np.uint8),
        thing=np.array(things, bool),
        lemmas=np.frombuffer("\n".join(lemmas).encode(), np.uint8),
        others=np.frombuffer(" ".join(other_words(wordnet, inside)).encode(), np.uint8),
    )


def lemma_lines(
    rows: Sequence[str], synsets: dict[str, Synset], index: dict[str, list[str]]
) -> list[str]:
    """Lines "lemma <tab> row:rank row:rank ...", the commonest sense first."""
    senses: dict[str, dict[int, int]] = {}
    for k, offset in enumerate(rows):
        for word in synsets[offset].lemmas:
            bare = word.lower().split("(")[0]
            said = bare.replace("_", " ").replace("-", " ").replace("'", "").replace(".", "")
            plain = all((c.isalpha() and c.isascii()) or c == " " for c in said)
            if plain and len(said.split()) <= 2:
                rank = index[bare].index(offset)
                held = senses.setdefault(said, {})
                held[k] = min(held.get(k, rank), rank)
    lines = []
    for said in sorted(senses):
        ranked = sorted(senses[said].items(), key=lambda item: (item[1], item[0]))[:_SENSES]
        lines.append(said + "\t" + " ".join(f"{k}:{rank}" for k, rank in ranked))
    return lines


def other_words(wordnet: Path, inside: set[str]) -> list[str]:
    """Common words that are no lemmas of the table: verbs, adjectives, adverbs."""
    found = set()
    for kind in ("verb", "adj", "adv", "noun"):
        for line in _lines(wordnet / f"index.{kind}"):
            fields = line.split()
            tagged = int(fields[5 + int(fields[3])])
            plain = fields[0].isalpha() and fields[0].isascii()
            if plain and tagged > 0 and fields[0] not in inside:
                found.add(fields[0])
    return sorted(found)


def text_of(synset: Synset) -> str:
    """The lemma and the first words of its gloss, letters only."""
    gloss = synset.gloss.split(";")[0].strip().strip("()")
    said = f"{synset.lemmas[0].replace('_', ' ')}: {gloss}".lower().replace("'s", "")
    letters = "".join(c if "a" <= c <= "z" else " " for c in said)
    return " ".join(letters.split()[:_GLOSS_WORDS])


def reduced(vectors: Array) -> NDArray[np.int8]:
    """Principal components as int8, each row scaled to its largest entry."""
    centred = vectors - vectors.mean(axis=0)
    _, _, axes = np.linalg.svd(centred[::2], full_matrices=False)
    kept = centred @ axes[:DIMENSIONS].T
    kept /= np.abs(kept).max(axis=1, keepdims=True)
    return np.round(kept * 127).astype(np.int8)


class Encoder:
    """all-MiniLM-L6-v2: texts to unit vectors f32[N, 384], the mean over all tokens."""

    def __init__(self, folder: Path) -> None:
        raw = np.fromfile(folder / "model.safetensors", dtype=np.uint8)
        size = int(raw[:8].view("<u8")[0])
        header = json.loads(raw[8 : 8 + size].tobytes())
        self.weights: dict[str, Array] = {}
        for name, entry in header.items():
            if entry.get("dtype") == "F32":
                first, last = (8 + size + offset for offset in entry["data_offsets"])
                self.weights[name] = raw[first:last].view("<f4").reshape(entry["shape"])
        words = (folder / "vocab.txt").read_text(encoding="utf8").split("\n")
        self.ids = {word: k for k, word in enumerate(words)}

    def __call__(self, texts: Sequence[str]) -> Array:
        tokens = [self.tokens(text) for text in texts]
        out = np.zeros((len(texts), 384), np.float32)
        for length in sorted({len(t) for t in tokens}):
            same = [k for k, t in enumerate(tokens) if len(t) == length]
            for start in range(0, len(same), 64):
                batch = same[start : start + 64]
                out[batch] = self.encode(np.array([tokens[k] for k in batch]))
        return out

    def tokens(self, text: str) -> list[int]:
        """Word pieces, longest match first, between the start and end marks."""
        found = [self.ids["[CLS]"]]
        for word in text.split():
            start = 0
            while start < len(word):
                ends = range(len(word), start, -1)
                pieces = (("##" if start else "") + word[start:end] for end in ends)
                piece = next((p for p in pieces if p in self.ids), None)
                found.append(self.ids[piece or "[UNK]"])
                start = len(word) if piece is None else start + len(piece.removeprefix("##"))
        return [*found, self.ids["[SEP]"]][:_TOKENS]

    def encode(self, ids: NDArray[np.int64]) -> Array:
        """Texts of equal length, i64[B, T]."""
        words, weights = "embeddings", self.weights
        x = weights[f"{words}.word_embeddings.weight"][ids]
        x = x + weights[f"{words}.position_embeddings.weight"][: ids.shape[1]]
        x = self.normed(
            x + weights[f"{words}.token_type_embeddings.weight"][0], f"{words}.LayerNorm"
        )
        for layer in range(_LAYERS):
            name = f"encoder.layer.{layer}"
            mixed = self.linear(self.attention(x, name), f"{name}.attention.output.dense")
            x = self.normed(x + mixed, f"{name}.attention.output.LayerNorm")
            h = self.linear(x, f"{name}.intermediate.dense")
            h = h * 0.5 * (1 + erf(h / math.sqrt(2)))
            x = self.normed(x + self.linear(h, f"{name}.output.dense"), f"{name}.output.LayerNorm")
        mean = x.mean(axis=1)
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)

    def attention(self, x: Array, name: str) -> Array:
        """Multi-head self-attention before its output layer."""
        batch, length, width = x.shape
        shape = (batch, length, _HEADS, width // _HEADS)
        q, k, v = (
            self.linear(x, f"{name}.attention.self.{part}").reshape(shape).transpose(0, 2, 1, 3)
            for part in ("query", "key", "value")
        )
        score = q @ k.transpose(0, 1, 3, 2) / math.sqrt(width // _HEADS)
        score = np.exp(score - score.max(axis=-1, keepdims=True))
        score /= score.sum(axis=-1, keepdims=True)
        return (score @ v).transpose(0, 2, 1, 3).reshape(x.shape)

    def linear(self, x: Array, name: str) -> Array:
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def normed(self, x: Array, name: str) -> Array:
        mean = x.mean(axis=-1, keepdims=True)
        spread = np.sqrt(((x - mean) ** 2).mean(axis=-1, keepdims=True) + 1e-12)
        return (x - mean) / spread * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit("usage: python -m generation.language.word_table WORDNET MODEL OUT.npz")
    build(*(Path(argument) for argument in sys.argv[1:]))
