"""Which database a command speaks to, and what to say when it does not answer."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from naru.cli.postgres import running_url
from naru.cli.trouble import CliError
from naru.config import Settings

if TYPE_CHECKING:
    from naru.store import Store

OLDEST_VERSION = 14


def address(settings: Settings) -> str:
    """NARU_DATABASE_URL, else the embedded server of a running demo. Raises CliError."""
    url = settings.database_url or running_url(settings.home)
    if url is None:
        raise CliError(
            "There is no database: set NARU_DATABASE_URL, or start `naru demo` "
            f"(it keeps its own in {settings.home})."
        )
    return url


async def check_server(url: str) -> str:
    """PostgreSQL's version, such as "18.6". Raises CliError: no answer, or too old a server."""
    import asyncpg

    try:
        connection = await asyncpg.connect(url, timeout=10)
    except Exception as error:
        raise CliError(explain(error)) from error
    try:
        number = int(await connection.fetchval("SHOW server_version_num"))
    finally:
        await connection.close(timeout=5)
    if number < OLDEST_VERSION * 10_000:
        raise CliError(
            f"The database is PostgreSQL {number // 10_000} and naru needs {OLDEST_VERSION} or "
            "newer: upgrade it, or point NARU_DATABASE_URL at a newer one."
        )
    return f"{number // 10_000}.{number % 10_000}"


async def migrate(url: str, root_key: bytes | None) -> list[str]:
    """Bring the database to this version; returns the migrations applied. Raises CliError."""
    import asyncpg

    from naru.store import WrongRootKey
    from naru.store.migrate import MigrationChanged
    from naru.store.migrate import migrate as apply

    await check_server(url)
    try:
        return await apply(url, root_key)
    except MigrationChanged as error:
        raise CliError(f"{error}: this database belongs to another version of naru.") from error
    except WrongRootKey as error:
        raise CliError(
            "The database holds secrets that are to be sealed now: set NARU_SECRET, the root key."
        ) from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise CliError(
            f"The database user may not create tables ({error}): "
            "let it own the database, or migrate as its owner."
        ) from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise CliError(f"The database could not be migrated: {_first_line(error)}.") from error


async def pending(url: str) -> list[str]:
    """The migrations that this database has not had yet; changes nothing. Raises CliError."""
    import asyncpg

    from naru.store.migrate import files

    try:
        connection = await asyncpg.connect(url, timeout=10)
    except Exception as error:
        raise CliError(explain(error)) from error
    try:
        rows = await connection.fetch("SELECT name FROM schema_migrations")
    except asyncpg.UndefinedTableError:
        rows = []
    finally:
        await connection.close(timeout=5)
    done = {row["name"] for row in rows}
    return [name for name, _ in files() if name not in done]


async def check_ready(url: str) -> None:
    """Raises CliError unless the database answers, is new enough and has every migration."""
    await check_server(url)
    if missing := await pending(url):
        raise CliError(f"The database lacks {', '.join(missing)}: run `naru migrate`.")


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator["Store"]:
    """The store, migrated and reachable. Raises CliError."""
    import asyncpg

    from naru.store import Store, StoreUnavailable, WrongRootKey

    url = address(settings)
    await check_ready(url)
    # Commands that touch nothing sealed go without.
    store = Store(url, 2, root_key=settings.secret, old_root_key=settings.secret_old)
    try:
        yield store
    except WrongRootKey as error:
        settings.need_secret()
        raise CliError(_wrong_root_key(error)) from error
    except (StoreUnavailable, asyncpg.PostgresConnectionError) as error:
        raise CliError(f"The database went away: {_first_line(error)}.") from error
    finally:
        await store.close()


async def check_root_key(settings: Settings, url: str) -> None:
    """Raises CliError unless NARU_SECRET opens what this database has sealed."""
    from naru.store import Store, StoreUnavailable, WrongRootKey

    store = Store(url, 1, root_key=settings.need_secret(), old_root_key=settings.secret_old)
    try:
        async with store.direct():
            pass
    except WrongRootKey as error:
        raise CliError(_wrong_root_key(error)) from error
    except StoreUnavailable as error:
        raise CliError(f"{_first_line(error)}.") from error
    finally:
        await store.close()


def _wrong_root_key(error: BaseException) -> str:
    """One sentence about a root key that opens nothing."""
    return (
        f"NARU_SECRET is wrong: {error}; set the one that was used before, or name it in "
        "NARU_SECRET_OLD."
    )


def is_away(error: BaseException) -> bool:
    """Will it end by itself, as when a server starts, restarts or is not reached yet?

    Knows what this file and the doctor raise: a CliError stands for its cause.
    """
    import asyncpg

    from naru.store import StoreUnavailable

    while isinstance(error, CliError | StoreUnavailable) and error.__cause__ is not None:
        error = error.__cause__
    match error:
        case asyncpg.ClientConfigurationError():
            return False
        case (
            OSError()  # nobody listens, no answer in time, a name that is not known
            | asyncpg.PostgresConnectionError()
            | asyncpg.OperatorInterventionError()  # it starts up or shuts down
            | asyncpg.TooManyConnectionsError()
            | asyncpg.TargetServerAttributeNotMatched()  # a standby that is about to be promoted
            | asyncpg.InterfaceError()  # the line broke under us
        ):
            return True
        case _:
            return False


def explain(error: BaseException) -> str:
    """One sentence about a failed connection; it never repeats the address with its password."""
    import asyncpg

    match error:
        case asyncpg.InvalidPasswordError() | asyncpg.InvalidAuthorizationSpecificationError():
            return "The database refuses the user or password in NARU_DATABASE_URL: correct it."
        case asyncpg.InvalidCatalogNameError():
            return "The database named in NARU_DATABASE_URL does not exist: create it first."
        case asyncpg.TooManyConnectionsError():
            return "The database has no free connection: raise its max_connections."
        case asyncpg.CannotConnectNowError():
            return "The database is starting up or shutting down: try again in a moment."
        case asyncpg.TargetServerAttributeNotMatched():
            return "The database is a standby: name the primary in NARU_DATABASE_URL."
        case asyncio.TimeoutError() | TimeoutError():
            return "The database does not answer: check the address in NARU_DATABASE_URL."
        case socket.gaierror():
            return "The host in NARU_DATABASE_URL is unknown: correct it."
        case OSError():
            return (
                "Nothing answers at the database's address: start PostgreSQL, "
                "or correct NARU_DATABASE_URL."
            )
        case _:
            return f"The database cannot be used ({type(error).__name__}): check NARU_DATABASE_URL."


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
