"""Once: the right to answer one Idempotency-Key, and the proof that it is still ours."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Once:
    """One try at a request that carries an Idempotency-Key.

    Whoever takes a silent try over has the next `attempt`. A verb binds what it is about to do to
    `record_id` in the same transaction as its intention, so that of two tries only one begins it.
    """

    record_id: int
    attempt: int
