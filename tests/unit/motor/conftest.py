"""The motor's tests need the packages of the command stream."""

from __future__ import annotations

import pytest

pytest.importorskip("fastcrc")
pytest.importorskip("ruckig")
