# SPDX-License-Identifier: GPL-2.0
"""Real web servers. Each answers every request with a line:

    nginx 10.77.0.1:80 serves 198.51.100.2:40000
"""

import os
import signal
import socket
import sys
import tempfile

from . import background, ip, wait

_NGINX = """\
daemon off;
# One process: killing it leaves no worker behind. But only a master lets its worker end gracefully.
master_process {master};
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 512; }}
http {{
    log_format peers '$remote_addr:$remote_port $status';
    access_log {directory}/access.log peers;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen {address}{reuseport};
        keepalive_requests {keepalive_requests};
        location / {{ return 200 "nginx $server_addr:$server_port serves $remote_addr:$remote_port\\n"; }}
        location /files/ {{ alias {directory}/files/; }}
    }}
}}
"""

_PYTHON = """\
import http.server, sys

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
        return "%s:%s" % self.client_address

http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
"""


class WebServer:
    """A web server on an address of a namespace."""

    def __init__(self, namespace, address, *argv):
        self.address = address
        self._process = background.program(*argv, namespace=namespace, stderr=self._log())
        wait.until(lambda: self._lives() and self._listens(namespace), f"`{argv[0]}` listens on {address}")

    def _log(self):
        raise NotImplementedError

    def _lives(self):
        if self._process.popen.poll() is not None:
            raise RuntimeError(f"`{self._process.popen.args}` ended at once: {self.log()}")
        return True

    def _listens(self, namespace):
        host, port = ip.split(self.address)
        with namespace, socket.socket(ip.version_of(host).family) as probe:
            return probe.connect_ex((host, port)) == 0

    def kill(self):
        """Kills it as `kill -9` does."""
        self._process.kill()

    def log(self):
        """What it logged."""
        raise NotImplementedError


class Nginx(WebServer):
    """nginx. Its access log has a line `client's address and port, status` a request.

    With `graceful` it can be told to `quit`. With `reuseport` others may listen on the address, too.
    """

    def __init__(self, namespace, address, graceful=False, reuseport=False, keepalive_requests=1000):
        self.directory = tempfile.mkdtemp(prefix="nginx-")
        os.chmod(self.directory, 0o755)
        os.mkdir(f"{self.directory}/files")
        configuration = f"{self.directory}/nginx.conf"
        with open(configuration, "w", encoding="ascii") as file:
            file.write(
                _NGINX.format(
                    directory=self.directory,
                    address=address,
                    master="on" if graceful else "off",
                    reuseport=" reuseport" if reuseport else "",
                    keepalive_requests=keepalive_requests,
                )
            )
        super().__init__(namespace, address, "nginx", "-c", configuration)

    def requests(self):
        """How many it has answered."""
        with open(f"{self.directory}/access.log", encoding="utf-8") as file:
            return sum(1 for _ in file)

    def quit(self):
        """Has it close its listeners, end what it does and then end itself; waits for that."""
        self._process.kill(signal.SIGQUIT)

    def _log(self):
        return open(f"{self.directory}/error.log", "a", encoding="utf-8")

    def _listens(self, namespace):
        # It writes this once it listens; a connection might meet another one at the same address.
        return os.path.exists(f"{self.directory}/nginx.pid") and super()._listens(namespace)

    def log(self):
        text = ""
        for name in ("error.log", "access.log"):
            with open(f"{self.directory}/{name}", encoding="utf-8") as file:
                text += file.read()
        return text


class PythonServer(WebServer):
    """Python's http.server. Its log has a line that starts with the client's address and port a request."""

    def __init__(self, namespace, address):
        self._path = tempfile.NamedTemporaryFile(prefix="http.server-", delete=False).name
        host, port = address.rsplit(":", 1)
        super().__init__(namespace, address, sys.executable or "python3", "-c", _PYTHON, host, port)

    def _log(self):
        return open(self._path, "w", encoding="utf-8")

    def log(self):
        with open(self._path, encoding="utf-8") as file:
            return file.read()
