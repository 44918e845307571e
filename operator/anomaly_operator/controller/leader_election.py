"""Which of several operators acts: the holder of a Lease. Clocks are never compared between machines.

    holder    renews every RENEW; steps down when it could not for STEP_DOWN, which is before anyone may take over
    others    take the Lease when its record has not changed for DURATION of their own clock, or when it is free

A holder that ends gives the Lease back, so that the next one does not have to wait.
"""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

from anomaly_operator.controller import telemetry
from anomaly_operator.core.resources.names import LEASES
from anomaly_operator.kube.client import Api, ApiError

DURATION: Final = 10.0
RENEW: Final = 3.0
RETRY: Final = 1.0
STEP_DOWN: Final = 8.0

logger = logging.getLogger(__name__)


class Leadership:
    """Runs `act` while the Lease is held."""

    def __init__(self, api: Api, namespace: str, name: str, identity: str, act: Callable[[], Awaitable[None]]) -> None:
        self._api, self._namespace, self._name, self._identity, self._act = api, namespace, name, identity, act
        self._seen: tuple[Any, float] = (None, time.monotonic())
        self._renewed = -math.inf
        self._lease: dict[str, Any] | None = None
        self._acting: asyncio.Task[None] | None = None
        self.turned = time.monotonic()
        """When the loop last went round; a loop that does not is dead."""

    @property
    def leading(self) -> bool:
        """Whether this process acts."""
        return self._acting is not None

    @property
    def safe(self) -> bool:
        """Whether nobody else can hold the Lease yet, whatever this process has slept through."""
        return time.monotonic() - self._renewed < STEP_DOWN

    async def run(self) -> None:
        """Until cancelled; gives the Lease back then."""
        try:
            while True:
                self.turned = time.monotonic()
                await self._turn()
                if self._acting is not None and self._acting.done():
                    why = "acting was stopped, as kopf does when watching has failed: see above"
                    raise RuntimeError(why) from _reason(self._acting)
                fresh = self.leading and time.monotonic() - self._renewed < RENEW
                await asyncio.sleep(RENEW if fresh else RETRY)
        finally:
            await self._stop()
            await self._release()

    async def _turn(self) -> None:
        try:
            held = await asyncio.wait_for(self._hold(), RENEW)
        except (ApiError, TimeoutError) as error:
            logger.warning("the Lease %s/%s could not be renewed: %r", self._namespace, self._name, error)
            held = self.leading and self.safe
        if held and self._acting is None:
            logger.info("%s acts now", self._identity)
            telemetry.LEADING.set(1)
            self._acting = asyncio.ensure_future(self._act())
        elif not held and self._acting is not None:
            logger.warning("%s no longer holds the Lease and waits", self._identity)
            await self._stop()

    async def _hold(self) -> bool:
        """Renew, or take what is free; whether the Lease is held now."""
        lease = await self._api.get(LEASES, self._namespace, self._name)
        if lease is None:
            return await self._write(None)
        spec, now = lease.get("spec", {}), time.monotonic()
        record = (spec.get("holderIdentity"), spec.get("renewTime"))
        if record != self._seen[0]:
            self._seen = (record, now)
        free = not record[0] or now - self._seen[1] > DURATION
        return await self._write(lease) if free or record[0] == self._identity else False

    async def _write(self, lease: dict[str, Any] | None) -> bool:
        moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = dict((lease or {}).get("spec", {}))
        if spec.get("holderIdentity") != self._identity:
            spec |= {"acquireTime": moment, "leaseTransitions": int(spec.get("leaseTransitions") or 0) + 1}
        spec |= {"holderIdentity": self._identity, "renewTime": moment, "leaseDurationSeconds": int(DURATION)}
        started = time.monotonic()
        try:
            if lease is None:
                body = {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": {"name": self._name}, "spec": spec}
                self._lease = await self._api.create(LEASES, self._namespace, body)
            else:
                self._lease = await self._api.replace(LEASES, self._namespace, self._name, {**lease, "spec": spec})
        except ApiError as error:
            if error.status == 409:  # someone was quicker
                return False
            raise
        self._renewed = started
        return True

    async def _stop(self) -> None:
        acting, self._acting = self._acting, None
        telemetry.LEADING.set(0)
        if acting is not None:
            acting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await acting

    async def _release(self) -> None:
        if self._lease is None or self._lease["spec"].get("holderIdentity") != self._identity:
            return
        free = {**self._lease, "spec": {**self._lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}}
        try:
            await self._api.replace(LEASES, self._namespace, self._name, free)
        except ApiError as error:
            logger.info("the Lease could not be given back: %s", error)


def _reason(ended: asyncio.Task[None]) -> BaseException | None:
    return None if ended.cancelled() else ended.exception()
