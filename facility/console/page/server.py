"""Server: the page, the door before it, and the beat by which every browser is shown the newest frame."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from contextlib import suppress

import uvicorn
from fastapi import FastAPI, Request
from nicegui import app as nicegui_app
from nicegui import ui

from facility.clock import SystemClock
from facility.console.door import Door, Rules
from facility.console.page.heap import Heap
from facility.console.page.screen import Console, Screen
from facility.console.page.studio import Studio
from facility.console.page.style import CSS
from facility.errors import Fault, InputError

log = logging.getLogger(__name__)

ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#005f95"/>'
    '<path d="M18 4 8 18h7l-2 10 11-15h-7z" fill="#fff"/></svg>'
)
SCHEME = """<script>{
const dark = matchMedia('(prefers-color-scheme: dark)');
dark.addEventListener('change', () => window.emitEvent && emitEvent('scheme', dark.matches));
}</script>"""


def serve(console: Console, rules: Rules, host: str, port: int, ready: Callable[[int], None]) -> None:
    """Serve until SIGINT or SIGTERM; `ready` is told the port. Raises InputError where it cannot be listened on."""
    listener = _listen(host, port)
    screens: set[Screen] = set()
    fresh = asyncio.Event()
    studio, clock = Studio(console.hub), SystemClock()
    heap = Heap(clock.elapsed_s())
    api = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @ui.page("/", response_timeout=10)
    async def page(request: Request) -> None:
        ui.add_css(CSS)
        ui.add_head_html(SCHEME)
        screen = Screen(console, studio, request.scope["person"], request.scope["still"])
        await ui.context.client.connected(timeout=30)
        screens.add(screen)

        ui.context.client.on_delete(lambda: screens.discard(screen))
        ui.context.client.on_delete(heap.left)
        dark = False
        with suppress(TimeoutError):  # a browser that is very slow, or gone
            dark = bool(await ui.run_javascript("matchMedia('(prefers-color-scheme: dark)').matches", timeout=10))
        screen.finish(dark=dark)
        heap.built()

    async def beat() -> None:
        while True:
            await fresh.wait()
            fresh.clear()
            heap.tidy(clock.elapsed_s())
            for screen in tuple(screens):
                try:
                    with screen.client:
                        if screen.still() is None:
                            screens.discard(screen)
                            ui.navigate.to("/login")
                        else:
                            screen.show()
                except Exception:
                    screens.discard(screen)
                    log.exception("a page is left alone")

    tasks: set[asyncio.Task[None]] = set()

    @nicegui_app.on_startup
    async def begin() -> None:
        tasks.add(asyncio.create_task(beat()))
        loop = asyncio.get_running_loop()
        console.hub.watch(lambda: loop.call_soon_threadsafe(fresh.set))
        ready(int(listener.getsockname()[1]))

    @nicegui_app.on_shutdown
    async def end() -> None:
        console.hub.watch(None)
        for task in tasks:
            task.cancel()

    ui.run_with(
        api, title=console.hub.site.id, favicon=ICON, dark=None, tailwind=False, language="en-US", show_welcome_message=False, reconnect_timeout=10
    )
    door = Door(api, console.hub.site.name, rules, clock.elapsed_s)
    config = uvicorn.Config(
        door, host=host, port=port, log_level="warning", access_log=False, server_header=False, proxy_headers=False, timeout_graceful_shutdown=1,
        ws_max_size=1024 * 1024,
    )  # fmt: skip
    for name in (signal.SIGINT, signal.SIGTERM):  # the server ends by them, and raises them again once it has ended
        signal.signal(name, lambda _signal, _frame: None)
    uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=256)
    except OSError as error:
        raise InputError(Fault("--port", f"cannot listen on {host}:{port}: {error.strerror}", "name another with --port, or 0 for any")) from error
