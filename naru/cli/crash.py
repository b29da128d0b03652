"""For the tests that kill: NARU_CRASH names a point of the money path where this process is to die."""

from __future__ import annotations

from collections.abc import Mapping

from naru.cli.trouble import CliError


def arm(environ: Mapping[str, str]) -> None:
    """Arm this process if the environment says so (`NARU_CRASH=claim.after_commit:3`).

    Raises CliError for a point that does not exist.
    """
    order = environ.get("NARU_CRASH")
    if not order:
        return
    from naru.domain import points

    try:
        points.arm(order)
    except ValueError as error:
        raise CliError(f"NARU_CRASH: {error}.") from error
