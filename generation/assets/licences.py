"""What the licence of an asset says about training a model in scenes that contain it.

A small table of common licences, not legal advice: whatever it does not know is "unknown".
"""

from __future__ import annotations

import re
from typing import Literal

Training = Literal["allowed", "forbidden", "unknown"]

# Patterns are tried in order on the licence in lower case with "-", "_" and "/" as spaces.
_TABLE: tuple[tuple[str, Training], ...] = (
    # Hunyuan3D's community licence: outputs may not be used "to improve any other AI model".
    (r"\b(hunyuan|tencent)", "forbidden"),
    (r"\bno ?(ai|ml|training)\b|\bnoai\b", "forbidden"),
    (r"\ball rights reserved\b|\bproprietary\b", "forbidden"),
    # Whether training is a commercial use or a derivative is not settled.
    (r"\bnc\b|non ?commercial|\bnd\b|no ?deriv", "unknown"),
    (r"\bcc ?0\b|public domain|\bpddl\b|\bunlicense\b", "allowed"),
    (r"\bcc ?by\b|creative commons attribution", "allowed"),
    (r"\b(mit|isc|zlib|bsd|apache)\b", "allowed"),
    (r"^own$|^self ?made$", "allowed"),
)


def training_use(licence: str) -> Training:
    """Whether outputs under `licence`, e.g. "CC-BY-4.0" or "MIT", may be used for training."""
    words = " ".join(re.sub(r"[-_/.,;:()]+", " ", licence.lower()).split())
    for pattern, verdict in _TABLE:
        if re.search(pattern, words):
            return verdict
    return "unknown"
