"""Asks Prometheus servers what `rollout.analysis.prometheus` wants to know.

The address is somebody's who may write AnomalyDetectors, and the operator stands elsewhere in the network than they do. So
nothing but one number comes back: no redirect is followed, no answer is repeated in a message, and addresses of the node itself
(loopback, link-local, where clouds keep credentials) are refused unless the installation names the host.
"""

import asyncio
import fnmatch
import ipaddress
import json
import logging
import math
import socket
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from anomaly_operator.core.rollout.queries import Query
from anomaly_operator.core.snapshot import Answer

_SECONDS: Final = 5.0
_MAX_BYTES: Final = 1024 * 1024
_AT_ONCE: Final = 32

logger = logging.getLogger(__name__)


class RefusedAddressError(OSError):
    """The operator does not connect to such an address."""


class QueryClient:
    """Prometheus' HTTP API, as far as it is needed."""

    def __init__(self, hosts: Sequence[str] = ("*",)) -> None:
        """`hosts`: patterns of the hosts that may be asked; one that is named without a wildcard may be any address."""
        self._hosts = tuple(hosts)
        connector = aiohttp.TCPConnector(limit=_AT_ONCE, resolver=_GuardedResolver(self._hosts))
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=_SECONDS))

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def ask(self, queries: Sequence[Query], now: float) -> dict[str, Answer]:
        """The answers, by measure; `now` is when they were asked, in Unix seconds."""
        answers = await asyncio.gather(*(self._ask(query, now) for query in queries))
        return {query.name: answer for query, answer in zip(queries, answers, strict=True)}

    async def _ask(self, query: Query, now: float) -> Answer:
        host = urlsplit(query.address).hostname or ""
        if not any(fnmatch.fnmatch(host, pattern) for pattern in self._hosts):
            return Answer(now, error=f"the operator may not ask {host}: the chart's prometheusHosts names the hosts that it may")
        try:
            _guard_literal(host, self._hosts)
            content = await self._content(f"{query.address.rstrip('/')}/api/v1/query", query.text)
            return Answer(now, value=_number(json.loads(content)))
        except RefusedAddressError as error:
            return Answer(now, error=str(error))
        except (KeyError, TypeError, ValueError) as error:
            return Answer(now, error=f"{host} answers with what is not one number: {type(error).__name__}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            logger.debug("%s does not answer: %r", host, error)
            refused = error.__cause__ if isinstance(error.__cause__, RefusedAddressError) else None
            return Answer(now, error=str(refused) if refused else f"{host} does not answer ({type(error).__name__})")

    async def _content(self, url: str, text: str) -> bytes:
        async with self._session.get(url, params={"query": text}, allow_redirects=False) as answer:
            if answer.status != 200:
                raise ValueError(f"HTTP status {answer.status}")
            content = bytearray()
            async for part in answer.content.iter_any():
                content += part
                if len(content) > _MAX_BYTES:
                    raise ValueError("too long")
            return bytes(content)


class _GuardedResolver(AbstractResolver):
    """Leaves out addresses that are refused, whatever name leads to them."""

    def __init__(self, hosts: Sequence[str]) -> None:
        self._hosts, self._resolver = hosts, aiohttp.ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        """Raises RefusedAddressError where no address is left."""
        found = await self._resolver.resolve(host, port, family)
        allowed = [each for each in found if host in self._hosts or not _refused(each["host"])]
        if not allowed:
            raise RefusedAddressError(_sentence(host))
        return allowed

    async def close(self) -> None:
        """Nothing is open."""
        await self._resolver.close()


def _guard_literal(host: str, hosts: Sequence[str]) -> None:
    """An address that is written as such is not resolved. Raises RefusedAddressError."""
    try:
        refused = _refused(host)
    except ValueError:
        return  # a name
    if refused and host not in hosts:
        raise RefusedAddressError(_sentence(host))


def _refused(address: str) -> bool:
    """Whether it is no address of another machine. Raises ValueError for what is none."""
    found = ipaddress.ip_address(address)
    mapped = getattr(found, "ipv4_mapped", None) or found
    return bool(mapped.is_loopback or mapped.is_link_local or mapped.is_multicast or mapped.is_unspecified)


def _sentence(host: str) -> str:
    return f"the operator does not ask {host}: it is an address of the machine itself; name it in the chart's prometheusHosts"


def _number(answer: Any) -> float | None:
    """The one number of an answer; None where there is none. Raises KeyError, TypeError, ValueError."""
    if answer["status"] != "success":
        raise ValueError("no success")
    kind, result = answer["data"]["resultType"], answer["data"]["result"]
    if kind == "vector":
        if not result:
            return None
        if len(result) > 1:
            raise ValueError("more than one series")
        result = result[0]["value"]
    elif kind != "scalar":
        raise ValueError("no number")
    value = float(result[1])
    return value if math.isfinite(value) else None
