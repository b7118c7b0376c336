# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 on a raw socket: what is written is what the caller gave, also where it is wrong."""
import http.client
import socket


class Response:
    """Status, headers in order, whole body."""

    def __init__(self, source):
        self.status = source.status
        self.headers = source.getheaders()
        self.body = source.read()

    def header(self, name):
        """The value of the header, None if absent; two of one name are an error."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        if len(values) > 1:
            raise ValueError("header %s is there %d times" % (name, len(values)))
        return values[0] if values else None


class Connection:
    """Keeps one connection open, opens it again when the server closed it."""

    def __init__(self, host, port, timeout=20, keep_alive=True):
        self.host, self.port, self.timeout, self.keep_alive = host, port, timeout, keep_alive
        self.socket = None

    def close(self):
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def connect(self):
        if self.socket is None:
            self.socket = socket.create_connection((self.host, self.port), self.timeout)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.socket

    def host_header(self):
        return "[%s]:%d" % (self.host, self.port) if ":" in self.host else "%s:%d" % (self.host, self.port)

    def request(self, method, target, headers=(), body=None, chunked=False):
        lines = ["%s %s HTTP/1.1" % (method, target)]
        if not any(key.lower() == "host" for key, _ in headers):
            lines.append("Host: " + self.host_header())
        lines += ["%s: %s" % pair for pair in headers]
        if not self.keep_alive:
            lines.append("Connection: close")
        if body is not None:
            lines.append("Transfer-Encoding: chunked" if chunked else "Content-Length: %d" % len(body))
        data = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        if body is not None and chunked:
            for start in range(0, len(body), 1000):
                piece = body[start:start + 1000]
                data += b"%x\r\n" % len(piece) + piece + b"\r\n"
            data += b"0\r\n\r\n"
        elif body is not None:
            data += body
        return self.raw(data, method)

    def raw(self, data, method="GET"):
        """Sends data as it is; one more try when a kept connection turns out to be closed."""
        kept = self.socket is not None
        try:
            return self._exchange(data, method)
        except (ConnectionError, http.client.RemoteDisconnected):
            self.close()
            if not kept:
                raise
            return self._exchange(data, method)

    def _exchange(self, data, method):
        self.connect().sendall(data)
        source = http.client.HTTPResponse(self.socket, method=method)
        try:
            source.begin()
            response = Response(source)
        except Exception:
            self.close()
            raise
        if source.will_close or not self.keep_alive:
            self.close()
        source.close()
        return response
