"""/healthz, /readyz and /metrics of the operator itself."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

Check = Callable[[], str]
"""Says what is wrong; empty text when nothing is."""


def _answer(check: Check) -> Callable[[web.Request], web.Response]:
    def handle(_: web.Request) -> web.Response:
        wrong = check()
        return web.Response(status=503 if wrong else 200, text=f"{wrong or 'ok'}\n")

    return handle


async def serve(port: int, healthy: Check, ready: Check) -> web.AppRunner:
    """Start serving on all addresses; the caller cleans up."""

    async def health(request: web.Request) -> web.Response:
        return _answer(healthy)(request)

    async def readiness(request: web.Request) -> web.Response:
        return _answer(ready)(request)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    application = web.Application()
    application.add_routes([web.get("/healthz", health), web.get("/readyz", readiness), web.get("/metrics", metrics)])
    runner = web.AppRunner(application, handle_signals=False, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, None, port).start()
    return runner
