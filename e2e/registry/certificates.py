"""Server certificates as registries have them, sound and unsound: of a known authority, of none, for another name, out of date."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import tempfile
from dataclasses import dataclass
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Certificate:
    """A certificate with its private key, both PEM."""

    pem: bytes
    key: bytes

    @cached_property
    def context(self) -> ssl.SSLContext:
        """For a server."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile() as file:
            file.write(self.pem + self.key)
            file.flush()
            made.load_cert_chain(file.name)
        return made


class Authority:
    """A certificate authority; `pem` is what clients are given to trust it."""

    def __init__(self, name: str = "registry authority") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._made = _signed(_name(name), self._key, _name(name), self._key, [], authority=True)
        self.pem = self._made.public_bytes(serialization.Encoding.PEM)

    def certificate(self, *names: str, days: tuple[int, int] = (-1, 30)) -> Certificate:
        """For host names and IP addresses (any text that parses as one); valid from and to so many days from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        return _bundle(_signed(_name(names[0]), key, self._made.subject, self._key, list(names), days=days), key)

    def expired(self, *names: str) -> Certificate:
        """Its last day was yesterday."""
        return self.certificate(*names, days=(-30, -1))


def self_signed(*names: str) -> Certificate:
    """A certificate that vouches for itself, as `openssl req -x509` makes them."""
    key = ec.generate_private_key(ec.SECP256R1())
    return _bundle(_signed(_name(names[0]), key, _name(names[0]), key, list(names)), key)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _signed(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    signer: ec.EllipticCurvePrivateKey,
    names: list[str],
    *,
    days: tuple[int, int] = (-1, 30),
    authority: bool = False,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + days[0] * DAY)
        .not_valid_after(now + days[1] * DAY)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
                key_cert_sign=authority, crl_sign=authority, encipher_only=False, decipher_only=False,
            ),
            critical=True,
        )
    )  # fmt: skip
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return builder.sign(signer, hashes.SHA256())


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _bundle(made: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Certificate:
    pem = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Certificate(pem, private)
