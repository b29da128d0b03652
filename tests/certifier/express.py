"""Express and SQLite for the small shops in Node, installed once into `.clients/express`.

Their adapters name that folder as NODE_PATH; `python -m tests.certifier.express` fills it.
"""

from __future__ import annotations

from pathlib import Path

from tests.clients.install import CannotInstall, node_packages

SHOPS = Path(__file__).parent / "shops"


def express() -> Path:
    """The folder whose `node_modules` has Express. Raises CannotInstall."""
    return node_packages("express", SHOPS / "node")


if __name__ == "__main__":
    try:
        print(express())
    except CannotInstall as error:
        raise SystemExit(f"No Express: {error}") from None
