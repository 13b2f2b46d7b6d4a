"""Certificates of a test's own, made by openssl, and a TLS front for a server that speaks plain text."""

import ssl
import subprocess

import raw_geyser

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def openssl(*args):
    subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True, text=True)


class Authority:
    """A certificate authority in a folder; `roots` is the file that a client has to trust."""

    def __init__(self, folder):
        self.folder, self.roots, self.key = folder, folder / "roots.pem", folder / "roots.key"
        openssl("req", "-x509", *KEY, "-keyout", self.key, "-out", self.roots, "-days", 30, "-subj", "/CN=Everstate test authority")

    def certificate(self, name, alternatives="DNS:localhost,IP:127.0.0.1", days=30):
        """(certificate, key); with days = -1 one that expired yesterday."""
        files = {suffix: self.folder / f"{name}.{suffix}" for suffix in ("pem", "key", "csr", "ext")}
        files["ext"].write_text(f"subjectAltName={alternatives}\n")
        openssl("req", *KEY, "-keyout", files["key"], "-out", files["csr"], "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", files["csr"], "-CA", self.roots, "-CAkey", self.key, "-days", days, "-extfile", files["ext"], "-out", files["pem"])
        return files["pem"], files["key"]


class TlsFront(raw_geyser.Front):
    """Takes TLS with a certificate and hands what is in it on to a plain port of this machine, both ways."""

    def __init__(self, certificate, port):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*certificate)
        self.context.set_alpn_protocols(["h2"])
        super().__init__(port)
        self.endpoint = f"https://localhost:{self.port}"

    def open(self, sock):
        return self.context.wrap_socket(sock, server_side=True)

    @staticmethod
    def pending(sock):
        return sock.pending() > 0
