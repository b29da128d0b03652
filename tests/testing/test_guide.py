"""docs/guide/testing.md runs as it is printed, and its Korean page prints the same programs."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from tests.testing.test_plugin import environ, run_pytest

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
ISOLATED = '''
"""Two tests that would see each other if they shared anything."""
import pytest
from naru.kit import NotFound

seen = []

def test_alone(imp):
    assert imp.user_code not in seen
    seen.append(imp.user_code)
    with pytest.raises(NotFound):
        imp.client.find_payment("order-1")
    imp.pay("order-1", 1000)
    assert imp.approve().success
    assert len(imp.webhooks.arrived) == 1

def test_alone_too(imp):
    test_alone(imp)

async def test_alone_as_well(async_imp):
    test_alone(async_imp.sync)
'''
GUIDE = Path(__file__).parents[2] / "docs" / "guide"


def programs(page: str) -> dict[str, str]:
    """The files that a page's Python blocks make, each named by its first line."""
    found: defaultdict[str, str] = defaultdict(str)
    text = (GUIDE / page).read_text("utf-8")
    for block in re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        first, rest = block.split("\n", 1)
        found[first.removeprefix("# ")] += rest
    return dict(found)


def test_the_guide_runs_and_tests_side_by_side_do_not_see_each_other(tmp_path: Path) -> None:
    files = programs("testing.md")
    assert sorted(files) == ["shop.py", "test_async.py", "test_shop.py", "without_pytest.py"]
    for name in ("shop.py", "test_async.py"):
        (tmp_path / name).write_text(files[name])
    (tmp_path / "test_django.py").write_text(DJANGO)
    (tmp_path / "test_isolated.py").write_text(ISOLATED)
    # Every worker of pytest-xdist has a gateway of its own.
    done = run_pytest(tmp_path, files["test_shop.py"], "-o", "pythonpath=.", "-n", "2")
    tests = sum(text.count("def test_") for text in [*files.values(), DJANGO, ISOLATED])
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{tests} passed" in done.stdout


def test_the_guides_program_runs_without_pytest() -> None:
    running = subprocess.Popen(
        [sys.executable, "-c", programs("testing.md")["without_pytest.py"]],
        env=environ(),
        stdout=subprocess.PIPE,
        text=True,
    )
    said, _ = running.communicate(timeout=240)
    assert re.match(r"True http://127\.0\.0\.1:\d+ http://127\.0\.0\.1:\d+\n$", said)
    for place in (Path("/dev/shm"), Path(tempfile.gettempdir())):
        assert list(place.glob(f"naru-private-{running.pid}-*")) == []


def test_both_languages_print_the_same_programs_and_sections() -> None:
    assert programs("testing.ko.md") == programs("testing.md")
    english, korean = (
        (GUIDE / name).read_text("utf-8") for name in ("testing.md", "testing.ko.md")
    )
    for mark in (r"^## ", r"^\| ", r"^- ", r"^```"):
        count = len(re.findall(mark, english, re.MULTILINE))
        assert len(re.findall(mark, korean, re.MULTILINE)) == count, mark
