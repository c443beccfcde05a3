# SPDX-License-Identifier: GPL-2.0
"""A key, and a certificate signed with it, for TLS at some addresses."""

import dataclasses

from . import command, program


@dataclasses.dataclass(frozen=True)
class Certificate:
    """The paths of both."""

    key: str
    certificate: str


def make(*hosts):
    """Makes a key and a certificate for these hosts."""
    directory = program.make_directory("certificate")
    made = Certificate(f"{directory}/key.pem", f"{directory}/certificate.pem")
    names = ",".join(f"IP:{host}" for host in hosts)
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    about = ["-subj", "/CN=selftest", "-addext", f"subjectAltName={names}"]
    command.run("openssl", "req", *kind, *about, "-keyout", made.key, "-out", made.certificate)
    return made
