"""Who notices that a database is a copy or went back, for naru/store/house.py (decision 0016)."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import uuid
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest

from naru.cli.postgres import Postgres
from naru.store import Fenced, Guard, Store, StoreUnavailable, house
from naru.store.house import Memory, NotVouched, Standing, why_fence
from naru.store.migrate import migrate
from tests.support.copies import dump, restore
from tests.support.gateway import ROOT_KEY
from tests.support.postgres import postgres_server
from tests.support.scale import often

if TYPE_CHECKING:
    from tests.support.postgres import Databases

HERE = ("7000", 1, 16384, 17000)


def guard(home: Path | None) -> Guard:
    """That of a process of its own."""
    return Guard(home, str(uuid.uuid4()))


async def enter(url: str, home: Path | None) -> None:
    """A process comes, does something and ends. Raises as the store does."""
    store = Store(url, 2, root_key=ROOT_KEY, guard=guard(home))
    try:
        async with store.direct() as session:
            await session.ping()
    finally:
        await store.close()


async def went_back(sql: asyncpg.Connection, change: str) -> None:
    """What no statement may do to the house, and a copy of its files does."""
    await sql.execute("SET session_replication_role = replica")
    await sql.execute(change)
    await sql.execute("RESET session_replication_role")


async def standing(url: str) -> Standing:
    store = Store(url, 1, root_key=ROOT_KEY)
    async with store.direct() as session:
        found = await session.house.look()
    await store.close()
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("found", "beat", "memory", "why"),
    [
        (HERE, None, None, None),
        (HERE, 5, Memory("h", "w", 5), None),
        (HERE, 6, Memory("h", "w", 5), None),
        (HERE, 4, Memory("h", "w", 5), "went back"),
        (HERE, None, Memory("h", "w", 5), "went back"),
        # Of another house nothing is remembered.
        (HERE, None, Memory("g", "w", 5), None),
        (("7001", 1, 16384, 17000), 5, Memory("h", "w", 5), "its cluster"),
        (("7000", 1, 16385, 17000), 5, Memory("h", "w", 5), "its database"),
        (("7000", 1, 16384, 17001), 5, Memory("h", "w", 5), "its table"),
        # A fail-over: who was there judges.
        (("7000", 2, 16384, 17000), 5, Memory("h", "w", 5), None),
        (("7000", 2, 16384, 17000), 4, Memory("h", "w", 5), "went back"),
        # Somebody compared it since, or what somebody compared is not in it.
        (HERE, 4, Memory("h", "w", 5, -1), None),
        (HERE, 6, Memory("h", "w", 5, 1), "before the last"),
    ],
)
def test_what_speaks_for_a_copy(
    found: tuple[str, int, int, int], beat: int | None, memory: Memory | None, why: str | None
) -> None:
    said = why_fence(Standing("h", HERE, found, None, None, beat), memory)
    assert (said is None) == (why is None), said
    assert why is None or (said is not None and why in said)


async def test_a_house_is_entered_left_and_entered_again(database_url: str, tmp_path: Path) -> None:
    await asyncio.gather(*(enter(database_url, tmp_path / str(n)) for n in range(4)))
    for home in (tmp_path / "0", tmp_path / "new", None):
        await enter(database_url, home)
    assert (await standing(database_url)).fenced_at is None


async def test_a_role_that_owns_the_database_and_nothing_else_may_look(
    database_url: str, sql: asyncpg.Connection, tmp_path: Path
) -> None:
    await sql.execute("DROP ROLE IF EXISTS plain; CREATE ROLE plain LOGIN")
    await sql.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO plain")
    await sql.execute("SET ROLE plain")
    await sql.fetch(house.Q["adopt"].sql)
    assert len(await sql.fetch(house.Q["look"].sql, None)) == 1
    await sql.execute("RESET ROLE; DROP OWNED BY plain; DROP ROLE plain")


@pytest.mark.fault("L5_WD", "L5_RO")
async def test_a_dump_that_is_restored_is_fenced_for_everybody_at_any_age(
    databases: Databases, database_url: str, tmp_path: Path
) -> None:
    await enter(database_url, tmp_path / "home")
    dumped = await dump(databases, database_url)
    await enter(database_url, tmp_path / "home")
    copy = await restore(databases, dumped)
    for home in (tmp_path / "home", tmp_path / "new", None):
        with pytest.raises(Fenced, match="this is a copy"):
            await enter(copy, home)
    # The original is what it was; the control of all this.
    await enter(database_url, tmp_path / "home")
    databases.drop(copy)


async def test_a_database_made_from_another_as_its_template_is_fenced(
    databases: Databases, database_url: str, sql: asyncpg.Connection
) -> None:
    await enter(database_url, None)
    name = await sql.fetchval("SELECT current_database()")
    await sql.close()
    admin = await asyncpg.connect(databases.server.url("postgres"))
    await admin.execute(f"CREATE DATABASE {name}_copy TEMPLATE {name}")
    await admin.close()
    copy = databases.server.url(f"{name}_copy")
    with pytest.raises(Fenced, match="its database"):
        await enter(copy, None)
    databases.drop(copy)


async def test_a_dump_that_is_restored_over_its_own_database_is_fenced(
    databases: Databases, database_url: str, sql: asyncpg.Connection
) -> None:
    await enter(database_url, None)
    dumped = await dump(databases, database_url)
    await sql.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    psql = str(databases.server.program("psql"))
    process = await asyncio.create_subprocess_exec(
        psql, "-X", "-q", database_url, stdin=asyncio.subprocess.PIPE
    )
    await process.communicate(dumped)
    with pytest.raises(Fenced, match="its table"):
        await enter(database_url, None)


async def test_a_copy_of_files_put_back_is_found_by_who_was_there(
    database_url: str, sql: asyncpg.Connection, tmp_path: Path
) -> None:
    """Cluster, timeline, database and table are the same in such a copy; only a number is smaller."""
    home = tmp_path / "home"
    await enter(database_url, home)
    kept = json.loads((home / "witness.json").read_text())
    await went_back(sql, f"UPDATE witnesses SET beat = beat - 1 WHERE name = '{kept['name']}'")
    with pytest.raises(Fenced, match="went back"):
        await enter(database_url, home)
    # From then on for those who remember nothing, too.
    with pytest.raises(Fenced, match="went back"):
        await enter(database_url, None)


async def test_a_copy_older_than_the_last_unfencing_is_found_by_who_was_there(
    database_url: str, sql: asyncpg.Connection, tmp_path: Path
) -> None:
    """The copy was made, then the house was fenced and unfenced, then the copy was put back."""
    watch = guard(tmp_path)

    async def look() -> None:
        # A connection of its own each time, as after every exchange of a database.
        store = Store(database_url, 1, root_key=ROOT_KEY)
        async with store.direct() as session:
            await watch.admit(session._connection)
        await store.close()

    await look()
    await sql.execute("UPDATE witnesses SET beat = beat + 30")
    await sql.execute("UPDATE house SET fenced_at = now(), fenced_because = 'by hand'")
    with pytest.raises(Fenced):
        await look()
    store = Store(database_url, 1, root_key=ROOT_KEY)
    async with store.begin() as tx:
        await tx.house.unfence("kim", "compared")
    await store.close()
    await look()
    unfenced = await sql.fetchval("SELECT unfenced_at FROM house")
    await sql.execute("UPDATE house SET unfenced_at = $1", unfenced - timedelta(days=1))
    with pytest.raises(Fenced, match="before the last"):
        await look()
    # And one that was made after it, for a process that lived through it.
    await sql.execute(
        "UPDATE house SET unfenced_at = $1, fenced_at = NULL, fenced_because = NULL", unfenced
    )
    await look()
    await went_back(sql, "UPDATE witnesses SET beat = beat - 1")
    with pytest.raises(Fenced, match="went back"):
        await look()


@pytest.mark.fault("L5_CJ")
async def test_a_fail_over_that_lost_nothing_is_no_copy(
    database_url: str, sql: asyncpg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever any clock says: numbers are compared, and no times."""
    home = tmp_path / "home"
    await enter(database_url, home)
    await sql.execute("UPDATE house SET timeline = timeline + 1")
    await sql.execute("UPDATE witnesses SET at = now() + interval '1 day'")
    # Somebody new waits for one who was there.
    with pytest.raises(NotVouched):
        await enter(database_url, None)
    assert (await standing(database_url)).fenced_at is None
    await enter(database_url, home)
    await enter(database_url, None)
    # Nobody who was there comes: then it is taken for a copy that was rolled forward.
    await sql.execute("UPDATE house SET timeline = timeline + 1")
    monkeypatch.setattr(house, "VOUCHING_SECONDS", 0.0)
    with pytest.raises(Fenced, match="no process that was there before"):
        await enter(database_url, None)


@pytest.mark.fault("L5_SL")
async def test_a_process_that_runs_or_slept_meanwhile_loses_its_house_too(
    database_url: str, sql: asyncpg.Connection, tmp_path: Path
) -> None:
    watch = guard(tmp_path)
    store = Store(database_url, 2, root_key=ROOT_KEY, guard=watch)
    async with store.direct() as session:
        await session.ping()
        keeping = asyncio.create_task(watch.keep(store))
        await sql.execute("UPDATE house SET fenced_at = now(), fenced_because = 'by hand'")

    async def may_act() -> bool:
        try:
            async with store.direct() as session:
                await session.ping()
        except Fenced:
            return False
        return True

    async with asyncio.timeout(20):
        while await may_act():
            await asyncio.sleep(0.05)
        # And gets it back.
        await sql.execute("UPDATE house SET fenced_at = NULL, fenced_because = NULL")
        while not await may_act():
            await asyncio.sleep(0.05)
    keeping.cancel()
    await store.close()


ENTER = """
import asyncio, sys
from pathlib import Path
from naru.store import Guard, Store

async def main() -> None:
    name = "00000000-0000-0000-0000-000000000001"
    store = Store(sys.argv[1], 1, root_key=bytes(32), guard=Guard(Path(sys.argv[2]), name))
    async with store.direct():
        print("acts", flush=True)

asyncio.run(main())
"""


@pytest.mark.fault("L5_CB")
async def test_a_process_that_is_killed_as_it_fences_has_done_nothing(
    database_url: str, sql: asyncpg.Connection, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    await enter(database_url, home)
    await went_back(sql, "UPDATE witnesses SET beat = 0")
    await sql.execute("BEGIN; LOCK house IN SHARE MODE")  # it may look, and waits to write
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ENTER, database_url, str(home), stdout=asyncio.subprocess.PIPE
    )
    watching = await asyncpg.connect(database_url)
    async with asyncio.timeout(30):
        while not await watching.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.02)
    process.kill()
    said, _ = await process.communicate()
    await sql.execute("ROLLBACK")
    await watching.close()
    assert said == b""
    # Killed before or after its statement: whoever comes next is kept out, and nothing was done.
    for _ in range(2):
        with pytest.raises(Fenced, match="went back"):
            await enter(database_url, home)


@pytest.mark.fault("L5_DB", "L5_NP", "L5_DF")
async def test_a_fence_that_cannot_be_written_is_a_fence(
    databases: Databases, database_url: str, sql: asyncpg.Connection, tmp_path: Path
) -> None:
    """The database refuses to write, or is not there."""
    home = tmp_path / "home"
    await enter(database_url, home)
    await went_back(sql, "UPDATE witnesses SET beat = 0")
    await sql.execute(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$"
        " BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = 'disk_full'; END $$;"
        "CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON house FOR EACH ROW EXECUTE FUNCTION full_disk()"
    )
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=r"DiskFull|no space left"):
            await enter(database_url, home)
    assert (await standing(database_url)).fenced_at is None
    # Nobody can enter a house of which it cannot be written that it was entered, either.
    await sql.execute("DROP TRIGGER full_disk ON house")
    with pytest.raises(Fenced):
        await enter(database_url, home)
    with pytest.raises(StoreUnavailable):
        await enter("postgresql://nobody@127.0.0.1:1/naru", home)


@pytest.mark.fault("L5_DU", "L5_CA")
async def test_fencing_and_unfencing_have_one_effect_each_however_often(
    database_url: str, sql: asyncpg.Connection, tmp_path: Path
) -> None:
    await enter(database_url, tmp_path)
    store = Store(database_url, often(8, 64), root_key=ROOT_KEY)

    async def fence() -> bool:
        async with store.begin() as session:
            return await session.house.fence("by hand")

    async def unfence() -> bool:
        async with store.begin() as session:
            return await session.house.unfence("kim", "compared") is not None

    for act in (fence, unfence, fence, unfence):
        assert sum(await asyncio.gather(*(act() for _ in range(often(8, 64))))) == 1
    with pytest.raises(ValueError, match="name and a note"):
        async with store.begin() as session:
            await session.house.unfence(" ", "compared")
    await store.close()
    # What was remembered before is not held against the house that somebody took the fence from.
    await enter(database_url, tmp_path)
    changes = await sql.fetch(
        "SELECT after FROM audit_log WHERE subject LIKE 'house %' ORDER BY place"
    )
    assert len(changes) == 5
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await sql.execute("DELETE FROM house")


async def test_a_home_that_cannot_be_written_or_understood_stops_nobody(
    database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "witness.json").write_text('{"house": 1}')
    await enter(database_url, tmp_path)
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    await enter(database_url, blocked)


@pytest.mark.skipif(not often(0, 1), reason="NIGHTLY: four servers, one after the other")
async def test_copies_of_a_servers_files_and_a_copy_that_is_rolled_forward(tmp_path: Path) -> None:
    """What docs/how-to/backup.md says is found, and what it says is not."""
    ours, other = tmp_path / "ours", tmp_path / "other"

    async def start(server: Postgres) -> str:
        await asyncio.to_thread(server.start)
        connection = await asyncpg.connect(server.url())
        async with asyncio.timeout(30):
            while await connection.fetchval("SELECT pg_is_in_recovery()"):
                await asyncio.sleep(0.05)
        await connection.close()
        return server.url()

    def copy_files(kind: str, *, roll_forward: bool = False) -> Postgres:
        home = server.home.with_name(f"{server.home.name}-{kind}")
        home.mkdir(mode=0o711)
        subprocess.run(["cp", "-a", f"{server.folder}", f"{home}/postgres"], check=True)
        copied = Postgres(home)
        if roll_forward:
            signal = copied.data / "recovery.signal"
            subprocess.run(["cp", "-a", f"{copied.data}/PG_VERSION", f"{signal}"], check=True)
            with (copied.data / "postgresql.auto.conf").open("a") as settings:
                settings.write("restore_command = 'false'\n")
        return copied

    with postgres_server(durable=True) as server:
        await asyncio.to_thread(server.create_database, "naru")
        await migrate(server.url())
        await enter(server.url(), ours)
        await asyncio.to_thread(server.stop)
        files = copy_files("files")
        rolled = copy_files("rolled", roll_forward=True)
        copies = [files, rolled]
        try:
            # Nothing happened since, so whoever was there may go on with either.
            url = await start(rolled)
            with pytest.raises(NotVouched):
                await enter(url, other)
            await asyncio.to_thread(rolled.stop)
            # The original goes on: from here on they are copies.
            await enter(await start(server), ours)
            for copied in copies:
                url = await start(copied)
                if copied is files:
                    # Not found by who remembers nothing: hence `naru fence`.
                    await enter(url, other)
                with pytest.raises(Fenced, match="went back"):
                    await enter(url, ours)
                with pytest.raises(Fenced, match="went back"):
                    await enter(url, other)
                await asyncio.to_thread(copied.stop)
            await enter(server.url(), ours)
        finally:
            for copied in copies:
                await asyncio.to_thread(copied.stop)
                shutil.rmtree(copied.home, ignore_errors=True)
