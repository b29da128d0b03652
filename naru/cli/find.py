"""Finding the merchant that a person means by a word on the command line."""

from typing import TYPE_CHECKING

from naru.cli.trouble import CliError

if TYPE_CHECKING:
    from naru.domain.merchant import Merchant
    from naru.store import Session


# The help of a command that tells of all merchants, or of one.
MERCHANT_IF_ONE = "of this merchant only, by id or 가맹점식별코드; of all without it"


async def merchant_id(session: "Session", word: str | None) -> int | None:
    """The id of the merchant that was named; None for no name, which means all. Raises CliError."""
    return None if word is None else (await merchant(session, word)).id


async def merchant(session: "Session", word: str) -> "Merchant":
    """The merchant with this id or 가맹점식별코드 (impXXXXXXXX). Raises CliError."""
    found = await session.merchants.by_user_code(word) if is_plain(word) else None
    if found is None and word.isascii() and word.isdigit() and len(word) < 18:
        found = await session.merchants.get(int(word))
    if found is None:
        raise CliError(f"There is no merchant {word!r}: `naru merchant list` names them all.")
    return found


def is_plain(word: str) -> bool:
    """Could this be a name of ours? The database refuses NUL and broken UTF-8 with an error."""
    return 0 < len(word) <= 100 and word.isascii() and word.isprintable()
