# SPDX-License-Identifier: Apache-2.0
"""A certificate authority in the test's hand: server and client certificates, a revocation list, OCSP answers."""
import subprocess
from collections import namedtuple

Pair = namedtuple("Pair", "cert key")

CONFIG = """
[ca]
default_ca = own
[own]
dir = {folder}
database = {folder}/index.txt
serial = {folder}/serial
crlnumber = {folder}/crlnumber
new_certs_dir = {folder}
certificate = {folder}/ca.crt
private_key = {folder}/ca.key
default_md = sha256
default_days = 200
default_crl_days = 7
policy = any
copy_extensions = copy
unique_subject = no
[any]
commonName = supplied
[server]
authorityInfoAccess = OCSP;URI:http://127.0.0.1:1/ocsp
crlDistributionPoints = URI:http://127.0.0.1:1/ca.crl
extendedKeyUsage = serverAuth
keyUsage = digitalSignature
subjectAltName = {names}
[client]
extendedKeyUsage = clientAuth
keyUsage = digitalSignature
subjectAltName = {names}
"""


def openssl(*arguments, **options):
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, **options)


class Authority:
    def __init__(self, folder, name="test authority"):
        self.folder, self.made = folder, 0
        folder.mkdir(exist_ok=True)
        (folder / "index.txt").write_text("")
        (folder / "serial").write_text("1001\n")
        (folder / "crlnumber").write_text("01\n")
        self.cert, self.key, self.crl = folder / "ca.crt", folder / "ca.key", folder / "ca.crl"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "400", "-subj",
                f"/CN={name}", "-keyout", self.key, "-out", self.cert)
        self.list_revoked()

    def ca(self, *arguments, names="DNS:nobody.test"):
        config = self.folder / "ca.cnf"
        config.write_text(CONFIG.format(folder=self.folder, names=names))
        openssl("ca", "-batch", "-config", config, *arguments)

    def issue(self, kind, name, names, key=("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")):
        """`kind`: server or client. The server's file has the authority behind it, as a chain."""
        self.made += 1
        stem = self.folder / f"{kind}{self.made}"
        pair = Pair(stem.with_suffix(".crt"), stem.with_suffix(".key"))
        asked = stem.with_suffix(".csr")
        openssl("req", "-new", *key, "-nodes", "-subj", f"/CN={name}", "-keyout", pair.key, "-out", asked)
        self.ca("-in", asked, "-out", pair.cert, "-extensions", kind, "-notext", names=names)
        if kind == "server":
            pair.cert.write_text(pair.cert.read_text() + self.cert.read_text())
        pair.key.chmod(0o600)
        return pair

    def server(self, *names, **options):
        return self.issue("server", names[0], ",".join(f"DNS:{name}" for name in names), **options)

    def client(self, name, **options):
        return self.issue("client", name, f"DNS:{name}.devices.test,URI:spiffe://test/{name}", **options)

    def revoke(self, pair):
        self.ca("-revoke", pair.cert)
        self.list_revoked()

    def list_revoked(self):
        self.ca("-gencrl", "-out", self.crl)

    def staple(self, pair, to):
        """An OCSP answer about a certificate, DER."""
        openssl("ocsp", "-index", self.folder / "index.txt", "-CA", self.cert, "-rsigner", self.cert, "-rkey", self.key,
                "-issuer", self.cert, "-cert", pair.cert, "-ndays", "1", "-respout", to)
        return to
