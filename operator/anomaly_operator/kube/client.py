"""The API server: a session with the pod's (or a kubeconfig's) credentials, and the few calls that are made.

Watching is kopf's; it is given a session from here too, so that renewals of its watches can be seen (`on_watch`).
"""

import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import aiohttp
import kopf

from anomaly_operator.controller import telemetry
from anomaly_operator.core.resources.names import CONFIG_MAPS, EVENTS, FIELD_MANAGER, LEASES, Kind, kind_of
from anomaly_operator.kube.server_clock import ServerClock

_TOKEN: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
_TOKEN_SECONDS: Final = 60.0
_TIMEOUT: Final = aiohttp.ClientTimeout(total=10, sock_connect=5)
_APPLY: Final = "application/apply-patch+yaml"
_MERGE: Final = "application/merge-patch+json"

logger = logging.getLogger(__name__)


class ApiError(Exception):
    """The API server refused, or did not answer (status 0)."""

    def __init__(self, status: int, message: str, causes: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status."""
        self.message = message
        self.causes = causes
        """Reasons that the API server names for programs."""

    @property
    def refused(self) -> bool:
        """Whether asking again will not help before something changes."""
        return self.status in (400, 403, 404, 409, 413, 422)

    @property
    def namespace_ends(self) -> bool:
        """Whether nothing can be made any more because the namespace is being deleted."""
        return self.status == 403 and "NamespaceTerminating" in self.causes


class NotLeadingError(ApiError):
    """Nothing is written, since the Lease may be another's by now."""


def login() -> kopf.ConnectionInfo:
    """Credentials of the pod, else of the kubeconfig. Raises kopf.LoginError."""
    settings = kopf.OperatorSettings()
    found = kopf.login_with_service_account(settings=settings) or kopf.login_with_kubeconfig(settings=settings)
    if found is None:
        raise kopf.LoginError("no service account token is mounted and KUBECONFIG names no file: set one of them up")
    return found


def server(info: kopf.ConnectionInfo) -> str:
    """Address of the API server; in a pod by address, so that DNS is not needed."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not _TOKEN.exists():
        return info.server.rstrip("/")
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def session(info: kopf.ConnectionInfo, on_watch: Callable[[str], None] | None = None) -> aiohttp.ClientSession:
    """An authenticated session. `on_watch` is called with the path of each watch that the API server has accepted."""
    trace = aiohttp.TraceConfig()

    async def ended(_: aiohttp.ClientSession, __: SimpleNamespace, request: aiohttp.TraceRequestEndParams) -> None:
        if on_watch and request.response.status == 200 and request.url.query.get("watch") == "true":
            on_watch(request.url.path)

    trace.on_request_end.append(ended)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=info.as_ssl_context()),
        headers={**info.as_http_headers(), "User-Agent": "anomaly-operator"},
        response_class=_Answer,
        middlewares=(*([_FreshToken()] if _TOKEN.exists() else []), *([_config_maps_without_content] if on_watch else [])),
        trace_configs=[trace],
    )


class _Answer(aiohttp.ClientResponse):
    """An empty list of metadata comes as null, which kopf takes for a list."""

    async def json(self, **options: Any) -> Any:
        """The body; `items` is a list."""
        document = await super().json(**options)
        if isinstance(document, dict) and document.get("items", ()) is None:
            document["items"] = []
        return document


async def _config_maps_without_content(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Watches learn of ConfigMaps no more than that they changed: with models in them, a list may have any size."""
    if request.method == "GET" and request.url.path.endswith(f"/{CONFIG_MAPS.plural}"):
        form = "PartialObjectMetadata" if request.url.query.get("watch") else "PartialObjectMetadataList"
        request.headers["Accept"] = f"application/json;as={form};g=meta.k8s.io;v=v1"
    return await handler(request)


class _FreshToken:
    """Service account tokens expire and are renewed in their file."""

    def __init__(self) -> None:
        self._read_at, self._token = 0.0, ""

    async def __call__(self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        if time.monotonic() - self._read_at > _TOKEN_SECONDS or not self._token:
            self._read_at, self._token = time.monotonic(), _TOKEN.read_text().strip()
        request.headers["Authorization"] = f"Bearer {self._token}"
        return await handler(request)


class Api:
    """Calls to the API server. All raise ApiError."""

    def __init__(self, info: kopf.ConnectionInfo) -> None:
        self._server = server(info)
        self._session = session(info)
        self._clock = ServerClock()
        self.may_write: Callable[[], bool] = lambda: True
        """Asked before each write but the Lease's: a holder that was frozen must not act after it has lost the Lease."""

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    def now(self) -> float:
        """The API server's clock, in Unix seconds: times in objects are compared with the clock that wrote them."""
        return self._clock.now(time.time())

    async def get(self, kind: Kind, namespace: str | None, name: str) -> dict[str, Any] | None:
        """An object; None when it is not there."""
        try:
            return await self._call("GET", kind, namespace, name)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def events(self, namespace: str, uid: str, reason: str) -> list[dict[str, Any]]:
        """Events of one reason about the object with this uid."""
        query = {"fieldSelector": f"involvedObject.uid={uid},reason={reason}", "limit": "100"}
        return list((await self._call("GET", EVENTS, namespace, query=query)).get("items") or [])

    async def names(self, kind: Kind, namespace: str | None, selector: str) -> list[dict[str, Any]]:
        """Metadata of all objects of a kind, from the API server's cache."""
        accept = {"Accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}
        query = {"resourceVersion": "0", **({"labelSelector": selector} if selector else {})}
        found = await self._call("GET", kind, namespace, query=query, headers=accept)
        return [item["metadata"] for item in found["items"]]

    async def apply(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """Server-side apply with our field manager, forced. The object as it is afterwards."""
        metadata = manifest["metadata"]
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return await self._call(
            "PATCH", kind_of(manifest), metadata["namespace"], metadata["name"], query=query, body=manifest, content=_APPLY
        )

    async def merge(
        self, kind: Kind, namespace: str, name: str, patch: Mapping[str, Any], subresource: str | None = None
    ) -> dict[str, Any]:
        """JSON merge patch. The object as it is afterwards."""
        query = {"fieldManager": FIELD_MANAGER}
        return await self._call("PATCH", kind, namespace, name, subresource, query=query, body=patch, content=_MERGE)

    async def create(self, kind: Kind, namespace: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """POST."""
        return await self._call("POST", kind, namespace, query={"fieldManager": FIELD_MANAGER}, body=body)

    async def replace(self, kind: Kind, namespace: str, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """PUT; the resourceVersion in `body` must be the newest."""
        return await self._call("PUT", kind, namespace, name, query={"fieldManager": FIELD_MANAGER}, body=body)

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str, version: str = "") -> None:
        """Delete this very object, in this very version where one is named, its dependants in the background."""
        preconditions = {"uid": uid, **({"resourceVersion": version} if version else {})}
        body = {"propagationPolicy": "Background", "preconditions": preconditions}
        await self._call("DELETE", kind, namespace, name, body=body)

    async def _call(
        self,
        verb: str,
        kind: Kind,
        namespace: str | None,
        name: str | None = None,
        subresource: str | None = None,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        url = self._server + kind.path(namespace, name, subresource)
        resource = f"{kind.plural}/{subresource}" if subresource else kind.plural
        if verb != "GET" and kind != LEASES and not self.may_write():
            raise NotLeadingError(0, f"{verb} {kind.plural} {name or ''}: not done, since the Lease may be another's by now")
        _count(verb, kind, resource)
        data = json.dumps(body).encode() if body is not None else None
        sent = {"Content-Type": content, **(headers or {})}
        try:
            async with self._session.request(verb, url, params=query, data=data, headers=sent, timeout=_TIMEOUT) as answer:
                telemetry.API_REQUESTS.labels(verb, resource, answer.status).inc()
                self._clock.heard(answer.headers.get("Date"), time.time())
                document: dict[str, Any] = await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            telemetry.API_REQUESTS.labels(verb, resource, 0).inc()
            raise ApiError(0, f"{verb} {kind.plural} {name or ''}: no answer from the API server ({error!r})") from error
        if answer.status >= 400:
            raise ApiError(answer.status, str(document.get("message", answer.reason)), _causes(document))
        return document


def _causes(status: Mapping[str, Any]) -> tuple[str, ...]:
    causes = (status.get("details") or {}).get("causes") or []
    return tuple(str(cause.get("reason", "")) for cause in causes)


def _count(verb: str, kind: Kind, resource: str) -> None:
    if verb == "GET":
        return
    if kind == LEASES:
        telemetry.LEASE_WRITES.inc()
    else:
        telemetry.API_WRITES.labels(verb, resource).inc()
