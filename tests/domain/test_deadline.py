"""Until when an account waits, for naru/domain/deadline.py."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naru.domain.deadline import account_due, check_due
from naru.domain.errors import BadRequest

# In Seoul it is the first of March already.
NOW = datetime(2028, 2, 29, 15, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("2028-03-02", datetime(2028, 3, 2, 14, 59, 59, tzinfo=UTC)),
        ("20280302", datetime(2028, 3, 2, 14, 59, 59, tzinfo=UTC)),
        ("2028-03-01", datetime(2028, 3, 1, 14, 59, 59, tzinfo=UTC)),
        ("2028-03-02 10:20", datetime(2028, 3, 2, 1, 20, tzinfo=UTC)),
        ("2028-03-02T10:20:30", datetime(2028, 3, 2, 1, 20, 30, tzinfo=UTC)),
        ("202803021020", datetime(2028, 3, 2, 1, 20, tzinfo=UTC)),
        (" 20280302102030 ", datetime(2028, 3, 2, 1, 20, 30, tzinfo=UTC)),
        (None, datetime(2028, 3, 31, 14, 59, 59, tzinfo=UTC)),
        ("", datetime(2028, 3, 31, 14, 59, 59, tzinfo=UTC)),
    ],
)
def test_dates_are_korean_time_and_a_day_lasts_until_its_end(
    text: str | None, due: datetime
) -> None:
    assert account_due(text, NOW) == due


REFUSED: list[Any] = [
    *("2028-02-29", "2028-03-01 00:29", "0001-01-01", "1999-12-31"),
    *("2029-03-03", "9999-12-31", "9999-12-31 23:59:59"),
    *("2028-02-30", "2028-13-01", "2028-00-10", "2028-03-02 24:00", "2028-03-02 10:60"),
    *("tomorrow", "2028", "2028-3-2", "２０２８０３０２", "2028-03-02 10", "2028-03-02\x00"),
    *(20280302, 1.5, True, [], {}, b"20280302", "2" * 100_000),
]


@pytest.mark.parametrize("text", REFUSED, ids=lambda each: repr(each)[:24])
def test_the_past_the_far_future_and_what_is_no_date_are_refused(text: Any) -> None:
    with pytest.raises(BadRequest):
        account_due(text, NOW)


@given(st.datetimes(timezones=st.just(UTC)))
def test_any_moment_is_judged_without_stumbling(due: datetime) -> None:
    try:
        check_due(due, NOW)
    except BadRequest:
        assert due <= NOW or (due - NOW).days >= 366
    else:
        assert due > NOW
