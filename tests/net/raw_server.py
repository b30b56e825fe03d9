"""A server whose responses are bytes that a test chooses, for tests of HTTP clients."""

import socket
import threading
from contextlib import contextmanager


class RawServer:
    """Sends `answer` for every request, or calls it with the connection; keeps head and body of the requests."""

    def __init__(self):
        self.requests, self.connections = [], 0
        self._closed = threading.Event()
        self.answer = reply(200, b"{}")
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection):
        with connection:
            read = b""
            while True:
                while b"\r\n\r\n" not in read:
                    more = connection.recv(65536)
                    if not more:
                        return
                    read += more
                head, _, read = read.partition(b"\r\n\r\n")
                length = next(
                    (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
                )
                while len(read) < length:
                    read += connection.recv(65536)
                self.requests.append((head, read[:length]))
                read = read[length:]
                try:
                    if callable(self.answer):
                        self.answer(connection)
                        return
                    connection.sendall(self.answer)
                except OSError:
                    return

    def close(self):
        self._closed.set()
        self._socket.close()

    def silent(self, connection):
        """An answer that never begins."""
        self._closed.wait()

    def dripping(self, connection):
        """An answer that never ends, byte by byte."""
        connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while not self._closed.wait(0.02):
            connection.sendall(b"y")


def reply(status, body=b"", *headers):
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@contextmanager
def raw_server():
    server = RawServer()
    try:
        yield server
    finally:
        server.close()
