"""An OpenID provider small enough for a test: a token endpoint by HTTP, RS256, and the keys that a broker checks tokens by."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

KEY_ID = "test"


def _url64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _openssl(*arguments: str, stdin: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *arguments], input=stdin, capture_output=True, check=True).stdout


@dataclass
class Issuer:
    """Gives tokens to clients that know their secret."""

    folder: Path
    audience: str
    clients: dict[str, str] = field(default_factory=dict)
    seconds: int = 300
    """How long a token is good."""
    port: int = 0
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Who has asked, and for which scope."""
    signatures: list[str] = field(default_factory=list)
    """Of the tokens that it has made: what makes them valid."""

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self._key = self.folder / "signing.key"
        _openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(self._key))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/token"

    @property
    def keys(self) -> dict[str, object]:
        """The JSON Web Key Set."""
        found = _openssl("rsa", "-in", str(self._key), "-noout", "-modulus").decode()
        modulus = bytes.fromhex(found.strip().partition("=")[2])
        key = {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": KEY_ID, "n": _url64(modulus), "e": _url64(b"\x01\x00\x01")}
        return {"keys": [key]}

    def token(self, subject: str) -> str:
        """A signed JSON Web Token."""
        now = int(time.time())
        claims = {"sub": subject, "aud": self.audience, "iat": now, "exp": now + self.seconds, "scope": "kafka"}
        signed = ".".join(_url64(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT", "kid": KEY_ID}, claims))
        self.signatures.append(_url64(_openssl("dgst", "-sha256", "-sign", str(self._key), stdin=signed.encode())))
        return f"{signed}.{self.signatures[-1]}"

    def answer(self, authorization: str, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """What the endpoint says (RFC 6749, 4.4 and 5.2)."""
        pair = base64.b64decode(authorization.partition(" ")[2]).decode()
        client, _, secret = (urllib.parse.unquote_plus(part) for part in pair.partition(":"))
        self.asked.append((client, form.get("scope", "")))
        if form.get("grant_type") != "client_credentials":
            return 400, {"error": "unsupported_grant_type"}
        if not secret or self.clients.get(client) != secret:
            return 401, {"error": "invalid_client", "error_description": f"the secret {secret} is wrong"}
        return 200, {"access_token": self.token(client), "token_type": "Bearer", "expires_in": self.seconds}


@contextmanager
def serving(issuer: Issuer) -> Iterator[Issuer]:
    """For as long as the context lives."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            status, answer = issuer.answer(self.headers["Authorization"], dict(urllib.parse.parse_qsl(body)))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
