"""Bearer tokens for OAUTHBEARER: from an OpenID provider by client credentials (RFC 6749, 4.4), or from a file of kubelet's.

librdkafka asks for one when a client starts and again at four fifths of its life. What it takes to ask is read anew each time:
a rotated client secret needs nothing else. Nothing here or in what it raises holds a secret or a token.
"""

import base64
import json
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Final

from anomaly_api.security import CLIENT_ID_FILE, CLIENT_SECRET_FILE, TOKEN_CA_FILE, TOKEN_FILE, ClientCredentials, OAuth

_SECONDS: Final = 10.0
_MOST_BYTES: Final = 1_000_000
_UNKNOWN_LIFE: Final = 300.0
Token = tuple[str, float, str, dict[str, str]]
"""The token, when it ends (Unix seconds), whose it is, extensions: what librdkafka's client takes."""


class TokenError(Exception):
    """No token could be had; the message says why, and what to do."""


class Tokens:
    """The token of a process: its clients share it, and ask for another when less than half of its life is left."""

    def __init__(self, oauth: OAuth, folder: Path) -> None:
        self._oauth, self._folder = oauth, folder
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._fresh_until = 0.0

    def __call__(self, _config: str = "") -> Token:
        """A token. Raises TokenError, which librdkafka reports as an error of authentication; it asks again after a while."""
        with self._lock:
            if self._token is None or time.time() >= self._fresh_until:
                self._token = self._fetched()
                self._fresh_until = (time.time() + self._token[1]) / 2
            return self._token

    def _fetched(self) -> Token:
        life = _UNKNOWN_LIFE
        if self._oauth.client_credentials is not None:
            token, life = _asked_for(self._oauth.client_credentials, self._folder)
        else:
            token = _text(self._folder / TOKEN_FILE, "the service account's token")
        claims = _claims(token)
        ends = claims.get("exp")
        end = float(ends) if isinstance(ends, int | float) else time.time() + life
        return token, end, str(claims.get("sub", "")), dict(self._oauth.extensions or {})


_KNOWN: Final[dict[str, Tokens]] = {}


def tokens(oauth: OAuth, folder: Path) -> Tokens:
    """Returns the token source of this process for these settings; equal settings share one."""
    return _KNOWN.setdefault(f"{oauth.model_dump_json()} {folder}", Tokens(oauth, folder))


def _asked_for(asked: ClientCredentials, folder: Path) -> tuple[str, float]:
    """The token, and for how many seconds it is good."""
    where = asked.token_endpoint_url
    secret = asked.secret_ref
    client = asked.client_id or _text(folder / CLIENT_ID_FILE, f"key {secret.client_id_key} of Secret {secret.name}")
    password = _text(folder / CLIENT_SECRET_FILE, f"key {secret.client_secret_key} of Secret {secret.name}")
    fields = {"grant_type": "client_credentials", **({"scope": asked.scope} if asked.scope else {})}
    # Both are form-encoded before: RFC 6749, 2.3.1.
    pair = f"{urllib.parse.quote_plus(client)}:{urllib.parse.quote_plus(password)}"
    headers = {
        "Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}",
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": "application/json",
    }
    request = urllib.request.Request(where, urllib.parse.urlencode(fields).encode(), headers)  # noqa: S310 - http(s), by the schema
    try:
        with _opener(asked, folder).open(request, timeout=_SECONDS) as answer:
            found = json.loads(answer.read(_MOST_BYTES))
        return str(found["access_token"]), float(found.get("expires_in") or _UNKNOWN_LIFE)
    except urllib.error.HTTPError as error:
        said, whom = _reason(error), f"client {asked.client_id}" if asked.client_id else f"the client of Secret {secret.name}"
        raise TokenError(
            f"the token endpoint {where} gives {whom} no token ({said}): correct spec.source.kafka.sasl.oauth, "
            f"or key {secret.client_secret_key} of Secret {secret.name}"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TokenError(f"the token endpoint {where} gives no token: {_why(error, asked)}") from None


def _opener(asked: ClientCredentials, folder: Path) -> urllib.request.OpenerDirector:
    """Follows no redirect: the client's secret is for this endpoint alone."""
    authority = folder / TOKEN_CA_FILE if asked.ca_secret_ref else None
    context = ssl.create_default_context(cafile=authority)

    class Still(urllib.request.HTTPRedirectHandler):
        """Answers a redirect with an error."""

        def redirect_request(self, *_: Any) -> None:
            return None

    return urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), Still)


def _reason(error: urllib.error.HTTPError) -> str:
    """The provider's `error`, a word of RFC 6749, 5.2; its description may quote what was sent, so it is left out."""
    try:
        word = json.loads(error.read(_MOST_BYTES)).get("error")
    except (OSError, ValueError, AttributeError):
        word = None
    known = word if isinstance(word, str) and word.replace("_", "").isalpha() and len(word) < 64 else ""
    return f"{error.code} {known}".strip()


def _why(error: Exception, asked: ClientCredentials) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        named = f"Secret {asked.ca_secret_ref.name}" if asked.ca_secret_ref else "caSecretRef, which is not set"
        return f"its certificate is not trusted ({cause.verify_message}); see {named}"
    if isinstance(cause, OSError):
        return f"it cannot be reached ({cause.strerror or type(cause).__name__})"
    return "its answer is not a token"


def _text(path: Path, what: str) -> str:
    try:
        found = path.read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        found = ""
    if not found:
        raise TokenError(f"{what} is not there or empty: create it")
    return found


def _claims(token: str) -> dict[str, Any]:
    """Of a JSON Web Token; empty for others, which only the brokers understand."""
    try:
        middle = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    except (IndexError, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}
