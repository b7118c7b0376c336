# SPDX-License-Identifier: Apache-2.0
"""scep-status from a program: what waits, and decisions about it."""
import json
import urllib.parse

import conf

LOCATION = ('<Location "/status">\n    SetHandler scep-status\n    AuthType Basic\n    AuthName "PKI"\n'
            '    AuthUserFile users\n    Require valid-user\n</Location>\n')
HEADERS = [("Accept", "application/json"), ("Authorization", conf.authorization())]


def waiting(server, service="corp"):
    """{transactionID: what the page says} of all requests that wait."""
    response = server.connection(keep_alive=False).request("GET", "/status?service=" + service, HEADERS)
    assert response.status == 200, (response.status, response.body)
    return {tx["transaction_id"]: tx for tx in json.loads(response.body)["services"][0]["waiting"]}


def decide(server, txid, action="approve", reason="", service="corp"):
    """Approves or denies; the HTTP status."""
    tx = waiting(server, service)[txid]
    body = urllib.parse.urlencode(dict(service=service, tx=tx["tx"], action=action, reason=reason,
                                       token=tx["token"])).encode()
    return server.connection(keep_alive=False).request(
        "POST", "/status", HEADERS + [("Content-Type", "application/x-www-form-urlencoded")], body).status
