# SPDX-License-Identifier: GPL-2.0
"""PostgreSQL, each server with the tables of pgbench in a cluster of its own."""

import os
import shutil
import signal

from . import command, ip
from .program import Program

_PROGRAMS = "/usr/lib/postgresql/17/bin"
# Made once for all files and versions: it takes seconds.
_TEMPLATE = "/tmp/postgresql-template"
# It refuses to run as root.
_AS_POSTGRES = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--init-groups"]
_SETTINGS = """\
fsync = off
autovacuum = off
max_connections = 20
shared_buffers = 16MB
max_wal_senders = 0
wal_level = minimal
"""
_ANYBODY = """\
local all all trust
host all all 0.0.0.0/0 trust
host all all ::/0 trust
"""


class Postgresql(Program):
    """A server. With a `certificate` it takes TLS, too."""

    def __init__(self, namespace, address, certificate=None):
        host, port = ip.split(address)
        directory = f"/tmp/postgresql-{host}"
        shutil.rmtree(directory, ignore_errors=True)
        command.run("cp", "-a", template(), directory)
        super().__init__(namespace, address, directory=directory)
        settings = [f"listen_addresses={host}", f"port={port}", "unix_socket_directories="]
        if certificate:
            key = f"{directory}/key.pem"
            shutil.copyfile(certificate.key, key)
            shutil.chown(key, "postgres", "postgres")
            os.chmod(key, 0o600)
            settings += ["ssl=on", f"ssl_cert_file={certificate.certificate}", f"ssl_key_file={key}"]
        self.start(*_postgres(directory, *settings))

    def ask(self, query):
        """The answer to a query, asked at its own address."""
        return psql(self.namespace, self.address, query)


def psql(namespace, address, query, *settings):
    """The answer of the server at an address: a line a row, and `|` between columns."""
    return namespace.run("psql", "-XAtw", "-c", query, connection(address, *settings)).strip()


def connection(address, *settings):
    """The connection string."""
    host, port = ip.split(address)
    return " ".join([f"host={host} port={port} user=postgres dbname=postgres", *(settings or ["sslmode=disable"])])


def template():
    """The path of a cluster that has the tables of pgbench."""
    if not os.path.exists(_TEMPLATE):
        making = f"{_TEMPLATE}.new"
        shutil.rmtree(making, ignore_errors=True)
        as_it_is = ["--no-sync", "--no-instructions", "--locale=C", "--encoding=UTF8", "--wal-segsize=1"]
        command.run(*_AS_POSTGRES, f"{_PROGRAMS}/initdb", *as_it_is, "--auth=trust", "-D", making)
        for name, text in (("postgresql.conf", _SETTINGS), ("pg_hba.conf", _ANYBODY)):
            with open(f"{making}/{name}", "w", encoding="ascii") as file:
                file.write(text)
        server = _Local(None, directory=making)
        server.start(*_postgres(making, "listen_addresses=", f"unix_socket_directories={making}"))
        command.run("pgbench", "-h", making, "-U", "postgres", "--quiet", "-i", "-I", "dtGp", "postgres")
        server.kill(signal.SIGINT)  # as soon as it can
        os.rename(making, _TEMPLATE)
    return _TEMPLATE


class _Local(Program):
    """A server that listens on a Unix socket in its directory."""

    def _listens(self):
        return command.result("pg_isready", "-q", "-h", self.directory).returncode == 0


def _postgres(directory, *settings):
    options = [word for setting in settings for word in ("-c", setting)]
    return [*_AS_POSTGRES, f"{_PROGRAMS}/postgres", "-D", directory, *options]
