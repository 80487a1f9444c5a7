"""The viewer's server: 127.0.0.1 alone, read-only, for those alone who know the token in the address. ``Host`` and
``Origin`` must be its own (DNS rebinding). Nothing is served by a path: runs and images go by their places in lists."""

from __future__ import annotations

import gzip
import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medqbench_vlmeval import __version__
from medqbench_vlmeval.benchmark import DIMENSION_TITLES
from medqbench_vlmeval.errors import BadInput, RunFailed
from medqbench_vlmeval.report.page.page import document, json_text
from medqbench_vlmeval.report.viewer.folder import Compare, WorkFolder

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

_HOST = "127.0.0.1"
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "frame-ancestors 'none'",  # the page has its own beside this one
}


def _answer(content: str | bytes, kind: str = "text/plain", status: int = 200, **headers: str) -> Response:
    from starlette.responses import Response

    text = content.encode(errors="replace") if isinstance(content, str) else content
    return Response(text, status, {**_HEADERS, **headers}, kind)


def _json(value: Any) -> Response:
    return _answer(gzip.compress(json_text(value).encode(), 1), "application/json", 200, **{"Content-Encoding": "gzip"})


def make_app(folder: WorkFolder, token: str, port: int) -> ASGIApp:
    """The viewer of a folder for requests to ``127.0.0.1:port`` whose path begins with the token."""
    from starlette.applications import Starlette
    from starlette.datastructures import Headers
    from starlette.routing import Route

    start, own = f"/{token}/".encode(), [f"{_HOST}:{port}", f"localhost:{port}"]

    def page(_: Request) -> Response:
        known = {**folder.page_json(), "version": __version__, "dimensions": DIMENSION_TITLES}
        data = {"samples": [], "answers": [], "live": folder.state_json()}
        return _answer(document(f"MedQ-Bench viewer, {folder.root.name}", {**known, **data})[0], "text/html")

    routes: dict[str, Callable[[Request], Response]] = {
        "/": page,
        "/page.json": lambda _: _json(folder.page_json()),
        "/state.json": lambda _: _json(folder.state_json()),
        "/compared.json": lambda _: _json(folder.compared_json()),
        "/runs/{number}.json": lambda asked: _json(folder.run_json(**asked.path_params)),
        "/images/{place}/{form}": lambda asked: _answer(*folder.image(**asked.path_params)),
    }
    absent = {BadInput: lambda _, error: _answer(str(error), status=404)}
    app = Starlette(routes=[Route(*each) for each in routes.items()], exception_handlers=absent)
    app.router.redirect_slashes = False

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse what the page itself would not ask, before anything is looked up."""
        headers, path = Headers(scope=scope), scope["path"].encode(errors="replace")
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or not {*hosts, *(origin.removeprefix("http://") for origin in origins)} <= {*own}:
            refusal = _answer(f"This viewer answers under its own address alone: {own[0]}.", status=403)
        elif secrets.compare_digest(path[: len(start)], start) and scope["type"] == "http":
            await app({**scope, "path": scope["path"][len(start) - 1 :]}, receive, send)
            return
        else:
            refusal = _answer("Open the whole address that the command printed.", status=404)
        await refusal(scope, receive, send)

    return guarded


def serve(root: Path, port: int | None, opened: Callable[[str], object], compare: Compare) -> None:
    """Serve a folder's viewer, at any free port for None, until the process ends; ``opened`` is told the address.
    Raises BadInput where there is no such folder. Raises RunFailed where the port cannot be used."""
    import uvicorn

    if not root.is_dir():
        raise BadInput(
            f"{root} is no folder; name the work folder of your runs (--work-dir of 'run', --out of 'score')."
        )
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((_HOST, port or 0))
            listening.listen()
        except OSError as error:
            raise RunFailed(
                f"Port {port} cannot be used ({error.strerror}); leave --port out, or give another."
            ) from None
        number, token = listening.getsockname()[1], secrets.token_urlsafe(16)
        app = make_app(WorkFolder(root, compare), token, number)
        config = uvicorn.Config(app, lifespan="off", ws="none", log_level="error", server_header=False)
        config.timeout_graceful_shutdown = 1

        class Server(uvicorn.Server):
            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets)
                # Not earlier: a signal in the midst of setting up would end the command with Python's own warnings.
                opened(f"http://{_HOST}:{number}/{token}/")

        Server(config).run(sockets=[listening])
