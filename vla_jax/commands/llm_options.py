"""Arguments of commands whose scenes a language model may design."""

from __future__ import annotations

import argparse
import atexit
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from generation.designer import Designer


def add_llm_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds --llm-model, --llm-url, --llm-cache and --llm-replay as a group."""
    group = parser.add_argument_group(
        "with --designer llm",
        "any OpenAI-compatible server, hosted or local; its key comes from VLA_JAX_LLM_KEY\n"
        "alone (for api.openai.com from OPENAI_API_KEY too) and is never stored;\n"
        "VLA_JAX_LLM_PRICES=IN,OUT are the dollars per million tokens read and written",
    )
    group.add_argument(
        "--llm-model",
        metavar="NAME",
        help="model, as the server calls it (default: VLA_JAX_LLM_MODEL)",
    )
    group.add_argument(
        "--llm-url",
        metavar="URL",
        help="address up to /v1, such as http://localhost:11434/v1 (default: VLA_JAX_LLM_URL)",
    )
    group.add_argument(
        "--llm-cache",
        type=Path,
        metavar="DIR",
        help="folder that keeps the answers, so that the same scenes can be made again",
    )
    group.add_argument(
        "--llm-replay",
        action="store_true",
        help="use the answers kept in --llm-cache alone, without the network",
    )


def check_llm_arguments(args: argparse.Namespace) -> None:
    """Refuses options of a language model where none is asked.

    Raises:
        ValueError: such an option without --designer llm; names it.
    """
    names = ("llm_model", "llm_url", "llm_cache", "llm_replay")
    given = [f"--{name.replace('_', '-')}" for name in names if getattr(args, name)]
    if given and args.designer != "llm":
        raise ValueError(f"{', '.join(given)} without --designer llm has no use: add it")


def designer_from_arguments(args: argparse.Namespace) -> Designer:
    """The language model as a designer; processes that it is sent to add to one bill.

    Raises:
        ValueError: no model or address, or options that do not go together.
    """
    from generation.llm.client import chat_client
    from generation.llm.designer import llm_designer

    client = chat_client(
        args.llm_model,
        args.llm_url,
        cache=args.llm_cache,
        replay=args.llm_replay,
        ledger=None if args.llm_replay else _ledger(),
    )
    return llm_designer(client)


def llm_usage(designer: Designer) -> dict[str, Any]:
    """What a designer from `designer_from_arguments` has spent, for --json."""
    return _client(designer).usage.as_dict()


def llm_summary(designer: Designer) -> str:
    """The same in one line for people."""
    client = _client(designer)
    return f"{client.model}: {client.usage}"


def _client(designer: Designer) -> Any:
    from generation.llm.designer import LlmDesigner

    if not isinstance(designer, LlmDesigner):
        raise TypeError(f"{designer!r} is no designer from designer_from_arguments")
    return designer.client


def _ledger() -> Path:
    """An empty file that several processes can append to; it goes when this process ends."""
    handle, name = tempfile.mkstemp(prefix="vla-jax-llm-", suffix=".jsonl")
    os.close(handle)
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # a forked worker leaves it to its parent
            Path(name).unlink(missing_ok=True)

    atexit.register(remove)
    return Path(name)
