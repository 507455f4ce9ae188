"""Arguments of commands that may have 3D models made for the things that sentences name."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from generation.providers import AssetProvider

_KINDS = ("hunyuan", "gradio", "folder")
_ENDPOINT = "/generate"


def add_provider_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds --provider and --provider-licence as a group."""
    group = parser.add_argument_group(
        "with --library",
        "things that the sentences name and nothing is called are made first and kept in the\n"
        "library; where that fails, the nearest known object stands in",
    )
    group.add_argument(
        "--provider",
        metavar="KIND=PLACE",
        help="hunyuan=URL (server of Hunyuan3D's API), gradio=URL#ENDPOINT (Gradio app, endpoint "
        f"{_ENDPOINT} unless named) or folder=DIR (GLB files named after the things, waited "
        "for up to a minute each)",
    )
    group.add_argument(
        "--provider-licence",
        metavar="NAME",
        help="of the provider's models (default: unknown; Hunyuan3D's own forbids training)",
    )


def provider_from_arguments(args: argparse.Namespace) -> AssetProvider | None:
    """The provider that --provider names, None without it.

    Raises:
        ValueError: no such kind or place, options that do not go together, or no library.
    """
    licence = args.provider_licence
    if args.provider is None:
        if licence is not None:
            raise ValueError("--provider-licence needs --provider KIND=PLACE")
        return None
    if args.library is None:
        raise ValueError("--provider needs --library DIR: the models are kept there")
    if licence is not None and not 1 <= len(licence) <= 80:
        raise ValueError("--provider-licence takes 1 to 80 characters: shorten it")
    kind, _, place = args.provider.partition("=")
    if kind not in _KINDS or not place:
        known = ", ".join(f"{name}={'DIR' if name == 'folder' else 'URL'}" for name in _KINDS)
        raise ValueError(f"--provider {args.provider!r}: use one of {known}")
    if kind != "folder" and not place.startswith(("http://", "https://")):
        raise ValueError(f"--provider {kind}={place!r}: the address must begin with http://")
    return _provider(kind, place, licence)


def _provider(kind: str, place: str, licence: str | None) -> AssetProvider:
    from generation.production.supply import NamedFiles
    from generation.providers import GradioProvider, HunyuanProvider

    if kind == "folder":
        return NamedFiles(Path(place), licence or NamedFiles.licence)
    if kind == "hunyuan":
        return HunyuanProvider(place, licence or HunyuanProvider.licence)
    url, _, endpoint = place.partition("#")
    endpoint = f"/{endpoint.strip('/')}" if endpoint else _ENDPOINT
    return GradioProvider(url, endpoint, licence=licence or GradioProvider.licence)
