"""Certificates, tokens and kubeconfigs of one cluster; they live and die with its state folder."""

from __future__ import annotations

import json
import secrets
import subprocess
from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path

_DAYS = "3650"
# Python 3.13 verifies strictly (RFC 5280): an authority must say that it signs, and a server that it is no authority.
_AUTHORITY = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign")
_LEAF = ("basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature,keyEncipherment")


@dataclass
class Credentials:
    """Makes them in `folder`; `server` is where the API server answers for those that a kubeconfig is made for."""

    folder: Path
    tokens: list[str] = field(default_factory=list)

    def make(self, addresses: list[str]) -> None:
        """A CA, the API server's certificate for the addresses, its client certificate for kubelets, a signing key."""
        self.folder.mkdir(parents=True, exist_ok=True)
        names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
        alternatives = ",".join([*(f"DNS:{name}" for name in names), *(f"IP:{ip}" for ip in addresses)])
        self._certificate("ca", "/CN=kube-ca", *_AUTHORITY, issuer=None)
        self._certificate("api", "/CN=kube-apiserver", f"subjectAltName={alternatives}", *_LEAF)
        self._certificate("kubelet-client", "/O=system:masters/CN=kube-apiserver", "extendedKeyUsage=clientAuth", *_LEAF)
        _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.path("sa.key"))

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def _certificate(self, name: str, subject: str, *extensions: str, issuer: str | None = "ca") -> None:
        added = [argument for extension in extensions for argument in ("-addext", extension)]
        signed = [] if issuer is None else ["-CA", self.path("ca.crt"), "-CAkey", self.path("ca.key")]
        _openssl(
            *("req", "-x509", "-noenc", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", _DAYS),
            *("-subj", subject, *added, *signed),
            *("-keyout", self.path(f"{name}.key"), "-out", self.path(f"{name}.crt")),
        )

    def kubeconfig(self, name: str, server: str, user: str, group: str = "") -> str:
        """Writes one for a new token of the user; call before the API server starts, which reads tokens once."""
        token = secrets.token_hex(16)
        self.tokens.append(f'{token},{user},{user},"{group}"')
        (self.folder / "tokens.csv").write_text("\n".join(self.tokens) + "\n")
        authority = b64encode((self.folder / "ca.crt").read_bytes()).decode()
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "dev", "cluster": {"server": server, "certificate-authority-data": authority}}],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": "dev", "context": {"cluster": "dev", "user": user}}],
            "current-context": "dev",
        }
        path = self.folder / f"{name}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(json.dumps(config, indent=1))
        return str(path)


def _openssl(*arguments: str) -> None:
    made = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise RuntimeError(f"openssl {' '.join(arguments)} failed:\n{made.stderr}")
