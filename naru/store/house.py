"""Which database this is, and whether the house in it may act (decision 0016).

A restored copy says what was true when it was made: webhooks that have left wait in it again, and
payments that were paid since are doubts in it. So it is fenced: nobody who serves gets a
connection to it until a person has compared it with the PGs' books (`naru unfence`).

A copy is known by what changes when one is made (the cluster, the database, the table), or by what
it lacks: every serving process raises a number in it, and remembers that number outside of it. A
new timeline alone is also an ordinary fail-over; then a process that was there before, and finds
its number, vouches that nothing was lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg

from naru.store.named import load
from naru.store.unavailable import StoreUnavailable

if TYPE_CHECKING:
    from naru.store.connection import Connection, Store

log = logging.getLogger("naru.store")

Q = load("house")

BEAT_SECONDS = 2.0
# So long a process that knows nothing of a new timeline waits for one that does.
VOUCHING_SECONDS = 30.0
SAY_AGAIN_SECONDS = 600.0
_NAME = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Fenced(StoreUnavailable):
    """The house is a restored copy, or was fenced by hand: nothing leaves it until `naru unfence`."""


class NotVouched(StoreUnavailable):
    """The database stands on a new timeline, and nobody has yet found its own number in it."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a house stands by its own record (`recorded`) and where it is (`found`).

    Both are cluster, timeline, database, table. `beat` is how far the witness that asked had come,
    `unfenced` when a person last took a fence away, in microseconds, 0 for never.
    """

    id: str
    recorded: tuple[str, int, int, int]
    found: tuple[str, int, int, int]
    fenced_at: datetime | None
    because: str | None
    beat: int | None
    unfenced: int = 0


@dataclass(frozen=True, slots=True)
class Memory:
    """What a process remembers of a house: the number that it, or one before it here, has raised,
    and which taking away of a fence (`Standing.unfenced`) that was after."""

    house: str
    name: str
    beat: int
    unfenced: int = 0


def why_fence(standing: Standing, memory: Memory | None) -> str | None:
    """Why this database is a copy, or lacks what was there; None: nothing speaks for it.

    A new timeline is not judged here.
    """
    for what, recorded, found in zip(
        ("cluster", "timeline", "database", "table"), standing.recorded, standing.found, strict=True
    ):
        if what != "timeline" and recorded != found:
            return f"this is a copy: its {what} is {found}, and the house stood in {recorded}"
    if memory is None or memory.house != standing.id:
        return None
    if standing.unfenced < memory.unfenced:
        return "the database went back to before the last `naru unfence`"
    if standing.unfenced > memory.unfenced:
        # A person compared it since: what was remembered before that is not held against it.
        return None
    if standing.beat is None or standing.beat < memory.beat:
        return (
            f"the database went back: witness {memory.name} had come to {memory.beat},"
            f" and here it is at {standing.beat or 0}"
        )
    return None


class House:
    """What the database says of the house that it is."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def look(self, witness: str | None = None) -> Standing | None:
        """Where it stands; None: nobody has entered it yet."""
        row = await self._connection.fetchrow(Q["look"], witness)
        if row is None:
            return None
        return Standing(
            row["id"],
            (row["cluster"], row["timeline"], row["database"], row["place"]),
            (row["cluster_now"], row["timeline_now"], row["database_now"], row["place_now"]),
            row["fenced_at"],
            row["fenced_because"],
            row["beat"],
            row["unfenced"],
        )

    async def adopt(self) -> None:
        """Enter a house that nobody has entered: from now on it stands here."""
        await self._connection.fetch(Q["adopt"])

    async def vouch(self, before: int, now: int) -> None:
        """Nothing was lost: the house stands on this timeline."""
        await self._connection.fetch(Q["vouch"], before, now)

    async def fence(self, because: str) -> bool:
        """Nothing leaves any more. False: it is fenced already, or nobody has entered it."""
        return await self._connection.fetchval(Q["fence"], because) is not None

    async def unfence(self, who: str, note: str) -> int | None:
        """It acts again, where it stands now. In a transaction.

        Answers how many open questions were marked as those of a copy; None: it was not fenced.
        Raises ValueError without a name or a note.
        """
        if not who.strip() or not note.strip():
            raise ValueError("a fence is taken away with a name and a note")
        if await self._connection.fetchval(Q["unfence"], who, note) is None:
            return None
        return len(await self._connection.fetch(Q["hold"]))

    async def beat(self, memory: Memory) -> None:
        """Raise the number of this witness."""
        await self._connection.fetchval(Q["beat"], memory.name, memory.beat)

    async def newest(self) -> datetime | None:
        """When the newest thing happened that a fenced copy knows; None: nothing ever did."""
        found: datetime | None = await self._connection.fetchval(Q["newest"])
        return found

    async def windows(
        self, channels: Sequence[int], newest: datetime, after: str, most: int
    ) -> list[str]:
        """imp_uids that may have gone on after `newest` without being known here: a page behind one."""
        rows = await self._connection.fetch(Q["windows"], list(channels), newest, after, most)
        return [row["imp_uid"] for row in rows]


class Guard:
    """Stands at a store's door: every new connection is looked at before anybody has it.

    A database is exchanged for a copy only by breaking its connections, so nothing is ever said to
    a copy unseen. `home` is the folder (NARU_HOME) that remembers between two runs; None: nothing
    does. `name` is a UUID that no other process has. `aloud`: refusals are logged, by whoever goes on
    serving; a command says its one itself.
    """

    def __init__(self, home: Path | None, name: str, *, aloud: bool = True) -> None:
        self._aloud = aloud
        self._file = None if home is None else home / "witness.json"
        self._name = name
        self._alone = asyncio.Lock()
        self._memory = self._read()
        self._refusal: StoreUnavailable | None = None
        self._waiting_since: float | None = None
        self._said_at = 0.0

    def check(self) -> None:
        """Raises Fenced or NotVouched when the last look ended so."""
        if self._refusal is not None:
            raise type(self._refusal)(str(self._refusal))

    async def admit(self, connection: Connection) -> None:
        """Look at the house behind a connection. Raises Fenced, NotVouched, StoreUnavailable."""
        async with self._alone:
            try:
                refusal = await self._judge(House(connection))
            except asyncpg.UndefinedTableError as error:
                raise StoreUnavailable("the database lacks tables: run `naru migrate`") from error
            except asyncpg.PostgresError as error:
                raise StoreUnavailable(f"the house cannot be looked at: {error}") from error
            self._say(refusal)
            self._refusal = refusal
        self.check()

    async def _judge(self, house: House) -> StoreUnavailable | None:
        memory = self._memory
        standing = await house.look(None if memory is None else memory.name)
        if standing is None:
            await house.adopt()
            standing = await house.look()
            assert standing is not None, "whoever came first has written it"
        if standing.fenced_at is not None:
            return Fenced(_sentence(standing.because or ""))
        because = why_fence(standing, memory)
        (_, before, _, _), (_, now, _, _) = standing.recorded, standing.found
        if because is None and before != now:
            if memory is not None and (memory.house, memory.unfenced) == (
                standing.id,
                standing.unfenced,
            ):
                log.warning("timeline %d follows %d, and nothing was lost", now, before)
                await house.vouch(before, now)
            elif self._waited(VOUCHING_SECONDS):
                because = (
                    f"timeline {now} follows {before}, and no process that was there before vouches"
                    " that nothing was lost"
                )
            else:
                return NotVouched(
                    f"the database stands on a new timeline ({now}, before {before}): waiting for a"
                    " process that was there before"
                )
        if because is not None:
            await house.fence(because)
            return Fenced(_sentence(because))
        self._waiting_since = None
        mine = memory is not None and memory.name == self._name
        beat = (standing.beat or 0) if mine else 0  # What was asked about is what we had raised.
        if (
            memory is None
            or not mine
            or (memory.house, memory.unfenced)
            != (
                standing.id,
                standing.unfenced,
            )
        ):
            self._memory = Memory(standing.id, self._name, beat, standing.unfenced)
            await self._raise(house)
        return None

    async def _raise(self, house: House) -> None:
        """Raise our number, and remember it once it is committed."""
        memory = self._memory
        assert memory is not None
        higher = replace(memory, beat=memory.beat + 1)
        await house.beat(higher)
        self._memory = higher
        self._write(higher)

    def _waited(self, seconds: float) -> bool:
        now = asyncio.get_running_loop().time()
        if self._waiting_since is None:
            self._waiting_since = now
        return now - self._waiting_since >= seconds

    def _say(self, refusal: StoreUnavailable | None) -> None:
        now = asyncio.get_running_loop().time()
        if refusal is None:
            if self._refusal is not None:
                log.warning("the house is not fenced (any more): it acts")
        elif str(refusal) != str(self._refusal) or now - self._said_at > SAY_AGAIN_SECONDS:
            self._said_at = now
            if self._aloud:
                log.error("%s", refusal)

    async def keep(self, store: Store) -> None:
        """Look and raise our number every two seconds, for ever: whoever serves runs this beside."""
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            # A database that is away says so to whoever needs it.
            with contextlib.suppress(StoreUnavailable):
                async with _unguarded(store) as connection:
                    await self.admit(connection)
                    async with self._alone:
                        await self._raise(House(connection))

    def _read(self) -> Memory | None:
        if self._file is None:
            return None
        try:
            kept: Any = json.loads(self._file.read_text("utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            log.warning("%s cannot be read: %s", self._file, type(error).__name__)
            return None
        match kept:
            case {
                "house": str(house),
                "name": str(name),
                "beat": int(beat),
                "unfenced": int(unfenced),
            } if _NAME.fullmatch(name):
                return Memory(house, name, beat, unfenced)
        log.warning("%s is not understood", self._file)
        return None

    def _write(self, memory: Memory) -> None:
        if self._file is None:
            return
        text = json.dumps(asdict(memory))
        half = self._file.with_suffix(f".{os.getpid()}")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
            half.write_text(text + "\n", "utf-8")
            half.replace(self._file)
        except OSError as error:
            log.warning(
                "%s cannot be written (%s): a database that goes back while no process runs is not"
                " noticed from here",
                self._file,
                type(error).__name__,
            )
            self._file = None


@asynccontextmanager
async def _unguarded(store: Store) -> AsyncIterator[Connection]:
    connection = await store.take(guarded=False)
    try:
        yield connection
    finally:
        store.give_back(connection)


def _sentence(because: str) -> str:
    return f"the house is fenced: {because}. Run `naru unfence` after comparing it with the PGs"
