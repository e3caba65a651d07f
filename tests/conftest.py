"""What every test shares: the test data's own building blocks can be imported."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "testdata"))
