"""A broker of Kafka that knows no more than how clients log in with a token, and what it was shown."""

import socketserver
import struct
import threading

API_VERSIONS, SASL_HANDSHAKE, SASL_AUTHENTICATE = 18, 17, 36
UNSUPPORTED_VERSION = 35


class TokenBroker:
    """Listens on a port of its own; keeps the mechanisms asked for and the first messages of OAUTHBEARER (RFC 7628)."""

    def __init__(self):
        self.mechanisms = []
        self.messages = []
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                try:
                    while True:
                        outer.answer(self.request)
                except (OSError, EOFError):
                    pass

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.address = "127.0.0.1:%d" % self.server.server_address[1]

    def answer(self, connection):
        (size,) = struct.unpack(">i", self.read(connection, 4))
        body = self.read(connection, size)
        api, version, correlation, length = struct.unpack(">hhih", body[:10])
        rest = body[10 + max(length, 0):]
        if api == API_VERSIONS:
            known = [(0, 0, 7), (3, 0, 2), (API_VERSIONS, 0, 0), (SASL_HANDSHAKE, 0, 1), (SASL_AUTHENTICATE, 0, 0)]
            answer = struct.pack(">hi", UNSUPPORTED_VERSION if version > 0 else 0, len(known))
            answer += b"".join(struct.pack(">hhh", *each) for each in known)
        elif api == SASL_HANDSHAKE:
            self.mechanisms.append(rest[2:].decode())
            answer = struct.pack(">hih", 0, 1, len(b"OAUTHBEARER")) + b"OAUTHBEARER"
        elif api == SASL_AUTHENTICATE:
            self.messages.append(rest[4:])
            answer = struct.pack(">hhi", 0, -1, 0)
        else:
            raise EOFError
        connection.sendall(struct.pack(">ii", len(answer) + 4, correlation) + answer)

    @staticmethod
    def read(connection, count):
        content = b""
        while len(content) < count:
            piece = connection.recv(count - len(content))
            if not piece:
                raise EOFError
            content += piece
        return content

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
