"""Find a published model on this machine and look it over before a byte of it is loaded.

Only safetensors are read: they hold numbers and cannot run code.  Every file is checked for its full length first, so
that half a download is refused with its name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neon_ros.errors import CheckpointError, refuse

_MAX_HEADER = 100_000_000
"""Largest header of the safetensors format [byte]."""
_SAMPLE = 65_536
"""Bytes at the start and end of each file's numbers that go into the fingerprint."""
_INDEX = "model.safetensors.index.json"


def find_folder(path: str, published: str) -> Path:
    """Return the folder of a model: ``path`` if given, else the hub's cache of ``published``.

    :param path: a folder in the hub's layout, or a name such as ``Qwen/Qwen2.5-Omni-7B`` to look up in the cache.
    :param published: the name on the hub to look for when ``path`` is empty.
    :raises CheckpointError: when neither is on this machine; nothing is ever downloaded.
    """
    if path and Path(path).expanduser().is_dir():
        return Path(path).expanduser()
    name = path or published
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError) as error:
        allowed = f"a folder with config.json and *.safetensors, or {published} in the hub's cache"
        raise CheckpointError(refuse("weights", f"{name}, not on this machine", allowed)) from error


def read_json(file: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    :raises CheckpointError: when it is missing or not an object.
    """
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(refuse(str(file), "no such file", f"{file.name} as published")) from None
    except (OSError, ValueError) as error:
        raise CheckpointError(refuse(str(file), error, f"{file.name} as published")) from error
    if not isinstance(value, dict):
        raise CheckpointError(refuse(str(file), type(value).__name__, "a JSON object"))
    return value


def require_model(folder: Path, model_types: tuple[str, ...]) -> dict[str, Any]:
    """Return config.json of ``folder`` after checking the architecture it names.

    :raises CheckpointError: when it is missing or of another architecture.
    """
    config = read_json(folder / "config.json")
    if config.get("model_type") not in model_types:
        got = f"model_type {config.get('model_type')!r}"
        raise CheckpointError(refuse(f"{folder}/config.json", got, " or ".join(model_types)))
    return config


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of a folder, each of its full length.

    :raises CheckpointError: when there are none, one of the index is missing, or one is cut short or malformed.
    """
    if (folder / _INDEX).is_file():
        shards = read_json(folder / _INDEX).get("weight_map")
        if not isinstance(shards, Mapping) or not shards:
            raise CheckpointError(refuse(f"{folder}/{_INDEX}", "no weight_map", "weight_map {tensor: file}"))
        names = sorted({str(name) for name in shards.values()})
        foreign = [name for name in names if Path(name).name != name or not name.endswith(".safetensors")]
        if foreign:
            raise CheckpointError(refuse(f"{folder}/{_INDEX}", foreign[0], "names of *.safetensors beside the index"))
        files = [folder / name for name in names]
    else:
        files = [folder / "model.safetensors"]
    for file in files:
        if not file.is_file():
            others = sorted(other.name for other in folder.glob("*.bin")) or "no such file"
            raise CheckpointError(refuse(str(file), others, "weights as safetensors"))
        header_of(file)
    return files


def header_of(file: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return dtype and shape of every tensor of a safetensors file after comparing the file's length with them.

    The format: 8 bytes of header length (little endian), a JSON header with ``data_offsets``, the numbers.

    :raises CheckpointError: on a header that cannot be read or a file of another length.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if not 2 <= length <= min(_MAX_HEADER, size - 8):
            raise CheckpointError(refuse(str(file), f"{size} bytes, header of {length}", "a whole safetensors file"))
        try:
            header = json.loads(stream.read(length))
            header.pop("__metadata__", None)
            tensors = {
                name: (str(value["dtype"]), tuple(int(n) for n in value["shape"])) for name, value in header.items()
            }
            end = max((int(value["data_offsets"][1]) for value in header.values()), default=0)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            raise CheckpointError(refuse(str(file), f"header: {error!r}", "a safetensors header")) from error
    if size != 8 + length + end:
        raise CheckpointError(refuse(str(file), f"{size} bytes", f"{8 + length + end} bytes as its header says"))
    return tensors


def fingerprint(files: list[Path]) -> str:
    """Return 8 hex digits that tell these weights from others: of each file's length, header, first and last numbers.

    Reading all of a 16 GB model at every start would take longer than loading it; training changes every tensor, so
    the ends of each file tell one set of weights from another.
    """
    digest = hashlib.sha256()
    for file in files:
        size = file.stat().st_size
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            digest.update(f"{file.name} {size}".encode() + stream.read(length) + stream.read(_SAMPLE))
            stream.seek(max(8 + length, size - _SAMPLE))
            digest.update(stream.read(_SAMPLE))
    return digest.hexdigest()[:8]
