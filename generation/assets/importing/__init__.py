"""Mesh files of unknown quality become objects that can be seen, gripped and simulated."""

from generation.assets.importing.asset import AssetError, ImportedAsset, Piece, Rest
from generation.assets.importing.chain import build_asset, import_mesh

__all__ = ["AssetError", "ImportedAsset", "Piece", "Rest", "build_asset", "import_mesh"]
