"""The shard format of demonstrations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neon_ros.data.episode import OPTIONAL, SHARD, check_shard, load_shard, save_shard
from neon_ros.errors import ContractError


def make_shard(frames: int = 4) -> dict[str, np.ndarray[Any, Any]]:
    sizes = {"vision": (112, 112), "points": (512, 3)}
    arrays = {name: np.zeros((frames, *sizes.get(name, shape)), np.float32) for name, shape in SHARD.items()}
    arrays["points"][:, 100:] = np.nan
    for name in ("colour", "shape", "episode"):
        arrays[name] = arrays[name].astype(np.int64)
    return arrays


def test_a_shard_is_there_and_back(tmp_path: Path) -> None:
    path, shard = tmp_path / "deep" / "episode.npz", make_shard()
    shard["q"][2, 5] = 0.25
    save_shard(path, shard)
    loaded = load_shard(path)
    assert set(loaded) == set(SHARD) | set(OPTIONAL)
    assert loaded["base"].shape == (4, 2, 3, 16, 3) and not loaded["base"].any()
    assert loaded["asked"].all() and not loaded["task"].any()
    assert all(np.array_equal(loaded[name], shard[name], equal_nan=True) for name in SHARD)
    assert [file.name for file in path.parent.iterdir()] == ["episode.npz"]


def test_what_other_tasks_add_is_checked_too(tmp_path: Path) -> None:
    shard = make_shard()
    shard["base"] = np.full((4, 2, 3, 16, 3), 0.5, np.float32)
    save_shard(tmp_path / "walk.npz", shard)
    assert np.array_equal(load_shard(tmp_path / "walk.npz")["base"], shard["base"])
    shard["base"][1, 0, 2, 3, 1] = np.nan
    with pytest.raises(ContractError, match=r"base\[0, 2, 3, 1\] of frame 1 of shard"):
        check_shard(shard)
    shard["base"] = np.zeros((4, 2, 3, 15, 3), np.float32)
    with pytest.raises(ContractError, match=r"base of shard: got \(4, 2, 3, 15, 3\)"):
        check_shard(shard)


def test_a_missing_array_is_named() -> None:
    shard = make_shard()
    del shard["dq"]
    with pytest.raises(ContractError, match=r"arrays of shard: got missing \['dq'\], unknown \[\]"):
        check_shard(shard)


def test_an_unknown_array_is_named() -> None:
    with pytest.raises(ContractError, match=r"unknown \['extra'\]"):
        check_shard({**make_shard(), "extra": np.zeros(4)})


def test_a_wrong_shape_is_named() -> None:
    shard = make_shard()
    shard["chunks"] = np.zeros((4, 2, 3, 16, 14))
    with pytest.raises(ContractError, match=r"chunks of shard: got \(4, 2, 3, 16, 14\); allowed: \(4, 2, 3, 16, 17\)"):
        check_shard(shard)


def test_too_few_frames_of_one_array_are_named() -> None:
    shard = make_shard()
    shard["gyroscope"] = shard["gyroscope"][:3]
    with pytest.raises(ContractError, match=r"gyroscope of shard: got \(3, 3\)"):
        check_shard(shard)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_named_with_its_frame(value: float) -> None:
    shard = make_shard()
    shard["q"][3, 7] = value
    with pytest.raises(ContractError, match=r"q\[7\] of frame 3 of shard: got (nan|inf); allowed: finite values"):
        check_shard(shard)


def test_absent_points_are_allowed_and_infinite_ones_are_not() -> None:
    shard = make_shard()
    assert check_shard(shard) == 4
    shard["points"][1, 2, 0] = np.inf
    with pytest.raises(ContractError, match=r"points\[2, 0\] of frame 1"):
        check_shard(shard)


def test_words_are_no_numbers() -> None:
    shard = make_shard()
    shard["colour"] = np.full((4, 3), "red")
    with pytest.raises(ContractError, match=r"colour of shard: got <U3; allowed: numbers"):
        check_shard(shard)


def test_an_empty_shard_is_refused() -> None:
    with pytest.raises(ContractError, match=r"frames of shard: got 0"):
        check_shard(make_shard(0))


def test_nothing_is_written_of_a_broken_shard(tmp_path: Path) -> None:
    shard = make_shard()
    shard["q"][0, 0] = np.nan
    with pytest.raises(ContractError):
        save_shard(tmp_path / "episode.npz", shard)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"not a shard"])
def test_a_truncated_file_is_refused_by_its_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cut.npz"
    path.write_bytes(content)
    with pytest.raises(ContractError, match=r"cut\.npz: got .*; allowed: a whole \.npz of plain arrays"):
        load_shard(path)


def test_pickled_objects_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "objects.npz"
    np.savez(path, **{**make_shard(), "q": np.array([{"a": 1}], dtype=object)})
    with pytest.raises(ContractError, match="plain arrays"):
        load_shard(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="No such file"):
        load_shard(tmp_path / "none.npz")
