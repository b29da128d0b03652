"""Jobs waiting to run: how a verb asks for one inside its own transaction.

A job is a wake-up call and nothing more: it names a row, and the row is the truth. Claiming,
leasing and re-running jobs is PgQueuer's work, in tables of its own.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.qb import (
    QueryBuilderEnvironment,
    QueryQueueBuilder,
    QuerySchedulerBuilder,
)
from pgqueuer.domain.settings import DBSettings, Durability
from pgqueuer.domain.types import Channel
from pgqueuer.queries import Queries

from naru.store.named import Query, load

if TYPE_CHECKING:
    from naru.store.connection import Connection

DELIVER_WEBHOOK = "deliver_webhook"
SETTLE_PAYMENT = "settle_payment"
RUN_SCHEDULE = "run_schedule"
SETTLE_KEY = "settle_key"
SETTLE_RECEIPT = "settle_receipt"
RUN_ERRAND = "run_errand"

# Every name is said here, because the library would also read them from the environment,
# where words as common as CHANNEL or TRIGGER may mean something else.
_SETTINGS = DBSettings(
    prefix="",
    db_schema=None,
    channel=Channel("naru_jobs"),
    function="jobs_changed",
    statistics_table="jobs_statistics",
    queue_status_type="job_status",
    queue_table="jobs",
    queue_table_log="jobs_log",
    trigger="jobs_changed",
    schedules_table="jobs_schedules",
    durability=Durability.durable,
    widen_id=True,
)


_ENVIRONMENT = QueryBuilderEnvironment(_SETTINGS)
_QUEUE_QUERIES = QueryQueueBuilder(_SETTINGS)
_SCHEDULER_QUERIES = QuerySchedulerBuilder(_SETTINGS)

# The library's own statement, prepared once per connection: its way to it costs as much CPU as the
# statement. It hands over JSON as text, which our connections would encode once more: so it is
# bound as text and becomes jsonb inside the server.
_ENQUEUE = Query(
    "queue.enqueue",
    _QUEUE_QUERIES.build_enqueue_query("skip").replace("$6::jsonb[]", "$6::text[]::jsonb[]"),
)
_FORGET, _PUT_RIGHT = load("queue")["forget"], load("queue")["put_right"]
_AT_ONCE = timedelta(0)
_NO_HEADERS = "null"


class Queue:
    """Jobs waiting to run."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def ask(
        self, job: str, subject: str, *, after: timedelta | None = None, once: str | None = None
    ) -> bool:
        """Ask for a job about `subject` (an id), when this transaction commits and not before.

        `after` delays it. `once` is a name: while a job of that name waits or runs no second one is
        made, and the answer is False.
        """
        made = await self._connection.fetch(
            _ENQUEUE, [0], [job], [subject.encode()], [after or _AT_ONCE], [once], [_NO_HEADERS]
        )
        return bool(made)

    async def forget(self, older_than: timedelta) -> None:
        """Let go of the library's log of jobs that ended; its statistics stay."""
        await self._connection.fetch(_FORGET, older_than)

    async def put_right(self) -> None:
        """The database's clock may have gone back: wake what was to wait for impossible times."""
        await self._connection.fetch(_PUT_RIGHT)


async def install(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Create or renew the library's tables. Not inside a transaction; repeating it changes nothing."""
    queries = _plain_queries(AsyncpgDriver(connection))
    if await queries.schema_is_installed():
        await queries.upgrade()
    else:
        await queries.install()


async def open_worker(dsn: str) -> tuple[PgQueuer, asyncpg.Connection[asyncpg.Record]]:
    """A runner of jobs with a connection of its own, which the caller closes.

    Raises what asyncpg raises when the database cannot be reached.
    """
    connection = await asyncpg.connect(
        dsn,
        timeout=5,
        command_timeout=30,
        target_session_attrs="read-write",  # a standby hands out no jobs
        # The library's statements are long, and planning one anew costs more than running it.
        server_settings={
            "application_name": "naru worker",
            "timezone": "UTC",
            "plan_cache_mode": "force_generic_plan",
        },
    )
    driver = AsyncpgDriver(connection)
    return PgQueuer(driver, channel=_SETTINGS.channel, queries=_plain_queries(driver)), connection


def _plain_queries(driver: AsyncpgDriver) -> Queries:
    return Queries(
        driver,
        qbe=_ENVIRONMENT,
        qbq=_QUEUE_QUERIES,
        qbs=_SCHEDULER_QUERIES,
    )
