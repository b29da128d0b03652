"""A person's account of welfare points: passes through on its way to the PG, and is kept nowhere."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, repr=False)
class PointAccount:
    """Name and password as the person typed them; its repr tells neither. No member code: a test."""

    user: str
    password: str
    member_code: str | None = None

    def __repr__(self) -> str:
        return "PointAccount(...)"
