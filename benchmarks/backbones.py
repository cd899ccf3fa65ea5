"""Time the backbones: compact against torch, a new picture against its window read anew, and what the node adds.

    python benchmarks/backbones.py --only compact [--repeats 100]
    python benchmarks/backbones.py --only streaming [--repeats 4] [--scale 8] [--part 0.5] [--precision fp32]
    python benchmarks/backbones.py --only memory [--part 0.5]
    python benchmarks/backbones.py --only precision
    python benchmarks/backbones.py --only node [--repeats 200]

Without ``--only`` all but the precisions, one after the other.  What is compared runs interleaved so that noise is
shared.  Torch's rows need torch, efficientnet-lite-pytorch and transformers; without them only our own are printed.
The two are also compared number by number, so that the table never compares different things.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from neon_ros.encode.backbones.compact import LITE0, MINILM, Compact
from neon_ros.encode.torch_file import parse_state_dict
from neon_ros.sense.image import resize

SENTENCE = "touch the red cube with your left hand"
Stage = Callable[[], np.ndarray]


def machine() -> str:
    """Return processor, cores and load of this machine."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    return f"{name or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"


def torch_vision(image: np.ndarray) -> Stage:
    """Return EfficientNet-lite0 up to block 10 in torch eager on one thread, for one picture of 224 x 128."""
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    torch.set_num_threads(1)
    network = EfficientNet.from_name("efficientnet-lite0").eval()
    weights = parse_state_dict(LITE0.read(), LITE0.path)
    network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in weights.items()})

    @torch.inference_mode()
    def run() -> np.ndarray:
        x = (torch.from_numpy(image)[None].permute(0, 3, 1, 2).float() - 127) / 128
        x = network._swish(network._bn0(network._conv_stem(x)))
        for block in network._blocks[:11]:
            x = block(x)
        return x[0].permute(1, 2, 0).reshape(112, 112).numpy()

    return run


def torch_text(pieces: list[int]) -> Stage:
    """Return all-MiniLM-L6-v2 in torch eager on one thread, for one sentence padded to 32 word pieces."""
    import torch
    from safetensors.torch import load
    from transformers import BertConfig, BertModel

    torch.set_num_threads(1)
    weights = load(MINILM.read())
    weights.pop("embeddings.position_ids", None)
    network = BertModel(BertConfig(hidden_size=384, intermediate_size=1536, num_hidden_layers=6)).eval()
    network.load_state_dict(weights)
    ids, mask = torch.zeros((1, 32), dtype=torch.long), torch.zeros((1, 32), dtype=torch.long)
    ids[0, : len(pieces)], mask[0, : len(pieces)] = torch.tensor(pieces), 1

    @torch.inference_mode()
    def run() -> np.ndarray:
        return (network(ids, attention_mask=mask).last_hidden_state[0] * mask[0, :, None]).numpy()

    return run


def measure(stages: dict[str, Stage], repeats: int) -> dict[str, np.ndarray]:
    """Return the times of each stage [ms], one call of each in turn."""
    times: dict[str, list[float]] = {name: [] for name in stages}
    for turn in range(repeats + 3):
        for name, stage in stages.items():
            start = time.perf_counter()
            stage()
            if turn >= 3:
                times[name].append(1e3 * (time.perf_counter() - start))
    return {name: np.array(values) for name, values in times.items()}


def main() -> None:
    """Measure and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", choices=("compact", "streaming", "node", "memory", "precision"), help="one of the tables"
    )
    parser.add_argument("--repeats", type=int, default=0, help="calls of each stage (default 100, 4, 200)")
    parser.add_argument("--scale", type=int, default=8, help="divides the widths of the random stand-ins (default 8)")
    parser.add_argument("--part", type=float, default=0.5, help="of their depth that is used (default 0.5)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--precision", default="fp32", help="fp32, bf16, fp16, int8 or int4")
    given = parser.parse_args()
    if given.only in (None, "compact"):
        table(max(1, given.repeats or 100))
    if given.only in (None, "streaming"):
        import streaming

        streaming.table(machine(), given.scale, given.part, given.repeats or 4, given.device, given.precision)
    if given.only in (None, "memory"):
        import streaming

        streaming.memory(given.part)
    if given.only == "precision":  # needs the extra quantised
        import streaming

        streaming.precision()
    if given.only in (None, "node"):
        import backbone_node

        backbone_node.table(machine(), max(20, given.repeats or 200))


def table(repeats: int) -> None:
    """Measure compact, and print a table."""
    start = time.perf_counter()
    compact = Compact(threads=1)
    started = time.perf_counter() - start
    camera = np.random.default_rng(0).integers(0, 256, (240, 424, 3), dtype=np.uint8)
    small = resize(camera, 224, 128)
    stages: dict[str, Stage] = {
        "resize 424x240 to 224x128": lambda: resize(camera, 224, 128),
        "vision, compact": lambda: compact.encode_images(small[None])["vision"][0],
        "text, compact": lambda: compact.encode_texts([SENTENCE])["text"][0],
        "picture + known words, compact": lambda: compact.encode(camera, SENTENCE)["vision"],
    }
    try:
        stages["vision, torch eager"] = torch_vision(small)
        stages["text, torch eager"] = torch_text(compact.pieces(SENTENCE))
    except ImportError as error:
        print(f"without torch's rows: {error}")
    times = measure(stages, repeats)
    print(f"{machine()}; one thread; {repeats} calls each, interleaved; compact ready in {started:.2f} s")
    print(f"| {'stage':<31} | p50 ms | p90 ms |  per s |")
    print(f"|{'-' * 33}|-------:|-------:|-------:|")
    for name, values in times.items():
        p50, p90 = np.percentile(values, [50, 90])
        print(f"| {name:<31} | {p50:6.2f} | {p90:6.2f} | {1e3 / p50:6.0f} |")
    for part in ("vision", "text"):
        if f"{part}, torch eager" in stages:
            ours, theirs = stages[f"{part}, compact"](), stages[f"{part}, torch eager"]()
            ratio = np.median(times[f"{part}, torch eager"] / times[f"{part}, compact"])
            print(f"{part}: {ratio:.1f}x torch's speed, largest difference {np.abs(ours - theirs).max():.1e}")


if __name__ == "__main__":
    main()
