"""Serve one of the guide's shops on a free port, from the folder that holds its files.

    python -m tests.kit.serve_guide flask|fastapi|django

Makes the tables, prints `port N`, and serves until it is killed.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server


class _Quiet(WSGIRequestHandler):
    def log_message(self, *said: Any) -> None:
        pass


def _serve_wsgi(app: Any) -> None:
    with make_server("127.0.0.1", 0, app, handler_class=_Quiet) as server:
        print("port", server.server_port, flush=True)
        server.serve_forever()


def _flask() -> None:
    import flask_shop

    flask_shop.Base.metadata.create_all(flask_shop.engine)
    _serve_wsgi(flask_shop.app)


def _fastapi() -> None:
    import fastapi_shop
    import uvicorn

    async def serve() -> None:
        async with fastapi_shop.engine.begin() as connection:
            await connection.run_sync(fastapi_shop.Base.metadata.create_all)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            print("port", listening.getsockname()[1], flush=True)
            config = uvicorn.Config(fastapi_shop.app, log_level="error")
            await uvicorn.Server(config).serve(sockets=[listening])

    asyncio.run(serve())


def _django() -> None:
    from django.conf import settings

    settings.configure(
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "shop.sqlite3"}},
        INSTALLED_APPS=["shop"],
        ROOT_URLCONF="shop.urls",
        ALLOWED_HOSTS=["127.0.0.1"],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        MIDDLEWARE=[
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
        ],
        SECRET_KEY="only for tests",
    )
    import django
    from django.core.wsgi import get_wsgi_application
    from django.db import connection

    django.setup()
    from shop import models

    with connection.schema_editor() as editor:
        editor.create_model(models.Order)
        editor.create_model(models.Parcel)
    _serve_wsgi(get_wsgi_application())


SHOPS: dict[str, Callable[[], None]] = {"flask": _flask, "fastapi": _fastapi, "django": _django}

if __name__ == "__main__":
    SHOPS[sys.argv[1]]()
