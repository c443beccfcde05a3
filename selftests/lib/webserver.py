# SPDX-License-Identifier: GPL-2.0
"""Real web servers. Each answers every request with a line:

    nginx 10.77.0.1:80 serves 198.51.100.2:40000

Addresses of IPv6 have no brackets there.
"""

import os
import signal
import sys

from . import ip
from .program import Program

_NGINX = """\
daemon off;
# One process: killing it leaves no worker behind. But only a master lets its worker end gracefully.
master_process {master};
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 512; }}
http {{
    log_format peers '$remote_addr:$remote_port $status $server_protocol $ssl_protocol';
    access_log {directory}/access.log peers;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen {address}{reuseport};
{tls}        keepalive_requests {keepalive_requests};
        location / {{ return 200 "nginx $server_addr:$server_port serves $remote_addr:$remote_port\\n"; }}
        location /files/ {{ alias {directory}/files/; }}
    }}
}}
"""

_TLS = """\
        listen {address} ssl;
        http2 on;
        ssl_certificate {certificate.certificate};
        ssl_certificate_key {certificate.key};
"""

_PYTHON = """\
import http.server, socket, sys

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        own, client = self.connection.getsockname(), self.client_address
        line = f"http.server {own[0]}:{own[1]} serves {client[0]}:{client[1]}\\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(line)))
        self.end_headers()
        self.wfile.write(line)

    def address_string(self):
        return "%s:%s" % self.client_address[:2]

class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET

Server((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
"""


class Nginx(Program):
    """nginx. Its access log has a line `client's address and port, status, protocol, protocol of TLS` a request.

    With `graceful` it can be told to `quit`. With `reuseport` others may listen on the address, too. With a
    `certificate` it speaks TLS at port 443, and HTTP/2 at both ports.
    """

    def __init__(
        self, namespace, address, graceful=False, reuseport=False, keepalive_requests=1000, certificate=None
    ):
        secure = [ip.endpoint(ip.host_of(address), 443)] if certificate else []
        super().__init__(namespace, address, *secure)
        os.mkdir(f"{self.directory}/files")
        configuration = _NGINX.format(
            directory=self.directory,
            address=address,
            master="on" if graceful else "off",
            reuseport=" reuseport" if reuseport else "",
            tls=_TLS.format(address=secure[0], certificate=certificate) if certificate else "",
            keepalive_requests=keepalive_requests,
        )
        self.start("nginx", "-c", self.file("nginx.conf", configuration))

    def access_log(self):
        """The lines of its access log."""
        with open(f"{self.directory}/access.log", encoding="utf-8") as file:
            return file.read().splitlines()

    def requests(self):
        """How many it has answered."""
        return len(self.access_log())

    def quit(self):
        """Has it close its listeners, end what it does and then end itself; waits for that."""
        self.kill(signal.SIGQUIT)

    def _listens(self):
        # It writes this once it listens; another one may listen at the same address.
        return os.path.exists(f"{self.directory}/nginx.pid")

    def log(self):
        text = super().log()
        for name in ("error.log", "access.log"):
            if os.path.exists(f"{self.directory}/{name}"):
                with open(f"{self.directory}/{name}", encoding="utf-8") as file:
                    text += file.read()
        return text


class PythonServer(Program):
    """Python's http.server. Its log has a line that starts with the client's address and port a request."""

    def __init__(self, namespace, address):
        super().__init__(namespace, address)
        host, port = ip.split(address)
        self.start(sys.executable or "python3", "-c", _PYTHON, host, str(port))
