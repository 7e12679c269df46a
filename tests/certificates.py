"""Certificates for a server and a client, signed by their own authority.

In: a folder. Out: paths of ``ca.pem``, ``server.pem``, ``client.pem`` and their keys, good for a day.
"""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def make(folder: Path, name: str = "authority") -> Path:
    """Write them; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    keys = {
        who: rsa.generate_private_key(public_exponent=65537, key_size=2048)
        for who in ("ca", "server", "client")
    }
    now = datetime.datetime.now(datetime.timezone.utc)
    for who, key in keys.items():
        made = (
            x509.CertificateBuilder()
            .subject_name(_name(name if who == "ca" else who))
            .issuer_name(_name(name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=who == "ca", path_length=None), critical=True)
        )
        if who == "server":
            address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
            made = made.add_extension(x509.SubjectAlternativeName([address]), critical=False)
        certificate = made.sign(keys["ca"], hashes.SHA256())
        (folder / f"{who}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (folder / f"{who}-key.pem").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )
    return folder
