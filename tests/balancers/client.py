"""What a browser says to the gateway, over both transports, with the cookie of its choice."""

import base64
import http.client
import json
import os
import socket
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

TLS = ssl._create_unverified_context()
TIMEOUT = 40
TEXT, CLOSE = 1, 8


@dataclass
class Answer:
    status: int
    node: str | None
    body: bytes

    @property
    def result(self):
        """Of a JSON-RPC response; none if it is an error."""
        return json.loads(self.body).get("result") if self.status == 200 else None


def node_in(set_cookie):
    """The node that a `Set-Cookie` header names."""
    value = (set_cookie or "").partition("WSGROUTEID=")[2].partition(";")[0]
    return value or None


def request(base, method, path, cookie=None, token=None, message=None):
    url = urlsplit(base)
    headers = {"Origin": base}
    if cookie:
        headers["Cookie"] = f"other=1; WSGROUTEID={cookie}"
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if message is not None:
        headers["Content-Type"] = "application/json"
    connection = http.client.HTTPSConnection(url.hostname, url.port, context=TLS, timeout=TIMEOUT)
    try:
        connection.request(method, path, json.dumps(message) if message is not None else None, headers)
        response = connection.getresponse()
        return Answer(response.status, node_in(response.headers["Set-Cookie"]), response.read())
    finally:
        connection.close()


def rpc(base, method, params=None, **with_what):
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}
    return request(base, "POST", "/v1/rpc", message=message, **with_what)


def sign_in(base, user, **with_what):
    return rpc(base, "session.signIn", {"user": user, "password": "secret"}, **with_what)


class WebSocket:
    """RFC 6455, as much of it as these tests need: short unfragmented text messages."""

    def __init__(self, base, cookie=None):
        url = urlsplit(base)
        plain = socket.create_connection((url.hostname, url.port), TIMEOUT)
        self.socket = TLS.wrap_socket(plain, server_hostname=url.hostname)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            "GET /v1/ws HTTP/1.1", f"Host: {url.netloc}", f"Origin: {base}", "Upgrade: websocket", "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13",
        ]
        if cookie:
            lines.append(f"Cookie: other=1; WSGROUTEID={cookie}")
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        self.stream = self.socket.makefile("rb")
        self.status = int(self.stream.readline().split()[1])
        header = list(iter(lambda: self.stream.readline().decode().strip(), ""))
        self.node = node_in("; ".join(header))

    def call(self, method, params=None):
        """The result of a request; notifications before it are skipped."""
        text = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}).encode()
        assert len(text) < 126, "a longer message has a longer header"
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(text))
        self.socket.sendall(bytes([0x80 | TEXT, 0x80 | len(text)]) + mask + masked)
        while True:
            message = self.receive()
            if message.get("id") == 1:
                return message.get("result")

    def receive(self):
        kind, length = self.stream.read(2)
        if length == 126:
            length = int.from_bytes(self.stream.read(2))
        payload = self.stream.read(length)
        if kind & 15 == CLOSE:
            raise ConnectionError(payload)
        return json.loads(payload)

    def close(self):
        self.stream.close()
        self.socket.close()
