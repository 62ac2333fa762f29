"""Authorities, the certificates they sign, and a server that takes no client without one."""

import os
import queue
import ssl
import subprocess
import threading
from http.server import ThreadingHTTPServer


class Authority:
    """A certificate authority of its own in a directory."""

    def __init__(self, directory, name):
        self.directory = directory
        self.name = name
        self.certificate = os.path.join(directory, f"{name}.crt")
        self.key = os.path.join(directory, f"{name}.key")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", self.key,
                "-out", self.certificate, "-days", "2", "-subj", f"/CN={name}",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def sign(self, name, address=None):
        """A certificate for a client, or for the server at an address: the paths of certificate and key."""
        certificate, key, request, extensions = (
            os.path.join(self.directory, f"{name}.{end}") for end in ("crt", "key", "csr", "ext"))
        with open(extensions, "w") as file:
            file.write("extendedKeyUsage=" + ("serverAuth" if address else "clientAuth") + "\n")
            if address:
                file.write(f"subjectAltName=IP:{address}\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out",
                request, "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial",
                "-out", certificate, "-days", "2", "-extfile", extensions)
        return certificate, key


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def common_name(connection):
    """The name in the certificate of the client of a TLS connection."""
    for part in (connection.getpeercert() or {}).get("subject", ()):
        for key, value in part:
            if key == "commonName":
                return value
    return ""


class MutualServer(ThreadingHTTPServer):
    """Refuses clients whose certificate is not of its authority, or who have none. `refused` has the reasons."""

    daemon_threads = True

    def __init__(self, address, handler, authority, certificate, key):
        self.refused = queue.Queue()
        self.lock = threading.Lock()
        self.connections = set()
        self.trust(authority, certificate, key)
        super().__init__(address, handler)

    def trust(self, authority, certificate, key):
        """From now on an authority for the clients and a certificate of its own; open connections end."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(authority)
        context.verify_mode = ssl.CERT_REQUIRED
        with self.lock:
            self.context = context
            ended, self.connections = self.connections, set()
        for connection in ended:
            try:
                connection.shutdown(2)
            except OSError:
                pass

    def finish_request(self, request, client_address):
        # In the connection's own thread: a handshake must not hold up the others.
        request.settimeout(60)
        with self.lock:
            context = self.context
        try:
            request = context.wrap_socket(request, server_side=True)
        except (ssl.SSLError, OSError) as error:
            self.refused.put(str(error))
            return
        with self.lock:
            self.connections.add(request)
        try:
            super().finish_request(request, client_address)
        finally:
            with self.lock:
                self.connections.discard(request)
            request.close()

    def handle_error(self, request, client_address):
        """Connections are ended on purpose."""
