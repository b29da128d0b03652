"""The sandbox's own web server: uvicorn, plus the power to cut a connection.

ASGI lets an application answer, or answer badly, but not hang up. A PG that hangs up in the middle
of an approval is what this sandbox is for, so its protocol hands the transport on.
"""

from __future__ import annotations

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class CuttableProtocol(HttpToolsProtocol):
    """Puts the connection's transport into the scope's extensions as `sandbox.transport`."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {"sandbox.transport": {"transport": self.transport}}


def server(app: ASGIApp, host: str, port: int) -> uvicorn.Server:
    """A server that is ready to run; port 0 lets the system choose one."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=CuttableProtocol,
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=3,
    )
    return uvicorn.Server(config)
