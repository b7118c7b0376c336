#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""scep_client on the command line, every operation of RFC 8894:

    scep_client.py caps URL
    scep_client.py cacert URL [--out DIR]
    scep_client.py nextca URL [--out DIR]
    scep_client.py enroll URL --challenge-file FILE [--subject /CN=device] [--key FILE] [--out FILE] [--wait SECONDS]
    scep_client.py renew URL --certificate FILE --key FILE [--new-key FILE] [--type 17|19] [--out FILE]
    scep_client.py poll URL --txid ID --key FILE --subject /CN=device [--wait SECONDS] [--out FILE]
    scep_client.py getcert URL --serial HEX --key FILE [--certificate FILE] [--out FILE]
    scep_client.py getcrl URL --key FILE [--certificate FILE] [--out FILE]

Exit status: 0 success, 1 refused or broken, 3 pending.
"""
import argparse
import hashlib
import os
import sys

from cryptography import x509
from cryptography.hazmat.primitives import serialization

import scep_client as scep

COMMANDS = ("caps", "cacert", "nextca", "enroll", "renew", "poll", "getcert", "getcrl")
NEEDS = {"enroll": ("challenge_file",), "renew": ("certificate", "key"), "poll": ("txid", "key"),
         "getcert": ("serial", "key"), "getcrl": ("key",)}


def subject_of(options):
    return ",".join(filter(None, options.subject.split("/")))


def read_challenge(options):
    if not options.challenge_file:
        return None
    with open(options.challenge_file, encoding="ascii") as file:
        return file.read().strip()


def read_certificate(options):
    """DER, None without --certificate."""
    if not options.certificate:
        return None
    with open(options.certificate, "rb") as file:
        return x509.load_pem_x509_certificate(file.read()).public_bytes(serialization.Encoding.DER)


def algorithms(options):
    return dict(cipher=options.cipher, digest=options.digest, transport=options.transport,
                signature=options.signature)


def save(path, data):
    if path:
        with open(path, "wb") as file:
            file.write(data)


def report(options, reply, txid):
    """Prints what came of it; the exit status."""
    if reply.status == scep.PENDING:
        print("pending: transactionID %s" % txid)
        return 3
    if reply.status != scep.SUCCESS:
        print("refused: failInfo %s, %s" % (reply.fail_info, reply.fail_text), file=sys.stderr)
        return 1
    if reply.crl is not None:
        print("issuer %s\nentries %d" % (reply.crl.issuer.rfc4514_string(), len(list(reply.crl))))
        save(options.out, reply.crl.public_bytes(serialization.Encoding.PEM))
        return 0
    leaf = reply.leaf
    print("subject %s\nserial %x\nvalid until %s" % (
        leaf.subject.rfc4514_string(), leaf.serial_number, leaf.not_valid_after.isoformat()))
    save(options.out, leaf.public_bytes(serialization.Encoding.PEM))
    return 0


def transact(client, options, spec):
    reply = client.transact(spec)
    if reply.status == scep.PENDING and options.wait:
        reply = client.wait(spec, options.wait, 1)
    return report(options, reply, spec.txid)


def command_enroll(client, options):
    key = scep.load_key(options.key) if options.key else \
        scep.new_ec_key() if options.ec else scep.new_key(options.bits)
    extensions = [scep.san_extension(options.dns)] if options.dns else []
    return transact(client, options, client.spec(key=key, challenge=read_challenge(options), extensions=extensions,
                                                 subject=subject_of(options), **algorithms(options)))


def command_renew(client, options):
    old = scep.load_key(options.key)
    new = scep.load_key(options.new_key) if options.new_key else old
    return transact(client, options, client.renewal_spec(
        new, read_certificate(options), old, message_type=options.type, challenge=read_challenge(options),
        **algorithms(options)))


def command_poll(client, options):
    key = scep.load_key(options.key)
    spec = client.spec(key=key, subject=subject_of(options), txid=options.txid, challenge=read_challenge(options),
                       signer_cert=read_certificate(options), **algorithms(options))
    return report(options, client.wait(spec, options.wait or 0, 1), spec.txid)


def command_getcert(client, options):
    reply = client.get_cert(int(options.serial, 16), scep.load_key(options.key),
                            signer_cert=read_certificate(options), **algorithms(options))
    return report(options, reply, "")


def command_getcrl(client, options):
    reply = client.get_crl(scep.load_key(options.key), signer_cert=read_certificate(options),
                           **algorithms(options))
    return report(options, reply, "")


def command_caps(client, options):
    print("\n".join(client.caps()))
    return 0


def show(options, certificates, prefix):
    for number, certificate in enumerate(certificates):
        loaded = x509.load_der_x509_certificate(certificate)
        print(loaded.subject.rfc4514_string(), hashlib.sha256(certificate).hexdigest())
        if options.out:
            save(os.path.join(options.out, "%s-%d.pem" % (prefix, number)),
                 loaded.public_bytes(serialization.Encoding.PEM))
    return 0


def command_cacert(client, options):
    return show(options, client.cacert(), "ca")


def command_nextca(client, options):
    return show(options, client.next_ca(), "next-ca")


def main(argv=None):
    parser = argparse.ArgumentParser(description="SCEP client of mod_scep's tests")
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("url", help="http://host:port/certsrv/mscep/mscep.dll")
    parser.add_argument("--challenge-file", help="file with the challenge")
    parser.add_argument("--subject", default="/CN=device")
    parser.add_argument("--dns", action="append", help="DNS name for the subjectAltName")
    parser.add_argument("--key", help="PEM private key; enroll: a new one if there is none")
    parser.add_argument("--new-key", help="PEM private key of the renewed certificate; default: --key")
    parser.add_argument("--certificate", help="PEM certificate that signs the request; default: self-signed")
    parser.add_argument("--type", default="17", choices=("17", "19"), help="messageType of a renewal")
    parser.add_argument("--txid", help="transactionID of what is polled")
    parser.add_argument("--serial", help="serial number of the wanted certificate, hexadecimal")
    parser.add_argument("--wait", type=int, help="polls so many seconds")
    parser.add_argument("--bits", type=int, default=2048)
    parser.add_argument("--ec", action="store_true", help="the new key is on P-256")
    parser.add_argument("--cipher", default="aes-128-cbc", choices=sorted(scep.CIPHERS))
    parser.add_argument("--digest", default="sha256", choices=sorted(scep.DIGESTS))
    parser.add_argument("--transport", default="pkcs1", choices=scep.TRANSPORTS)
    parser.add_argument("--signature", default="pkcs1", choices=("pkcs1", "pss"))
    parser.add_argument("--out", help="file for what is got (cacert, nextca: directory)")
    options = parser.parse_args(argv)
    missing = [name for name in NEEDS.get(options.command, ()) if not getattr(options, name)]
    if missing:
        parser.error("%s needs --%s" % (options.command, missing[0].replace("_", "-")))
    client = scep.Client(options.url)
    try:
        return globals()["command_" + options.command](client, options)
    except (scep.ScepError, OSError) as error:
        print("%s: %s" % (options.command, error), file=sys.stderr)
        return 1
    finally:
        client.close()


if __name__ == "__main__":
    sys.exit(main())
