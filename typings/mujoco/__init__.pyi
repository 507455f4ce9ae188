# MuJoCo's names come from a compiled module without stubs: every attribute is Any.
from typing import Any

def __getattr__(name: str) -> Any: ...
