"""Find a Chromium for the browser tests, or install one, and print its path.

Order: NARU_CHROMIUM, one on the PATH, one that Playwright downloaded earlier, Debian's package
(when we are root there), Playwright's download. What is tried is said on stderr.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

# The shell is the same browser without windows of its own, at half the CPU.
NAMES = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
)


def main() -> None:
    """Print the path of a Chromium that starts, or exit with one sentence."""
    for find in (_named, _on_path, _downloaded, _from_debian, _from_playwright):
        path = find()
        if path and _starts(path):
            print(path)
            return
    sys.exit(
        "naru: no Chromium was found and none could be installed: install one "
        "(Debian: apt-get install chromium) or set NARU_CHROMIUM to its path."
    )


def _named() -> str | None:
    path = os.environ.get("NARU_CHROMIUM")
    if path and not _starts(path):
        sys.exit(f"naru: NARU_CHROMIUM is {path}, which does not start.")
    return path


def _on_path() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def _downloaded() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def _from_debian() -> str | None:
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return None
    print("naru: installing chromium with apt-get …", file=sys.stderr)
    environ = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "chromium"]
    # Older Debians have no separate shell; then the whole browser does everything.
    for command in (
        ["apt-get", "update", "-q"],
        [*install, "fonts-noto-cjk"],
        [*install, "chromium-headless-shell"],
    ):
        _run(command, environ)
    return _on_path()


def _from_playwright() -> str | None:
    print("naru: downloading chromium with Playwright …", file=sys.stderr)
    _run([sys.executable, "-m", "playwright", "install", "chromium"], dict(os.environ))
    return _downloaded()


def _run(command: list[str], environ: dict[str, str]) -> None:
    try:
        done = subprocess.run(
            command, env=environ, timeout=300, stdin=subprocess.DEVNULL, capture_output=True
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"naru: {command[0]}: {error}", file=sys.stderr)
        return
    if done.returncode:
        last = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()[-1:]
        print(f"naru: {' '.join(command[:3])}: {' '.join(last)[:300]}", file=sys.stderr)


def _starts(path: str) -> bool:
    try:
        done = subprocess.run([path, "--version"], capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


if __name__ == "__main__":
    main()
