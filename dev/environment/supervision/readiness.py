"""Whether a component answers yet."""

from __future__ import annotations

import http.client
import socket
import ssl
from urllib.parse import urlsplit

PATIENCE_SECONDS = 0.5


def answers(address: str) -> bool:
    """One quick attempt; the certificate is not checked, as this only asks whether someone is there."""
    url = urlsplit(address)
    try:
        if url.scheme == "unix":
            with socket.socket(socket.AF_UNIX) as peer:
                peer.settimeout(PATIENCE_SECONDS)
                peer.connect(url.path)
            return True
        assert url.hostname is not None
        assert url.port is not None
        if url.scheme == "tcp":
            socket.create_connection((url.hostname, url.port), PATIENCE_SECONDS).close()
            return True
        return _healthy(url.scheme, url.hostname, url.port, url.path)
    except (OSError, http.client.HTTPException):
        return False


def _healthy(scheme: str, host: str, port: int, path: str) -> bool:
    connection: http.client.HTTPConnection
    if scheme == "https":
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, port, timeout=PATIENCE_SECONDS, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    finally:
        connection.close()
