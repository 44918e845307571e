"""A certificate authority of a test's own, by the openssl program: certificates of servers and clients, in PEM."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc")
# RFC 5280, which strict clients want: an authority says that it signs, and others that they do not.
_AUTHORITY = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign")
_LEAF = ("basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature,keyEncipherment")
_SETTINGS = """[ca]
default_ca = own
[own]
dir = {folder}
database = {folder}/index.txt
new_certs_dir = {folder}
rand_serial = yes
default_md = sha256
policy = any
copy_extensions = copy
unique_subject = no
[any]
commonName = supplied
"""


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, in PEM."""

    certificate: str
    key: str


class Authority:
    """Everything lies in `folder`."""

    def __init__(self, folder: Path, name: str = "test") -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        (folder / "index.txt").touch()
        (folder / "settings").write_text(_SETTINGS.format(folder=folder))
        added = [argument for extension in _AUTHORITY for argument in ("-addext", extension)]
        _openssl(
            *("req", "-x509", *_KEY, "-days", "30", "-subj", f"/CN={name} authority", *added),
            *("-keyout", str(folder / "ca.key"), "-out", str(folder / "ca.crt")),
        )

    @property
    def certificate(self) -> str:
        """Returns what others are to trust."""
        return (self._folder / "ca.crt").read_text()

    def server(self, *alternatives: str) -> Pair:
        """For a server that answers under these, such as `IP:127.0.0.1` or `DNS:kafka.kafka.svc`."""
        return self._issue("server", f"subjectAltName={','.join(alternatives)}")

    def client(self, name: str, *, expired: bool = False) -> Pair:
        """For a client whom Kafka will know as `User:CN=<name>`."""
        times = ("-startdate", "20200101000000Z", "-enddate", "20200102000000Z") if expired else ()
        return self._issue(name, "extendedKeyUsage=clientAuth", times=times)

    def _issue(self, name: str, *extensions: str, times: tuple[str, ...] = ()) -> Pair:
        key, request, made = (self._folder / f"{name}.{kind}" for kind in ("key", "csr", "crt"))
        added = [argument for extension in (*extensions, *_LEAF) for argument in ("-addext", extension)]
        _openssl("req", "-new", *_KEY, "-subj", f"/CN={name}", *added, "-keyout", str(key), "-out", str(request))
        _openssl(
            *("ca", "-batch", "-notext", "-config", str(self._folder / "settings"), *(times or ("-days", "30"))),
            *("-cert", str(self._folder / "ca.crt"), "-keyfile", str(self._folder / "ca.key")),
            *("-in", str(request), "-out", str(made)),
        )
        return Pair(made.read_text(), key.read_text())


def _openssl(*arguments: str) -> None:
    made = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise RuntimeError(f"openssl {' '.join(arguments)} failed:\n{made.stderr}")
