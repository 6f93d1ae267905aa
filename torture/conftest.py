"""Makes `torture` and the modules of `e2e/` importable."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import torture  # noqa: E402, F401
