"""Until when a virtual account waits. Dates of i'mport are Korean time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from naru.domain.errors import BadRequest

KST = timezone(timedelta(hours=9), "KST")
DEFAULT_DAYS = 30  # what inicis and nice give (SDK facts §5)
DAYS_MAX = 366

_DATE = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})(?:[ T]?(\d{2}):?(\d{2})(?::?(\d{2}))?)?", re.ASCII)


def account_due(text: Any, now: datetime) -> datetime:
    """Read `vbank_due`: YYYY-MM-DD, YYYYMMDD, with HH:mm[:ss] or HHmm[ss]; a date alone lasts until 23:59:59 KST.

    Absent: 30 days. Raises BadRequest for anything else, for the past, and for more than a year.
    """
    if text in (None, ""):
        day = now.astimezone(KST) + timedelta(days=DEFAULT_DAYS)
        return day.replace(hour=23, minute=59, second=59, microsecond=0).astimezone(UTC)
    match = _DATE.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise BadRequest("vbank_due 는 YYYYMMDD 또는 YYYY-MM-DD HH:mm:ss 형식이어야 합니다.")
    year, month, day_of_month, hour, minute, second = match.groups()
    try:
        if hour is None:
            due = datetime(int(year), int(month), int(day_of_month), 23, 59, 59, tzinfo=KST)
        else:
            due = datetime(
                int(year),
                int(month),
                int(day_of_month),
                int(hour),
                int(minute),
                int(second or 0),
                tzinfo=KST,
            )
    except ValueError:
        raise BadRequest("vbank_due 가 올바른 날짜가 아닙니다.") from None
    check_due(due, now)
    return due.astimezone(UTC)


def check_due(due: datetime, now: datetime) -> None:
    """Raises BadRequest for a deadline that has passed, or lies more than a year ahead."""
    if due <= now:
        raise BadRequest("vbank_due 가 이미 지난 시각입니다.")
    if due > now + timedelta(days=DAYS_MAX):
        raise BadRequest("vbank_due 는 1년 이내여야 합니다.")
