# SPDX-License-Identifier: Apache-2.0
"""docs/configmgr.md from nothing: its commands, conf-examples/registration-point.conf and its policy line, as they
stand there, up to a device that enrolls."""
import json
import re
import subprocess

from cryptography import x509

import conf
import env
import pki
import point
import scep_client as scep
from test_300_stores import secret_file
from test_720_logs import Logs, logging

DOCUMENT = env.SOURCE / "docs" / "configmgr.md"


def commands():
    """The indented commands of "From nothing": openssl, then curl."""
    text = DOCUMENT.read_text("utf-8").split("## From nothing")[1].split("\n## ")[0]
    return re.findall(r"(?m)^       ((?:openssl|curl) [^\n]*\n(?:        +[^\n]*\n)*)", text)


def policy_line():
    return re.search(r"`(ScepPolicy registration-point [^`]*)`", DOCUMENT.read_text("utf-8")).group(1)


def start_point(factory, folder, openssl):
    """The registration point by the example's configuration; its TLS port."""
    subprocess.run(["bash", "-ec", openssl], cwd=folder.folder, check=True, stderr=subprocess.DEVNULL)
    (folder.folder / "point.key").chmod(0o600)
    with open(point.files()["server"], "rb") as file:
        pem = file.read()
    with open(point.files()["ca"], "rb") as file:
        folder.write("fronts-tls-ca.pem", file.read(), 0o644)
    for name in ("tls.pem", "tls.key"):
        folder.write(name, pem)
    folder.write("fronts-ca-chain.pem", (pki.make().folder / "chain.pem").read_bytes(), 0o644)
    conf.password_file(folder.folder / "users")
    port, redis = env.free_port(), factory.redis()
    text = (env.SOURCE / "conf-examples" / "registration-point.conf").read_text("utf-8")
    for old, new in (("redis://redis.example/0", redis.urls()["tcp"]), ("logs/", ""),
                     ("scep/challenge.key", str(secret_file(env.folder("secret")))),
                     (" scep/", " %s/" % folder.folder), ("=scep/", "=%s/" % folder.folder),
                     ("Listen 443", "Listen 127.0.0.1:%d" % port), ("*:443", "127.0.0.1:%d" % port)):
        assert old in text, old
        text = text.replace(old, new)
    lines = [line for line in text.splitlines() if not line.startswith("LoadModule")]
    made = factory.httpd(["\n"], admin=False, modules=point.MODULES, server=conf.Lines(
        "SSLSessionCache shmcb:cache(65536)", *lines)).start()
    made.logs = Logs(made, "scep-audit.log", "CRP.log")
    return made, port


def start_front(factory, folder, port):
    key = pki.key("tls-client")
    with open(point.files()["ca"], "rb") as file:
        ca = x509.load_pem_x509_certificate(file.read())
    folder.write("front.pem", pki.pem_of(pki.certificate("scep-front1", key, ca, pki.key("tls-ca"),
                                                         usage=("digital_signature",))))
    folder.write("front.key", pki.pem(key))
    line = policy_line().replace("https://crp.example/", "https://localhost:%d/" % port)
    for name in ("front.pem", "front.key"):
        line = line.replace("=" + name, "=%s/%s" % (folder.folder, name))
    line = line.replace("caFile=point-tls-ca.pem", "caFile=" + point.files()["ca"])
    made = factory.httpd([conf.Service(pki.make()).add(line)], server=logging()).start()
    made.logs = Logs(made)
    return made


def test_from_nothing(factory, keys):
    folder = pki.Pki(env.folder("configmgr"))
    openssl, curl = commands()
    crp, port = start_point(factory, folder, openssl)
    front = start_front(factory, folder, port)
    curl = curl.replace("https://crp.example/", "https://localhost:%d/" % port).replace(
        "-u mdm", "-s --cacert %s -u mdm:%s" % (point.files()["ca"], conf.PASSWORD))
    answer = subprocess.run(["bash", "-ec", curl], check=True, stdout=subprocess.PIPE).stdout
    challenge = json.loads(answer)["challenge"]
    client = front.client(keep_alive=False)
    wrong = client.spec(key=keys[0], challenge=challenge, subject="CN=laptop-18")
    assert client.transact(wrong).status == scep.FAILURE
    spec = client.spec(key=keys[0], challenge=challenge, subject="CN=laptop-17")
    assert client.transact(spec).status == scep.SUCCESS
    assert "Verify challenge returns true" in front.logs.texts(spec.txid)
    assert any("Phase 3 finished with status True" in text for text in crp.logs.texts(spec.txid))
    for host in (front, crp):
        assert host.logs.audit(spec.txid)
