"""Is a port free? Asked before anything starts, so that the answer is one sentence."""

import errno
import socket

from naru.cli.trouble import CliError


def check(host: str, port: int, variable: str) -> None:
    """Raises CliError when nobody could listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # Connections of an earlier run that are still saying good-bye do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen()
    except socket.gaierror:
        raise CliError(f"NARU_HOST is {host}, which is no address of this machine.") from None
    except OSError as error:
        match error.errno:
            case errno.EADDRINUSE:
                raise CliError(
                    f"Port {port} is taken by another program (a demo that is still running?): stop it, "
                    f"or choose another port, as in {variable}={port + 10}."
                ) from None
            case errno.EACCES:
                raise CliError(
                    f"Port {port} needs more rights than we have: choose {variable} above 1023."
                ) from None
            case errno.EADDRNOTAVAIL:
                raise CliError(
                    f"NARU_HOST is {host}, which is no address of this machine."
                ) from None
            case _:
                raise CliError(f"Port {port} cannot be used: {error.strerror}.") from error
