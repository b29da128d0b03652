"""The guide's shop, typed off its pages into a folder of this run, and started as the pages say."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[4]
sys.path.insert(0, str(ROOT))

from tests.guide.pages import write_shop  # noqa: E402

os.chdir(write_shop(Path(sys.argv[1]) / "guide"))
os.environ["PYTHONPATH"] = str(ROOT)
os.execv(sys.executable, [sys.executable, "certify_shop.py"])
