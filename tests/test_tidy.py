"""The house is tidy: what a careful reader would otherwise have to look for, again and again."""

import ast
import gc
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
THIS = Path(__file__).name

# Written in pieces, so that this file does not find itself.
MARKERS = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|HA" r"CK|W" r"IP)\b")
MACHINE_PATHS = re.compile(r"/(?:wo" r"rk|ro" r"ot|ho" r"me)/[\w.-]+")
REGISTRIES = re.compile(
    r"(?:pypi\.org|python"
    r"hosted|registry\.npm"
    r"js|npmmir"
    r"ror|--index-url|--find-links"
    r"|artifact"
    r"ory|nexus\.|devpi|127\.0\.0\.1:\d+/simple)"
)
TEXT = {".py", ".js", ".css", ".html", ".md", ".sql", ".toml", ".txt", ".json", ".tsx", ".ts", ""}


def tracked() -> list[Path]:
    """The files that git keeps, and those that it is about to."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for name in listed.stdout.splitlines() if (path := ROOT / name).is_file()]


def texts() -> Iterator[tuple[str, str]]:
    """Name and text of every file that people write; what others wrote for us is in vendor/."""
    for path in tracked():
        name = path.relative_to(ROOT).as_posix()
        if path.suffix in TEXT and "/vendor/" not in name and path.name != THIS:
            yield name, path.read_text("utf-8")


def places(pattern: re.Pattern[str], *, where: str = "") -> list[str]:
    """file:line of everything that this pattern finds."""
    return [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in texts()
        if name.startswith(where)
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Every module of the house."""
    # What other tests left complains now: a complaint compiles, and breaks a compilation under way.
    gc.collect()
    for name, text in texts():
        if name.endswith(".py") and name.startswith("naru/"):
            yield name, ast.parse(text)


def test_nothing_is_marked_as_unfinished() -> None:
    assert places(MARKERS, where="naru/") + places(MARKERS, where="tests/") == []
    assert places(MARKERS, where="tools/") == []


def test_no_path_of_somebodys_machine_is_written_down() -> None:
    assert places(MACHINE_PATHS) == []


def test_no_registry_is_written_down() -> None:
    assert places(REGISTRIES) == []


def test_the_locks_pin_every_package_by_hash_and_name_no_address() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        lines = (ROOT / name).read_text().splitlines()
        packages = [line for line in lines if not line.startswith((" ", "#"))]
        assert len(packages) > 20
        assert all(re.match(r"[a-z0-9-]+==\S+( ; .+)? \\$", line) for line in packages), name
        assert all(re.match(r"    --hash=sha256:[0-9a-f]{64}( \\)?$", line)
                   for line in lines if line.startswith(" ")), name  # fmt: skip
        assert not [line for line in lines if "://" in line]


def test_the_demo_and_the_developers_run_the_same_versions() -> None:
    demo, dev = (
        dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE))
        for name in ("requirements.txt", "requirements-dev.txt")
    )
    assert demo.items() <= dev.items()


def test_what_is_public_says_what_it_is() -> None:
    silent = []
    for name, module in modules():
        if ast.get_docstring(module) is None:
            silent.append(name)
        if name.startswith("naru/sandbox/"):
            continue  # its routes and their bodies are told in a table on top of each file
        for node in module.body:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            if not node.name.startswith("_") and ast.get_docstring(node) is None:
                silent.append(f"{name}: {node.name}")
    assert silent == []


def test_the_words_of_the_glossary_are_used() -> None:
    # A transaction is the database's; what a buyer does is a payment.
    payment_rooms = ("naru/domain/", "naru/payments/", "naru/rest/", "naru/checkout/")
    wrong = []
    for name, module in modules():
        if not name.startswith(payment_rooms):
            continue
        for node in ast.walk(module):
            word = getattr(node, "name", None) or getattr(node, "id", None)
            if isinstance(word, str) and "transaction" in word.lower():
                wrong.append(f"{name}: {word}")
    assert wrong == []


def test_every_module_is_used_by_somebody() -> None:
    everything = "\n".join(text for _, text in texts())
    lonely = []
    for name, _ in modules():
        path = Path(name)
        if path.stem in ("__init__", "__main__", "main") or path.parent.name in (
            "cli",
            "connectors",
        ):
            continue  # found by name at run time
        dotted = ".".join(path.with_suffix("").parts)
        package = ".".join(path.parent.parts)
        named = rf"from {package} import (?:[^\n(]*|\([^)]*)\b{path.stem}\b"
        if dotted not in everything and not re.search(named, everything):
            lonely.append(name)
    assert lonely == []


@pytest.mark.parametrize("page", ["README.md", "README.ko.md", "CONTRIBUTING.md"])
def test_the_commands_that_a_page_names_exist(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z-]+)", "\n".join(re.findall(r"`[^`]+`|^    .+$|```.+?```",
                text, re.MULTILINE | re.DOTALL))))  # fmt: skip

    assert named
    assert named <= targets


def test_every_link_of_a_page_leads_somewhere() -> None:
    broken = []
    for name, text in texts():
        if not name.endswith(".md"):
            continue
        for target in re.findall(r"\]\(([^)#\s]+)", text):
            if "://" in target or target.startswith("mailto:"):
                continue
            if not (ROOT / name).parent.joinpath(target).exists():
                broken.append(f"{name}: {target}")
    assert broken == []


def test_ci_runs_what_developers_run() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    commands = [line for line in script.splitlines() if line and not line.startswith("#")]
    assert commands[-1] == "exec make test"
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
