"""External metrics as a cluster's metrics adapter serves them (KEDA, prometheus-adapter), behind the real API server."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from dev.environment.cluster import external_metrics
from dev.environment.cluster.external_metrics import GROUP
from dev.environment.kafka.authority import Authority

if TYPE_CHECKING:
    from dev.environment.cluster.access import Cluster

Document = dict[str, Any]


@dataclass
class ExternalMetric:
    """The one that there is; by any name in any namespace."""

    value: int = 0
    asked: set[tuple[str, str, str]] = field(default_factory=set)
    """Namespace, name and selector of what was asked for."""


@contextmanager
def served(cluster: Cluster, folder: Path) -> Iterator[ExternalMetric]:
    """The cluster has external metrics for as long as the context lives."""
    metric = ExternalMetric()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = urlsplit(self.path)
            path = address.path.rstrip("/").split("/")
            answer: Document = {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": f"{GROUP}/v1beta1",
                "resources": [],
            }
            if "namespaces" in path:
                metric.asked.add((path[-2], path[-1], parse_qs(address.query).get("labelSelector", [""])[0]))
                item = {"metricName": path[-1], "metricLabels": {}, "value": str(metric.value)}
                item["timestamp"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                answer = {"kind": "ExternalMetricValueList", "apiVersion": f"{GROUP}/v1beta1", "metadata": {}, "items": [item]}
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    pair = Authority(folder / "metrics").server("DNS:localhost")
    (folder / "metrics.crt").write_text(pair.certificate)
    (folder / "metrics.key").write_text(pair.key)
    server = ThreadingHTTPServer(("localhost", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "metrics.crt", folder / "metrics.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with external_metrics.registered(cluster, int(server.server_address[1])):
            yield metric
    finally:
        server.shutdown()
        server.server_close()
