"""Models on disk: `<folder>/<id>/<version>.npz`, NumPy arrays in a zip without pickle, the same bytes for the same model.

A file is believed only when all in it is of the expected kind, its trees end, and its content hashes to its name; anything else
is one ConfigError. The card stands beside it as `<version>.md`.
"""

from __future__ import annotations

import io
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from hashlib import blake2b
from math import isfinite, prod
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.lib import format as npy

from xmsec.detect.model import Metadata, Model, Trees, Usual
from xmsec.model.errors import ConfigError

FORMAT = 2
FILE_BYTES = 64 << 20  # of any part once unpacked; 1,000 trees of 4,096 samples are 250,000 nodes, 10 MB
_ZERO_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that zip can say
_KINDS: dict[str, tuple[str, int]] = {
    "metadata": ("|u1", 1),
    "shape": ("<f8", 1),
    "roots": ("<i4", 1),
    "feature": ("<i4", 1),
    "split": ("<f8", 1),
    "left": ("<i4", 1),
    "right": ("<i4", 1),
    "missing_left": ("|b1", 1),
    "depths": ("<f8", 1),
    "everyone": ("<f8", 2),
    "known": ("<u8", 1),
    "own": ("<f8", 3),
}
_HEADER = re.compile(  # of format version 1.0, exactly as NumPy writes it
    rb"\x93NUMPY\x01\x00..\{'descr': '(?P<kind>[^']{3})', 'fortran_order': False, "
    rb"'shape': \((?P<shape>[0-9, ]{1,64})\), \} *\n",
    re.DOTALL,
)
_BROKEN = (ValueError, EOFError, OSError, RuntimeError, struct.error, zipfile.BadZipFile, zlib.error, msgspec.MsgspecError)
Arrays = Mapping[str, np.ndarray[Any, Any]]


class _BadModelError(ValueError):
    """What is wrong with a file; becomes a ConfigError that names it."""


def content_hash(metadata: Metadata, trees: Trees, usual: Usual) -> str:
    """Hash of a model's content, independent of how it is compressed: 16 hexadecimal digits."""
    return _hash(_arrays(metadata, trees, usual))


def save(folder: Path, model: Model, card: str) -> Path:
    """Write a model and its card under `folder`, each by rename; the same model twice changes nothing."""
    target = folder / model.metadata.id / f"{model.version}.npz"
    target.parent.mkdir(parents=True, exist_ok=True)
    _replace(target.with_suffix(".md"), card.encode())
    _replace(target, packed(model))
    return target


def packed(model: Model) -> bytes:
    """Return a model as the bytes of its file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in _arrays(model.metadata, model.trees, model.usual).items():
            part = io.BytesIO()
            npy.write_array(part, array, version=(1, 0), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", _ZERO_TIME)
            archive.writestr(entry, part.getvalue(), zipfile.ZIP_DEFLATED, 6)
    return buffer.getvalue()


def load(path: Path) -> Model:
    """Read a model. Raises ConfigError when the file is missing, damaged or altered."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"model cannot be read: {error.strerror}", where=str(path), remedy="check path and permission"
        ) from error
    try:
        arrays = _unpacked(content)
        if _hash(arrays) != path.stem:
            raise _BadModelError("altered: its content does not hash to its name")
        return _model(arrays, path.stem)
    except _BROKEN as error:
        what = str(error) if isinstance(error, _BadModelError) else "damaged"
        remedy = f"remove it and run `xmsec detectors train {path.parent.name}`"
        raise ConfigError(f"model is {what}", where=str(path), remedy=remedy) from error


def newest(folder: Path, recipe_digest: str, zone: str) -> Path | None:
    """Return the model of a recipe whose training span ends last; None when there is none for this recipe and zone.

    folder: that of the recipe's id. Raises ConfigError for a file whose metadata cannot be read.
    """
    found: list[tuple[str, int, str, Path]] = []
    for path in sorted(folder.glob("*.npz")):
        metadata = load(path).metadata
        if metadata.recipe == recipe_digest and metadata.zone == zone:
            found.append((metadata.end, metadata.rows, path.stem, path))
    return max(found)[3] if found else None


def _replace(target: Path, content: bytes) -> None:
    if target.is_file() and target.read_bytes() == content:
        return
    part = target.with_name(f"{target.name}.part")
    part.write_bytes(content)
    os.replace(part, target)


def _arrays(metadata: Metadata, trees: Trees, usual: Usual) -> dict[str, np.ndarray[Any, Any]]:
    told = msgspec.json.encode(metadata, order="deterministic")
    parts = {
        "metadata": np.frombuffer(told, np.uint8),
        "shape": np.array([FORMAT, trees.levels, trees.normal]),
        **{name: getattr(trees, name) for name in ("roots", "feature", "split", "left", "right", "missing_left", "depths")},
        **{name: getattr(usual, name) for name in ("everyone", "known", "own")},
    }
    return {name: np.ascontiguousarray(parts[name], kind) for name, (kind, _) in _KINDS.items()}


def _hash(arrays: Arrays) -> str:
    total = blake2b(digest_size=8)
    for name in _KINDS:
        array = arrays[name]
        total.update(f"{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def _unpacked(content: bytes) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays, each checked against the kind it must be before memory is taken for it."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        packed_right = all(entry.compress_type == zipfile.ZIP_DEFLATED for entry in entries)
        named_right = sorted(entry.filename for entry in entries) == sorted(f"{name}.npy" for name in _KINDS)
        if not packed_right or not named_right or sum(entry.file_size for entry in entries) > FILE_BYTES:
            raise _BadModelError("not a model")
        return {name: _array(archive.read(f"{name}.npy"), *kind) for name, kind in _KINDS.items()}


def _array(content: bytes, kind: str, dimensions: int) -> np.ndarray[Any, Any]:
    """Return one array. Its header is read here and not by NumPy, whose reader takes memory for whatever shape is claimed."""
    header = _HEADER.match(content)
    if header is None or header["kind"].decode() != kind:
        raise _BadModelError("not a model")
    shape = tuple(int(length) for length in header["shape"].split(b",") if length.strip())
    rest = content[header.end() :]
    if len(shape) != dimensions or len(rest) != prod(shape) * np.dtype(kind).itemsize:
        raise _BadModelError("not a model")
    return np.frombuffer(rest, kind).reshape(shape)


def _model(arrays: Arrays, version: str) -> Model:
    shape = arrays["shape"].tolist()
    if len(shape) != 3 or shape[0] != FORMAT or not all(isfinite(number) for number in shape):
        raise _BadModelError("of another version of xmsec")
    metadata = msgspec.json.decode(arrays["metadata"].tobytes(), type=Metadata)
    trees = Trees(
        arrays["roots"],
        arrays["feature"],
        arrays["split"],
        arrays["left"],
        arrays["right"],
        arrays["missing_left"],
        arrays["depths"],
        levels=int(shape[1]),
        normal=shape[2],
    )
    usual = Usual(arrays["everyone"], arrays["known"], arrays["own"])
    _check(trees, usual, len(metadata.features))
    return Model(metadata, trees, usual, version)


def _check(trees: Trees, usual: Usual, features: int) -> None:
    """Refuse what would walk out of the arrays or for ever."""
    nodes = len(trees.feature)
    same = all(len(part) == nodes for part in (trees.split, trees.left, trees.right, trees.missing_left, trees.depths))
    sound = same and nodes > 0 and len(trees.roots) > 0 and 0 <= trees.levels <= 64
    inside = sound and all(
        bool(((part >= 0) & (part < most)).all())
        for part, most in ((trees.roots, nodes), (trees.left, nodes), (trees.right, nodes), (trees.feature, features))
    )
    numbers = (trees.depths, usual.everyone, usual.own)
    shapes = usual.everyone.shape == (2, features) and usual.own.shape == (len(usual.known), 2, features)
    if not (inside and shapes and all(bool(np.isfinite(part).all()) for part in numbers) and not np.isnan(trees.split).any()):
        raise _BadModelError("not a model")
