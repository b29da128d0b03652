"""Which Python runs a named statement: what sql.py makes of its text, but for the library's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from naru.store.named import Query
from tests.simulation.schema import schema
from tests.simulation.sql import Parser, Writer

if TYPE_CHECKING:
    from tests.simulation.database import Transaction

Values = dict[str, Any]
Run = Callable[["Transaction", tuple[Any, ...]], list[Values]]

_known: dict[Query, Run] = {}


def find(query: Query) -> Run:
    """How to run it. Raises NotUnderstood."""
    run = _known.get(query)
    if run is None:
        run = _OWN.get(query.name)
        if run is None:
            run = Writer(schema()).compile(Parser(query.sql).statement(), query.name)
        _known[query] = run
    return run


def enqueue(tx: Transaction, values: tuple[Any, ...]) -> list[Values]:
    """The library's INSERT INTO jobs, ON CONFLICT DO NOTHING about the name."""
    _, jobs, subjects, waits, names, _ = values
    made = []
    for job, subject, wait, once in zip(jobs, subjects, waits, names, strict=True):
        row = tx.insert(
            "jobs",
            {
                "id": tx.db.number("jobs"),
                "job": job,
                "subject": subject.decode(),
                "due_at": tx.at + wait,
                "once": once,
                "status": "queued",
                "worker": None,
            },
            quiet=True,
        )
        if row is not None:
            made.append({"id": row["id"]})
    return made


def nothing(tx: Transaction, values: tuple[Any, ...]) -> list[Values]:
    """The library's log is not kept here, and its clock never goes back."""
    return []


_OWN: dict[str, Run] = {
    "queue.enqueue": enqueue,
    "queue.forget": nothing,
    "queue.put_right": nothing,
}
