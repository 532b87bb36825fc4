"""Certificate authorities and certificates of one cluster, made with openssl, kept until `down`."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

from debian import program
from progress import Failed, output
from settings import Layout, write_changed

DAYS = "3650"


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self.certificate = folder / f"{name}.crt"
        self.key = folder / f"{name}.key"
        self.folder = folder
        if not self.certificate.exists():
            folder.mkdir(parents=True, exist_ok=True)
            extensions = ["-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature"]
            argv = [*_request(self.key, f"/CN=modelmill-{name}"), "-x509", "-days", DAYS, *extensions]
            openssl([*argv, "-out", str(self.certificate)])

    def issue(
        self, name: str, user: str, *, groups: Sequence[str] = (), hosts: Sequence[str] = ()
    ) -> tuple[Path, Path]:
        """A certificate and its key for a user or a server, made when missing.

        Args:
            name: file name without its ending.
            user: common name.
            groups: organisations, which Kubernetes reads as groups.
            hosts: subject alternative names, as `DNS:name` or `IP:address`.
        """
        certificate, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        if certificate.exists() and key.exists():
            return certificate, key
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        lines = ["extendedKeyUsage=clientAuth,serverAuth", "keyUsage=critical,digitalSignature"]
        if hosts:
            lines.append(f"subjectAltName={','.join(hosts)}")
        extensions.write_text("\n".join(lines) + "\n")
        subject = "".join(f"/O={group}" for group in groups) + f"/CN={user}"
        openssl([*_request(key, subject), "-out", str(request)])
        sign = ["x509", "-req", "-days", DAYS, "-CA", str(self.certificate), "-CAkey", str(self.key), "-CAcreateserial"]
        openssl([*sign, "-in", str(request), "-extfile", str(extensions), "-out", str(certificate)])
        request.unlink()
        extensions.unlink()
        return certificate, key


def signing_key(folder: Path) -> tuple[Path, Path]:
    """The key pair that signs service account tokens: (private, public)."""
    private, public = folder / "service-accounts.key", folder / "service-accounts.pub"
    if not public.exists():
        openssl(["genrsa", "-out", str(private), "2048"])
        openssl(["rsa", "-in", str(private), "-pubout", "-out", str(public)])
    return private, public


def openssl(argv: Sequence[str]) -> None:
    """Run openssl."""
    found = program("openssl")
    if found is None:
        raise Failed("openssl is missing")
    output([found, *argv])


def _request(key: Path, subject: str) -> list[str]:
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    return ["req", "-new", *curve, "-keyout", str(key), "-subj", subject]


def write_kubeconfig(path: Path, authority: Authority, server: str, certificate: Path, key: Path, context: str) -> Path:
    """Write a kubeconfig that carries its certificates, so that the file works wherever it is copied."""

    def inline(file: Path) -> str:
        return b64encode(file.read_bytes()).decode()

    cluster = {"server": server, "certificate-authority-data": inline(authority.certificate)}
    user = {"client-certificate-data": inline(certificate), "client-key-data": inline(key)}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": context, "cluster": cluster}],
        "users": [{"name": context, "user": user}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
        "current-context": context,
    }
    return write_changed(path, json.dumps(config, indent=1))


def component_kubeconfig(
    layout: Layout, authority: Authority, server: str, user: str, group: str | None = None
) -> Path:
    """The kubeconfig of one component, for the user of that name (the colon of `system:x` is no file name)."""
    name = user.replace(":", "-")
    certificate, key = authority.issue(name, user, groups=[group] if group else [])
    return write_kubeconfig(layout.config / f"{name}.kubeconfig", authority, server, certificate, key, layout.name)
