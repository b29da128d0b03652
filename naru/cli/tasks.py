"""`naru tasks …`: what the house could not end by itself, and who ended it."""

import argparse
import asyncio
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from naru.cli import database, lines
from naru.cli.trouble import CliError
from naru.config import Settings

if TYPE_CHECKING:
    from naru.domain.task import Task
    from naru.store import Session


ALONE = "list"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verbs of `naru tasks`."""
    parser.epilog = (
        "for example:  naru tasks list\n"
        '              naru tasks close 7 --by kim --note "given back in the PG\'s console"'
    )
    verbs = parser.add_subparsers(metavar="VERB", dest="verb", required=True)
    listing = verbs.add_parser("list", help="what waits for a person, oldest first")
    listing.add_argument("--all", action="store_true", help="the newest, closed ones too")
    listing.add_argument("--most", type=int, default=100, metavar="N", help="at most (100)")
    show = verbs.add_parser("show", help="one task: what happened, and what to do")
    show.add_argument("task", type=int, help="its number in `naru tasks list`")
    close = verbs.add_parser("close", help="somebody has looked; it is kept with name and note")
    close.add_argument("task", type=int, help="its number in `naru tasks list`")
    close.add_argument("--by", required=True, metavar="NAME", help="who looked")
    close.add_argument("--note", required=True, metavar="TEXT", help="what became of it")
    close.add_argument(
        "--returned",
        action="store_true",
        help="the deposit was given back in the PG's console: the books let it go",
    )


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Do what the verb says; print what a person needs to know."""
    verbs = {"list": _list, "show": _show, "close": _close}
    asyncio.run(verbs[arguments.verb](arguments, settings))
    return 0


async def _list(arguments: argparse.Namespace, settings: Settings) -> None:
    most = max(1, min(arguments.most, 10_000))
    async with database.open_store(settings) as store, store.direct() as session:
        tasks = session.tasks
        found = await (tasks.list_all(most) if arguments.all else tasks.list_open(most))
        if not found:
            print("No task waits for anybody.", file=sys.stderr)
        for each in found:
            state = "open" if each.closed_at is None else f"closed by {each.closed_by}"
            print(
                f"{each.id:>6}  {lines.when(each.opened_at)}  {each.kind:<21}  "
                f"{each.imp_uid or lines.plain(each.subject)}  "
                f"{lines.plain(state)}  {lines.plain(each.sentence)}{await _kept(session, each)}"
            )


async def _show(arguments: argparse.Namespace, settings: Settings) -> None:
    from naru.domain.task import SAID, TaskKind

    async with database.open_store(settings) as store, store.direct() as session:
        task = await session.tasks.get(_number(arguments.task))
        if task is None:
            raise CliError(f"There is no task number {arguments.task}.")
        kept = await _kept(session, task)
    said = SAID[TaskKind(task.kind)]
    print(f"task {task.id}: {said.happened}")
    print(f"  {said.happened_ko}\n  {lines.plain(task.sentence)}{kept}")
    print(f"  {task.kind}: {lines.plain(task.subject)}")
    print(f"to do\n  {said.advice}\n  {said.advice_ko}")
    if task.kind.startswith("deposit_"):
        print(
            f"  given back in the PG's console: naru tasks close {task.id} --returned --by NAME --note TEXT"
        )
    if task.imp_uid is not None:
        print(f"  naru payment {task.imp_uid}")
    for line in _times(task):
        print(line)


async def _kept(session: "Session", task: "Task") -> str:
    """How many notices lie under this task, if it is about more than the one that opened it."""
    kept, booked = await session.notices.of_task(task.id)
    return f" [{kept} notices kept, {booked} of them booked]" if kept > 1 else ""


def _times(task: "Task") -> list[str]:
    found = [f"opened  {lines.when(task.opened_at)}"]
    if task.alerted_at is not None:
        found.append(f"told    {lines.when(task.alerted_at)}")
    if task.closed_at is not None:
        ended = f"by {task.closed_by}: {task.note}"
        found.append(f"closed  {lines.when(task.closed_at)} {lines.plain(ended)}")
    return found


async def _close(arguments: argparse.Namespace, settings: Settings) -> None:
    from naru.domain.text import is_storable
    from naru.payments.return_deposit import NotReturnable, return_deposit

    if not is_storable([arguments.by, arguments.note]):
        raise CliError("The name and the note must be text.")
    if not arguments.by.strip() or not arguments.note.strip():
        raise CliError("Say who looked and what became of it: --by NAME --note TEXT.")
    now, returned = datetime.now(UTC), None
    async with database.open_store(settings) as store, store.begin() as session:
        task = await session.tasks.get(_number(arguments.task))
        if task is not None and arguments.returned:
            try:
                returned = await return_deposit(session, task, arguments.by, arguments.note, now)
            except NotReturnable as error:
                raise CliError(str(error)) from error
        note = f"returned: {arguments.note}" if returned else arguments.note
        closed = task and await session.tasks.close(task.id, arguments.by, note, now)
        # A task that was closed before the money went back says so already.
        if not closed and not returned:
            raise CliError(f"There is no open task number {arguments.task}.")
    print(f"task {arguments.task} is closed")
    if returned:
        print(f"{returned.text()} are out of the books' suspense")


def _number(number: int) -> int:
    """A number that the database can hold; 0 is never one of ours."""
    return number if 0 < number < 2**63 else 0
