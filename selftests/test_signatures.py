# SPDX-License-Identifier: GPL-2.0
"""Segments signed by TCP-MD5 or TCP-AO: the signature covers addresses, which client and process know differently.

    client                       server
    198.51.100.2 eth0 ────────── eth0 198.51.100.1
                                 192.0.2.1:80      service
                                 192.0.2.1:8080    without dispatch
                                 10.77.0.1:80      a listening socket of the test itself
"""

import contextlib
import dataclasses
import errno
import os
import select
import socket
import struct

from lib import capture, check, daemon, events, ip, topology, wait
from lib.ip import endpoint
from lib.runner import test

_KEY = b"a secret of two"


def _md5(version, host):
    """The socket option that signs what goes to a host by TCP-MD5: struct tcp_md5sig."""
    return 14, struct.pack("@128sBBHi80s", _sockaddr(version, host), 0, 0, len(_KEY), 0, _KEY)


def _ao(version, host):
    """The same by TCP-AO: struct tcp_ao_add."""
    numbers = (0, 0, 0, version.bits, 100, 100, 0, 0, len(_KEY))
    return 38, struct.pack("@128s64siIHBBBBBB80s", _sockaddr(version, host), b"hmac(sha1)", *numbers, _KEY)


def _sockaddr(version, host):
    """A struct sockaddr of a host and no port."""
    between = bytes(2) if version is ip.IPV4 else bytes(6)  # the port, and what IPv6 has before the address
    return struct.pack("=H", version.family) + between + ip.pack(host)


@dataclasses.dataclass(frozen=True)
class _Scheme:
    """A way to sign."""

    name: str
    option: object
    wrong: str  # TCP's counter of what is signed wrongly
    unexpected: str  # of what is signed for someone who has no key
    unsigned: str  # of what is not signed but should


_SCHEMES = (
    _Scheme("TCP-MD5", _md5, "TCPMD5Failure", "TCPMD5Unexpected", "TCPMD5NotFound"),
    _Scheme("TCP-AO", _ao, "TCPAOBad", "TCPAOKeyNotFound", "TCPAORequired"),
)


def setup(version):
    return topology.pair(version)


def _direct(net):
    return endpoint(net.host, 8080)


def _sign(connection, scheme, version, host):
    """Has a socket sign what goes to a host, and want the same from there."""
    try:
        connection.setsockopt(socket.IPPROTO_TCP, *scheme.option(version, host))
    except OSError as error:
        raise check.Skip(f"{scheme.name} can't be had here: {os.strerror(error.errno)}") from error


@contextlib.contextmanager
def _listener(net, address, scheme, host=None):
    """A listening socket of this test behind an address, with a key for a host if it is told."""
    process = net.processes[0] if address == net.service else address
    with daemon.listen(process, net.server) as listener:
        if host:
            _sign(listener, scheme, net.version, host)
        listener.settimeout(wait.DEADLINE)
        if address == net.service:
            net.control.serve(net.service, process)
        yield listener
    if address == net.service:
        net.control.service_del(net.service)


@contextlib.contextmanager
def _client(net, address, scheme, signs=True):
    """A client on its way to an address, which signs or not."""
    with net.client:
        client = socket.socket(net.version.family)
    with client:
        if signs:
            _sign(client, scheme, net.version, ip.host_of(address))
        client.setblocking(False)
        client.connect_ex(ip.split(address))
        client.settimeout(wait.DEADLINE)
        yield client


def _count(net, name):
    """A counter of the server's TCP."""
    with net.server, open("/proc/thread-self/net/netstat", encoding="ascii") as file:
        names, values = (line.split() for line in list(file)[:2])
    return int(values[names.index(name)])


def _talk(listener, client):
    """Both sides hear each other."""
    accepted, _ = listener.accept()
    with accepted:
        accepted.settimeout(wait.DEADLINE)
        client.sendall(b"hello")
        check.equal(accepted.recv(9), b"hello", "what the server gets")
        accepted.sendall(b"welcome")
        check.equal(client.recv(9), b"welcome", "what the client gets")


def _in_vain(net, address, scheme, counter, signs=True):
    """TCP drops a client's SYN, and the one that is sent again, and counts why; nobody answers."""
    before = _count(net, counter)
    with _client(net, address, scheme, signs) as client:
        wait.until(lambda: _count(net, counter) >= before + 2, f"{counter} counts the SYNs to {address}")
        state = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        check.equal(state, 2, f"the state of the client of {address}, where 2 is SYN_SENT")


@test
def a_signed_connection_is_served_without_dispatch(net):
    for scheme in _SCHEMES:
        with (
            _listener(net, _direct(net), scheme, net.client_address) as listener,
            _client(net, _direct(net), scheme) as client,
        ):
            _talk(listener, client)


@test
def a_signed_connection_to_a_service_is_refused_and_told(net):
    for scheme in _SCHEMES:
        # Whether the process has a key makes no difference.
        for host in (net.client_address, None):
            with _listener(net, net.service, scheme, host), events.Events(net.server) as heard:
                with capture.Capture(net.client, "eth0") as wire, _client(net, net.service, scheme) as client:
                    source = daemon.name(client.getsockname())
                    wait.until(lambda: select.select([], [client], [], 0)[1], "something comes of it")
                    error = client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                check.equal(errno.errorcode.get(error), "ECONNREFUSED", f"what a client that signs by {scheme.name} gets")
                check.true(wire.addresses() <= {net.client_address, net.host}, f"addresses on the wire: {wire.addresses()}")
                told = heard.find("refused-ntf")
                check.equal((told["reason"], told["client-address"]), ("signed", source), "the event")
                # While connect() has the socket, the error is for later, and the SYN is sent again.
                sent = sum(seen.source == source for seen in wire.segments())
                check.equal(net.control.drops("signed", net.service), sent, "what the service counted")
                check.equal(net.control.connections(client=source), [], "entries")


@test
def a_signed_connection_is_ignored_where_the_service_has_clients_try_again(net):
    for scheme in _SCHEMES:
        with _listener(net, net.service, scheme, net.client_address):
            net.control.service_set(net.service, refusal="retry")
            with _client(net, net.service, scheme) as client:
                wait.until(lambda: net.control.drops("signed", net.service) > 1, "the SYN comes again")
                state = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
                check.equal(state, 2, "the state of the client, where 2 is SYN_SENT")


@test
def a_client_that_does_not_sign_for_who_wants_it_is_ignored_as_without_dispatch(net):
    for scheme in _SCHEMES:
        for address in (_direct(net), net.service):
            with _listener(net, address, scheme, net.client_address):
                _in_vain(net, address, scheme, scheme.unsigned, signs=False)


@test
def a_process_that_has_a_key_for_another_client_serves_the_others(net):
    for scheme in _SCHEMES:
        with (
            _listener(net, net.service, scheme, net.near(99)) as listener,
            _client(net, net.service, scheme, signs=False) as client,
        ):
            _talk(listener, client)
