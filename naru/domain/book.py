"""A PG's own book: what it says that it moved, to be compared with ours, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from naru.domain.money import Money
from naru.domain.task import TaskKind


class Movement(StrEnum):
    """What a row of a PG's book moved."""

    CHARGE = "charge"
    DEPOSIT = "deposit"
    CANCEL = "cancel"
    NET_CANCEL = "net_cancel"


@dataclass(frozen=True, slots=True)
class BookRow:
    """One movement of money, as the PG booked it.

    `reference` is the cancel number of a cancel and the notice's key of a deposit. `at` is the
    PG's clock, aware.
    """

    movement: Movement
    order_no: str
    pg_tid: str
    reference: str
    amount: Money
    at: datetime


@dataclass(frozen=True, slots=True)
class BookPage:
    """Some rows, oldest first. `after` asks for the next page; None: this was the last one."""

    rows: tuple[BookRow, ...]
    after: str | None


class DifferenceKind(StrEnum):
    """How the two books may differ."""

    CHARGE_LATE = "charge_late"  # theirs, of a payment that we had given up
    CHARGE_LOST = "charge_lost"  # theirs, of a payment that a restored copy has as unpaid
    CHARGE_UNKNOWN = "charge_unknown"  # theirs, and no payment of ours accounts for it
    CHARGE_AMOUNT = "charge_amount"
    CHARGE_MISSING = "charge_missing"  # ours alone
    CHARGE_UNDONE = "charge_undone"  # paid here, undone there
    CANCEL_AT_PG = "cancel_at_pg"  # theirs, made at the PG's console
    CANCEL_LATE = "cancel_late"  # theirs, of a cancel that we had given up
    CANCEL_UNKNOWN = "cancel_unknown"  # theirs, and it does not fit our payment
    CANCEL_AMOUNT = "cancel_amount"
    CANCEL_MISSING = "cancel_missing"  # ours alone
    DEPOSIT_LOST = "deposit_lost"  # theirs, and its notice never reached us
    DEPOSIT_AMOUNT = "deposit_amount"
    DEPOSIT_MISSING = "deposit_missing"  # ours alone


class Ending(StrEnum):
    """What was done about a difference."""

    BOOKED = "booked"  # a fact: our books follow the PG
    UNDONE = "undone"  # our decision stood: the PG undid its approval
    TOLD = "told"  # a person must look; nothing was changed


# The task that tells of a difference. What is not here needs nobody, or tells of itself.
TASK_OF = {
    (DifferenceKind.CHARGE_LATE, Ending.BOOKED): TaskKind.APPROVED_LATE,
    (DifferenceKind.CHARGE_UNKNOWN, Ending.TOLD): TaskKind.BOOK_CHARGE_UNKNOWN,
    (DifferenceKind.CHARGE_AMOUNT, Ending.TOLD): TaskKind.BOOK_AMOUNT,
    (DifferenceKind.CHARGE_MISSING, Ending.TOLD): TaskKind.BOOK_CHARGE_MISSING,
    (DifferenceKind.CHARGE_UNDONE, Ending.TOLD): TaskKind.BOOK_UNDONE,
    (DifferenceKind.CANCEL_AT_PG, Ending.BOOKED): TaskKind.CANCELLED_AT_PG,
    (DifferenceKind.CANCEL_LATE, Ending.BOOKED): TaskKind.CANCELLED_LATE,
    (DifferenceKind.CANCEL_UNKNOWN, Ending.TOLD): TaskKind.BOOK_CANCEL_UNKNOWN,
    (DifferenceKind.CANCEL_AMOUNT, Ending.TOLD): TaskKind.BOOK_AMOUNT,
    (DifferenceKind.CANCEL_MISSING, Ending.TOLD): TaskKind.BOOK_CANCEL_MISSING,
    (DifferenceKind.DEPOSIT_AMOUNT, Ending.TOLD): TaskKind.BOOK_AMOUNT,
    (DifferenceKind.DEPOSIT_MISSING, Ending.TOLD): TaskKind.BOOK_DEPOSIT_MISSING,
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where the books differ, and what was done about it.

    `subject` names the movement at the PG. `ours` and `theirs` are None where nothing is written.
    """

    kind: DifferenceKind
    subject: str
    order_no: str
    imp_uid: str | None
    ours: Money | None
    theirs: Money | None
    at: datetime
    ending: Ending

    def text(self) -> str:
        """One line for a person."""
        ours = "nothing" if self.ours is None else self.ours.text()
        theirs = "nothing" if self.theirs is None else self.theirs.text()
        return (
            f"{self.kind} {self.subject} of PG order {self.order_no}"
            f" ({self.imp_uid or 'no payment of ours'}): we have {ours}, the PG has {theirs}"
        )
