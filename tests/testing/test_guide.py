"""docs/guide/testing.md runs as it is printed, and its Korean page prints the same programs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from tests.support.processes import BYTECODE
from tests.testing.test_plugin import run_pytest

# What the guide says of Django: another thread would find another, empty database in memory.
DJANGO = """
import django
import pytest
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection, transaction
from django.http import HttpResponse
from django.urls import path

def webhook(request):
    connection.cursor().execute("INSERT INTO told VALUES (%s)", [request.body.decode()])
    return HttpResponse()

urlpatterns = [path("payments/webhook", webhook)]

def test_a_django_shop_is_told_inside_the_transaction_of_the_test(imp):
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    settings.configure(DATABASES={"default": database}, ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"])
    django.setup()
    imp.webhooks.to(get_wsgi_application())
    with transaction.atomic():
        connection.cursor().execute("CREATE TABLE told (body text)")
        imp.pay("order-1", 1_000)
        imp.approve()
        rows = connection.cursor().execute("SELECT body FROM told").fetchall()
        transaction.set_rollback(True)
    assert [body.encode() for body, in rows] == [letter.body for letter in imp.webhooks.arrived]
    assert len(rows) == 1
"""
GUIDE = Path(__file__).parents[2] / "docs" / "guide"


def programs(page: str) -> dict[str, str]:
    """The files that a page's Python blocks make, each named by its first line."""
    found: defaultdict[str, str] = defaultdict(str)
    text = (GUIDE / page).read_text("utf-8")
    for block in re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        first, rest = block.split("\n", 1)
        found[first.removeprefix("# ")] += rest
    return dict(found)


def test_the_guide_runs(tmp_path: Path) -> None:
    files = programs("testing.md")
    assert sorted(files) == ["shop.py", "test_async.py", "test_shop.py", "without_pytest.py"]
    for name in ("shop.py", "test_async.py"):
        (tmp_path / name).write_text(files[name])
    (tmp_path / "test_django.py").write_text(DJANGO)
    done = run_pytest(tmp_path, files["test_shop.py"], "-o", "pythonpath=.")
    tests = sum(text.count("def test_") for text in [*files.values(), DJANGO])
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{tests} passed" in done.stdout


def test_the_guides_program_runs_without_pytest() -> None:
    done = subprocess.run(
        [sys.executable, "-c", programs("testing.md")["without_pytest.py"]],
        env=os.environ | {"PYTHONPYCACHEPREFIX": str(BYTECODE), "PYTHONDONTWRITEBYTECODE": ""},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert re.match(r"True http://127\.0\.0\.1:\d+ http://127\.0\.0\.1:\d+\n$", done.stdout), done


def test_both_languages_print_the_same_programs_and_sections() -> None:
    assert programs("testing.ko.md") == programs("testing.md")
    english, korean = (
        (GUIDE / name).read_text("utf-8") for name in ("testing.md", "testing.ko.md")
    )
    for mark in (r"^## ", r"^\| ", r"^- ", r"^```"):
        count = len(re.findall(mark, english, re.MULTILINE))
        assert len(re.findall(mark, korean, re.MULTILINE)) == count, mark
