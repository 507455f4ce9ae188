"""Named colours, and which of them are hard to tell apart in a small picture."""

from __future__ import annotations

import numpy as np

COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.86, 0.10, 0.10),
    "orange": (0.97, 0.50, 0.06),
    "yellow": (0.96, 0.85, 0.10),
    "green": (0.13, 0.64, 0.20),
    "blue": (0.10, 0.28, 0.86),
    "purple": (0.52, 0.16, 0.70),
    "pink": (0.97, 0.48, 0.70),
    "teal": (0.06, 0.62, 0.64),
    "brown": (0.45, 0.26, 0.12),
    "white": (0.95, 0.95, 0.93),
    "grey": (0.52, 0.53, 0.55),
    "black": (0.09, 0.09, 0.10),
}
# Written differently in a prompt, the same colour in a scene.
COLOUR_SYNONYMS = {
    "gray": "grey", "violet": "purple", "turquoise": "teal", "cyan": "teal",
    "rose": "pink", "scarlet": "red", "crimson": "red", "navy": "blue", "golden": "yellow",
}  # fmt: skip
VIVID = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "teal", "white", "black")

_NEAR = 0.55  # sRGB distance under which two colours count as alike under changing light


def confusable(a: str, b: str) -> bool:
    """Whether two colour words name colours that shade or noise could swap."""
    if not a or not b:
        return False
    gap = np.array(COLOURS[a]) - np.array(COLOURS[b])
    return float(np.linalg.norm(gap)) < _NEAR


def combination_is_heldout(target: str, receptacle: str) -> bool:
    """The fixed partition of (target colour, receptacle colour) pairs: one in four is held out."""
    names = list(COLOURS)
    if target not in COLOURS or receptacle not in COLOURS:
        return False
    return (names.index(target) + 2 * names.index(receptacle)) % 4 == 0


def shade(rng: np.random.Generator, colour: str) -> tuple[float, float, float]:
    """An instance of a named colour: brightness and hue vary a little, the name still fits."""
    base = np.array(COLOURS[colour]) * rng.uniform(0.9, 1.08) + rng.uniform(-0.03, 0.03, 3)
    r, g, b = np.clip(base, 0.02, 1.0)
    return float(r), float(g), float(b)
