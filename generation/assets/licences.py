"""What the licence of an asset says about training a model in scenes that contain it.

A small table of common licences, not legal advice: whatever it does not know is "unknown".
"""

from __future__ import annotations

import re
from typing import Literal

Training = Literal["allowed", "forbidden", "unknown"]

_NOT = r"(?:no|not|non|never|neither|nor|without|dont|isnt|except)"
_BAN = r"(?:prohibit\w*|forbid\w*|forbidden|disallow\w*|exclud\w*|ban(?:s|ned)?)"
_LEARNING = r"(?:ai|ml|llms?|train\w*|(?:machine|deep) learning|artificial intelligence)"
_FREE = r"(?:mit|isc|zlib|bsd|apache|cc ?by|cc ?0|creative commons|public domain|pddl|unlicense)"
# Patterns are tried in order on the licence in lower case with "-", "_" and "/" as spaces and
# "," between what it says.
_TABLE: tuple[tuple[str, Training], ...] = (
    # Hunyuan3D's community licence: outputs may not be used "to improve any other AI model".
    (r"\b(hunyuan|tencent)", "forbidden"),
    (rf"\bno ?(ai|ml|training)\b|\b({_NOT}|{_BAN})\b[^,]*\b{_LEARNING}\b", "forbidden"),
    (rf"\b{_LEARNING}\b[^,]*\b({_NOT}|{_BAN})\b", "forbidden"),
    (r"\ball rights reserved\b|\bproprietary\b", "forbidden"),
    # Whether training is a commercial use or a derivative is not settled.
    (r"\bnc\b|non ?commercial|\bnd\b|no ?deriv", "unknown"),
    (rf"\b{_NOT}\b[^,]*\b{_FREE}\b", "unknown"),
    (r"\bcc ?0\b|public domain|\bpddl\b|\bunlicense\b", "allowed"),
    (r"\bcc ?by\b|creative commons attribution", "allowed"),
    (r"\b(mit|isc|zlib|bsd|apache)\b", "allowed"),
    (r"^own$|^self ?made$", "allowed"),
)


def training_use(licence: str) -> Training:
    """Whether outputs under `licence`, e.g. "CC-BY-4.0" or "MIT", may be used for training."""
    plain = re.sub(r"[,;:()]+|\.(?=\s|$)", " , ", licence.lower().replace("'", "").replace("’", ""))
    words = " ".join(re.sub(r"[-_/.]+", " ", plain).split())
    for pattern, verdict in _TABLE:
        if re.search(pattern, words):
            return verdict
    return "unknown"
