"""``python -m neon_ros.chaos.loading``: damage copies of the shipped checkpoint and try to load them."""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from neon_ros.act.heads import load_head
from neon_ros.chaos.pipe import Questions, answer
from neon_ros.errors import NeonError
from neon_ros.graph import shipped_checkpoint

HEAD = "mlp"


class Workshop:
    """A copy of the checkpoint that is damaged and mended.

    :param folder: for the copy.
    """

    def __init__(self, folder: Path) -> None:
        self.original = Path(shipped_checkpoint(HEAD))
        self.folder = folder
        self.models = sorted(path.name for path in self.original.iterdir() if path.suffix in (".onnx", ".safetensors"))

    def mend(self) -> None:
        """Make the copy like the original."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.original, self.folder)

    def load(self) -> tuple[Any, str, float]:
        """Return the head, or ``None`` with the refusal, and how long it took [s]."""
        began = time.perf_counter()
        try:
            return load_head(HEAD, str(self.folder)), "", time.perf_counter() - began
        except NeonError as error:
            return None, str(error), time.perf_counter() - began

    def damage(self, chance: random.Random) -> str:
        """Damage one model file and return its name."""
        name = chance.choice(self.models)
        path = self.folder / name
        data = bytearray(path.read_bytes())
        how = chance.random()
        if how < 0.8:
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        elif how < 0.9:
            del data[chance.randrange(len(data)) :]
        else:
            other = chance.choice([model for model in self.models if model != name])
            data = bytearray((self.original / other).read_bytes())
        path.write_bytes(data)
        return name

    def poison(self, how: str, chance: random.Random) -> None:
        """Spoil the weights and make the manifest's checksums right again."""
        path = self.folder / "weights.safetensors"
        data = bytearray(path.read_bytes())
        start = 8 + int.from_bytes(data[:8], "little")
        header = json.loads(data[8:start])
        for name, item in header.items():
            if name == "__metadata__" or not name.startswith("head."):
                continue
            first, last = (start + offset for offset in item["data_offsets"])
            dtype = np.dtype({"F16": "<f2", "F32": "<f4"}[item["dtype"]])
            values = np.frombuffer(memoryview(data)[first:last], dtype).copy()
            if how == "nan":
                values[chance.randrange(len(values))] = np.nan
            else:
                values[:] = np.finfo(dtype).max / 2
            data[first:last] = values.tobytes()
            if how == "nan":
                break
        path.write_bytes(data)
        manifest = self.folder / "manifest.json"
        text = manifest.read_text(encoding="utf-8")
        old = hashlib.sha256((self.original / path.name).read_bytes()).hexdigest()
        manifest.write_text(text.replace(old, hashlib.sha256(data).hexdigest()), encoding="utf-8")


def flips(shop: Workshop, count: int, chance: random.Random) -> dict[str, Any]:
    """Damage and load ``count`` times."""
    loaded = unnamed = crashed = 0
    slowest = 0.0
    for _ in range(count):
        name = shop.damage(chance)
        try:
            head, said, seconds = shop.load()
        except Exception:  # anything but our own errors is what is looked for
            crashed += 1
        else:
            loaded += head is not None
            unnamed += head is None and name not in said
            slowest = max(slowest, seconds)
        shutil.copyfile(shop.original / name, shop.folder / name)
    return {"loaded": loaded, "unnamed": unnamed, "crashed": crashed, "seconds": slowest}


def poisoned(shop: Workshop, how: str, chance: random.Random) -> dict[str, Any]:
    """Load a poisoned checkpoint, and act with it where that works."""
    shop.poison(how, chance)
    head, said, seconds = shop.load()
    acted = 0
    if head is not None:
        tensors = head.manifest.backbone.tensors
        inputs = {name: np.ones(shape, np.float32) for name, shape in tensors.items()}
        try:
            head.act(np.zeros(29, np.float32), proprio=np.ones(128, np.float32), **inputs)
            acted = 1
        except NeonError as error:
            said = str(error)
    return {"loaded": int(head is not None), "acted": acted, "said": said, "seconds": seconds}


def main() -> None:
    """Serve until stdin ends."""
    parser = argparse.ArgumentParser(prog="neon_ros.chaos.loading", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    shop, questions = Workshop(options.folder), Questions()
    shop.mend()
    head, said, _ = shop.load()
    answer(ready=True)
    while not questions.closed:
        for question in questions.wait(0.2):
            if head is None:
                answer(missing=f"the shipped checkpoint does not load: {said}")
                continue
            shop.mend()
            chance = random.Random(question["seed"])
            if "flips" in question:
                answer(**flips(shop, question["flips"], chance))
            else:
                answer(**poisoned(shop, question["poison"], chance))


if __name__ == "__main__":
    main()
