"""Makers of measurements and chunks for the property tests."""

from __future__ import annotations

import pytest

pytest.importorskip("ruckig")
pytest.importorskip("fastcrc")
