"""Small foundation models of random numbers, saved as the published ones are, and pictures for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from oracles.tiny_models import make_cosmos, make_omni, make_tribe


@pytest.fixture(scope="session")
def cosmos_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cosmos(tmp_path_factory.mktemp("cosmos"))


@pytest.fixture(scope="session")
def omni_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_omni(tmp_path_factory.mktemp("omni"))


@pytest.fixture(scope="session")
def tribe_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tribe(tmp_path_factory.mktemp("tribe"))


@pytest.fixture
def picture() -> Callable[[int], np.ndarray]:
    """Return the picture of a number: waves and noise at a camera's size."""

    def make(number: int, height: int = 120, width: int = 212) -> np.ndarray:
        random = np.random.default_rng(number)
        y, x = np.mgrid[:height, :width]
        waves = [127 + 100 * np.sin(x / random.uniform(5, 30) + y / random.uniform(5, 30)) for _ in range(3)]
        return np.clip(np.stack(waves, -1) + random.normal(0, 8, (height, width, 3)), 0, 255).astype(np.uint8)

    return make
