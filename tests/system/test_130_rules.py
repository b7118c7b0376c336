# SPDX-License-Identifier: Apache-2.0
"""The directives about renewal, approval, limits and what is given out on demand."""
import re

import pytest

import conf
import env
import pki


@pytest.fixture(scope="module")
def files():
    """Files for them; {w} in the tables."""
    folder = pki.Pki(env.folder("rules"))
    right = pki.make()
    key = pki.key("rules")
    ca = pki.certificate("Old CA <b>", key, ca=True, usage=pki.CA_USAGE)
    folder.write("old-ca.pem", pki.pem_of(ca))
    folder.write("expired-ca.pem", pki.pem_of(
        pki.certificate("Older CA", key, ca=True, usage=pki.CA_USAGE, days=-1, since=-100)))
    folder.write("device.pem", pki.pem_of(pki.certificate(
        "Device", key, right.load("ca.pem"), pki.key("ca-root"), usage=("digital_signature",))))
    folder.write("empty.pem", b"")
    folder.write("half.pem", pki.pem_of(ca)[:200])
    return folder


# name: (directive, its value, what the message names)
MISTAKES = {
    "renewal maybe": ("ScepRenewal", "maybe", "On or Off"),
    "renewal twice": ("ScepRenewal", "on\n    ScepRenewal off", "already given at .*:\\d+"),
    "window soon": ("ScepRenewalWindow", "soon", "any, or a time"),
    "window 0": ("ScepRenewalWindow", "0", "any, or a time"),
    "window empty": ("ScepRenewalWindow", '""', "takes one argument"),
    "window too long": ("ScepRenewalWindow", "3661d", "any, or a time"),
    "window of two": ("ScepRenewalWindow", "1d 2d", "one argument"),
    "grace negative": ("ScepRenewalGrace", "-1s", "(?i)duration|time"),
    "grace too long": ("ScepRenewalGrace", "99999d", "between"),
    "same subject perhaps": ("ScepRenewalSameSubject", "perhaps", "On or Off"),
    "renewal key old": ("ScepRenewalKey", "old", "any, new or same"),
    "renewal CA absent": ("ScepRenewalCAFile", "{w}/nothing.pem", "nothing.pem"),
    "renewal CA empty": ("ScepRenewalCAFile", "{w}/empty.pem", "empty.pem"),
    "renewal CA truncated": ("ScepRenewalCAFile", "{w}/half.pem", "half.pem"),
    "renewal CA that is none": ("ScepRenewalCAFile", "{w}/device.pem", "Device.* is not a CA's"),
    "approval absent": ("ScepApproval", "", "automatic .alone., or manual"),
    "approval sometimes": ("ScepApproval", "sometimes", "automatic .alone., or manual"),
    "approval automatic and more": ("ScepApproval", "automatic Device", "automatic .alone., or manual"),
    "approval of an unknown template": ("ScepApproval", "manual Nobody", "unknown template 'Nobody'"),
    "approval of a long template": ("ScepApproval", "manual " + "x" * 65, "1 to 64"),
    "pending -1": ("ScepPendingMax", "-1", "number"),
    "pending too many": ("ScepPendingMax", "1000001", "between"),
    "poll interval 0": ("ScepPollInterval", "0", "between"),
    "poll interval 8d": ("ScepPollInterval", "8d", "between"),
    "failures many": ("ScepFailureLimit", "many", "number"),
    "failures -1": ("ScepFailureLimit", "-1", "number"),
    "failures in no time": ("ScepFailureLimit", "5 0", "1s to 1d"),
    "failures in a year": ("ScepFailureLimit", "5 365d", "1s to 1d"),
    "failures in words": ("ScepFailureLimit", "5 soon", "ScepFailureLimit"),
    "failures of three words": ("ScepFailureLimit", "5 1min 2", "(?i)argument"),
    "service failures": ("ScepFailureLimitService", "x", "number"),
    "exempt no expression": ("ScepLimitExempt", '"%{REMOTE_ADDR"', "ScepLimitExempt"),
    "status no expression": ("ScepStatusAuthorize", '"%{REMOTE_USER"', "ScepStatusAuthorize"),
    "GetCert sometimes": ("ScepGetCert", "sometimes", "On or Off"),
    "GetCRL sometimes": ("ScepGetCRL", "sometimes", "On or Off"),
    "CRL file twice": ("ScepCRLFile", "a.crl\n    ScepCRLFile b.crl", "already given at .*:\\d+"),
    "next chain twice": ("ScepNextCAChain", "a.pem\n    ScepNextCAChain b.pem", "already given at .*:\\d+"),
    "next RA certificate and key": ("ScepNextRACertificate", "a.pem a.key", "one argument"),
    "legacy rot13": ("ScepLegacyAlgorithms", "3des rot13", "none .alone., or any of"),
    "legacy none and md5": ("ScepLegacyAlgorithms", "md5 none", "none .alone., or any of"),
    "legacy nothing": ("ScepLegacyAlgorithms", "", "none .alone., or any of"),
}


# name: (lines, the directive that the message names, what it says)
CONTRADICTIONS = {
    "approval with a shared store and no secret": (
        ["ScepStore redis://127.0.0.1:1/", "ScepPolicy none", "ScepApproval manual"], "ScepStore",
        "ScepChallengeSecretFile is missing"),
    "approval with a secret that is not there": (
        ["ScepStore redis://127.0.0.1:1/", "ScepPolicy none", "ScepApproval manual",
         "ScepChallengeSecretFile {w}/nothing.key"], "ScepChallengeSecretFile", "nothing.key"),
    "CRL absent": (["ScepCRLFile {w}/nothing.crl"], "ScepCRLFile", "nothing.crl"),
    "CRL of another kind": (["ScepCRLFile {w}/device.pem"], "ScepCRLFile", "not a CRL"),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_contradictions(factory, files, case):
    """The message names the directive and its line."""
    lines, directive, says = CONTRADICTIONS[case]
    server = factory.httpd([conf.Service(pki.make()).add(*[l.replace("{w}", str(files.folder)) for l in lines])])
    status, text = server.configtest()
    server.expect("SCEP045")
    assert status != 0, "httpd -t is content"
    found = re.search(r"httpd.conf:(\d+)\): %s: .*%s" % (directive, says), text)
    assert found, text
    line = (server.folder / "httpd.conf").read_text().splitlines()[int(found.group(1)) - 1]
    assert line.split()[0] == directive


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake(factory, files, mistake):
    directive, value, names = MISTAKES[mistake]
    service = conf.Service(pki.make()).set(directive, value.replace("{w}", str(files.folder)))
    server = factory.httpd([service])
    status, text = server.configtest()
    server.expect("SCEP045")
    assert status != 0, "httpd -t is content"
    assert re.search(names, text) and directive in text, text
    assert re.search(r"line \d+ of \S+httpd.conf|\(/\S+httpd.conf:\d+\)", text), text


def test_everything_set(factory, files):
    """Values and their extremes; a service overrides what the server says."""
    service = conf.Service(pki.make()).add(
        "ScepRenewal off", "ScepRenewalWindow 30d", "ScepRenewalGrace 3660d",
        "ScepRenewalSameSubject off", "ScepRenewalKey same", "ScepApproval automatic",
        "ScepPendingMax 0", "ScepPollInterval 1s", "ScepFailureLimit 0",
        "ScepFailureLimitService 100000000", "ScepGetCert off", "ScepGetCRL off",
        "ScepLimitExempt \"-R '10.0.0.0/8' || -R 'fd00::/8'\"",
        "ScepStatusAuthorize \"%{REMOTE_USER} == 'mdm'\"")
    other = conf.Service(pki.make(), "lab", "/lab").add(
        "ScepLocalTemplate Vpn validity=10d", "ScepTemplate signature Vpn", "ScepApproval manual Vpn default",
        "ScepRenewalKey new", "ScepFailureLimit 1000000 1d")
    server = factory.httpd([service, other], server=conf.Lines("ScepApproval manual", "ScepRenewalWindow any"))
    status, text = server.configtest()
    assert status == 0 and text.strip() == "Syntax OK", text


def test_renewal_cas_are_named_at_start(factory, files):
    """Their holders need no challenge, so the log says who they are; and an expired one is told."""
    service = conf.Service(pki.make()).add("ScepRenewalCAFile %s/old-ca.pem" % files.folder)
    server = factory.httpd([service])
    server.expect("SCEP0473")
    server.start().log.wait("without a challenge: .*Old CA ")
    service = conf.Service(pki.make()).add("ScepRenewalCAFile %s/expired-ca.pem" % files.folder)
    server = factory.httpd([service])
    status, text = server.configtest()
    assert status == 0 and "Older CA" in text and "has expired" in text, text


def test_polls_longer_than_memory(factory):
    service = conf.Service(pki.make()).add("ScepPollInterval 2h", "ScepRetention 1h")
    status, text = factory.httpd([service]).configtest()
    assert status == 0 and "ScepPollInterval" in text and "longer than ScepRetention" in text, text
