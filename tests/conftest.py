"""What every test shares: test data's own building blocks can be imported, generated values are the same every time."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

settings.register_profile(
    "house", deadline=None, derandomize=True, database=None, max_examples=40, suppress_health_check=list(HealthCheck)
)
settings.register_profile("search", parent=settings.get_profile("house"), derandomize=False, max_examples=400)
settings.load_profile("house")

sys.path.append(str(Path(__file__).parent.parent / "testdata"))
