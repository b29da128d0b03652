"""Recovery: what may be done about a question whose answer is not known, by what the PG can do.

One table for every PG (RELIABILITY 2.3). A connector says its powers (`can`) and how long they
last (`lasts`); nobody here asks which PG it is.

    in doubt   the PG can                       the worker
    approval   be asked about the order         asks; found: what the PG says
                                                not found, net-cancel: undoes it, which also stops
                                                  a request that is still on its way
                                                not found, repeat: asks the same again, one effect
                                                not found, neither: waits until the buyer's proof
                                                  has been dead for 8 minutes, then it never was
               not; repeat                      asks the same again, while the proof lives
               not; net-cancel                  undoes it
               nothing (any more)               an operator looks, from the start; the order is held
    undoing    net-cancel                       undoes it, until the PG agrees
               not (any more); be asked         asks what stands, and books it
               nothing                          an operator looks
    cancel     be asked about the cancel        asks; not found, repeat: cancels with the same number
                                                not found, no repeat: after 8 minutes it never was
               not; repeat                      cancels with the same number, one effect
               nothing                          an operator looks, from the start
    closing    close accounts                   closes again: closing twice is closing once

An approval that was open in a restored copy may have been answered after the copy was made: it is
asked about or asked again, and never undone unasked (decision 0016).

Whatever stays unknown longer than the buyer's proof lives and 5 minutes is laid before an operator,
and is still tried, in the end once a day (L1).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum, auto

from naru.connectors import Can, Connector
from naru.domain.task import TaskKind
from naru.store.intents import Intent

# How long to wait before the next try (RELIABILITY 6.6); the last one repeats.
LADDER_SECONDS = (5, 15, 60, 300, 900, 3_600, 21_600, 86_400)
# From here on a person must know of a question that moves no money (L1).
TELL_AFTER = timedelta(hours=1)
# A request that has not arrived so long after the proof died never will (RELIABILITY 2.3, rule 1).
STILL_UNDER_WAY = timedelta(minutes=5)
# One machine opened the question, another one measures its age: their clocks may differ by so much.
# An age by the database's clock alone would need no such bound while one server holds the database;
# after a fail-over it is again two machines' clocks. `naru doctor` tells of clocks that are apart.
CLOCKS_APART = timedelta(minutes=3)

TASK_OF: dict[str, TaskKind] = {
    "approve": TaskKind.APPROVAL_UNKNOWN,
    "issue_account": TaskKind.APPROVAL_UNKNOWN,
    "cancel": TaskKind.CANCEL_UNKNOWN,
    "close_account": TaskKind.CLOSING_UNKNOWN,
}


class Way(Enum):
    """What to do now."""

    INQUIRE = auto()
    NET_CANCEL = auto()
    REPEAT = auto()
    WAIT = auto()
    NEVER_WAS = auto()
    OPERATOR = auto()


def way(connector: Connector, intent: Intent, now: datetime) -> Way:
    """The first thing to do about this doubt."""
    match intent.kind:
        case "close_account":
            return Way.REPEAT
        case "cancel":
            if has(connector, Can.INQUIRE_CANCEL, intent, now):
                return Way.INQUIRE
            return Way.REPEAT if _cancel_repeats(connector, intent, now) else Way.OPERATOR
    asks = has(connector, Can.INQUIRE_ORDER, intent, now)
    undoes = has(connector, Can.NET_CANCEL, intent, now)
    if intent.state == "undoing":
        return Way.NET_CANCEL if undoes else Way.INQUIRE if asks else Way.OPERATOR
    if asks:
        return Way.INQUIRE
    if _approval_repeats(connector, intent, now):
        return Way.REPEAT
    return Way.NET_CANCEL if undoes and not intent.restored else Way.OPERATOR


def way_when_not_found(connector: Connector, intent: Intent, asked_at: datetime) -> Way:
    """The PG has not seen it. `asked_at` is when it was asked, not when its answer was read.

    A process that slept between the two would else take an old "not found" for a final one.
    """
    if intent.kind == "cancel":
        if _cancel_repeats(connector, intent, asked_at):
            return Way.REPEAT
    elif has(connector, Can.NET_CANCEL, intent, asked_at):
        return Way.NET_CANCEL
    elif _approval_repeats(connector, intent, asked_at):
        return Way.REPEAT
    return Way.NEVER_WAS if asked_at > never_was_from(connector, intent) else Way.WAIT


def has(connector: Connector, power: Can, intent: Intent, now: datetime) -> bool:
    """Has the PG this power over this question still?"""
    if power not in connector.can:
        return False
    lasting = connector.lasts.get(power)
    return lasting is None or now < lasting.until(intent.opened_at)


def needs_ticket(connector: Connector) -> bool:
    """Must the buyer's proof be kept, sealed, because asking again may be the only way?"""
    return Can.REPEAT_APPROVAL in connector.can and not (
        {Can.INQUIRE_ORDER, Can.NET_CANCEL} <= connector.can
    )


def proof_dies_at(connector: Connector, intent: Intent) -> datetime:
    """When the PG stops taking the buyer's proof; a question without one dies as it is asked."""
    if intent.kind in ("cancel", "close_account"):
        return intent.opened_at
    dies_at = intent.request.get("token_dies_at")
    if isinstance(dies_at, int | float):
        return datetime.fromtimestamp(dies_at, intent.opened_at.tzinfo)
    return intent.opened_at + timedelta(seconds=connector.auth_token_seconds)


def limit(connector: Connector, intent: Intent) -> datetime:
    """From here on nothing should be under way, and an operator must know of what is still unknown."""
    return proof_dies_at(connector, intent) + STILL_UNDER_WAY


def never_was_from(connector: Connector, intent: Intent) -> datetime:
    """From here on nothing can be under way, whichever of the two clocks was ahead."""
    return limit(connector, intent) + CLOCKS_APART


def next_try(connector: Connector, intent: Intent, now: datetime) -> datetime:
    """When to look again: the next rung, and at either limit itself if that comes before."""
    rung = LADDER_SECONDS[min(intent.tries, len(LADDER_SECONDS) - 1)]
    if way(connector, intent, now) is Way.OPERATOR:
        rung = LADDER_SECONDS[-1]
    at = now + timedelta(seconds=rung)
    for end in (limit(connector, intent), never_was_from(connector, intent)):
        # One second beyond, so that the try finds itself behind the limit.
        beyond = end + timedelta(seconds=1)
        if now < beyond:
            return min(at, beyond)
    return at


def again_at(tries: int, asked_at: datetime, now: datetime) -> datetime:
    """When to look again at a question that moves no money: the next rung, and no later than a person is
    to be told. Tries come faster than the ladder where who leased one died.
    """
    at = now + timedelta(seconds=LADDER_SECONDS[min(tries, len(LADDER_SECONDS)) - 1])
    told = asked_at + TELL_AFTER + timedelta(seconds=1)
    return min(at, told) if now < told else at


def needs_operator(connector: Connector, intent: Intent, now: datetime) -> bool:
    """Must a person know of this doubt (L1)?"""
    return now > limit(connector, intent) or way(connector, intent, now) is Way.OPERATOR


def _approval_repeats(connector: Connector, intent: Intent, now: datetime) -> bool:
    return (
        intent.kind == "approve"
        and needs_ticket(connector)
        and has(connector, Can.REPEAT_APPROVAL, intent, now)
        and now < proof_dies_at(connector, intent)
    )


def _cancel_repeats(connector: Connector, intent: Intent, now: datetime) -> bool:
    # Where the money goes to is never kept, so such a cancel cannot be asked for again.
    return has(connector, Can.REPEAT_CANCEL, intent, now) and not intent.request.get(
        "to_account", False
    )
