#!/usr/bin/env python3
"""Asks Caddy and the gateway beside it for the same URLs, and shows where their answers differ.

  compare.py [options] ACCESS-LOG...     Caddy's access log, in its JSON form (`log { output file … }`); - for standard input

Only GET and HEAD that Caddy has answered are asked, each URL once, of both, one after the other: status, fields and the SHA-256 of
the body have to be the same. What each server says of itself or of the moment is left out, and what `--ignore` names. A URL that Caddy itself answers
differently when it is asked again says nothing about the gateway, and is counted as such. No cookie and no credential of the log is sent or shown.

Exit code: 0 all are the same, 1 some differ, 2 usage, 75 one of the two does not answer.
"""

import argparse, hashlib, http.client, json, socket, ssl, sys

# Of the moment, of the connection, or of who answers.
OWN = {
    "date", "server", "via", "age", "connection", "keep-alive", "transfer-encoding", "alt-svc", "x-request-id", "cache-status",
    "ratelimit", "ratelimit-policy", "x-ratelimit-limit", "x-ratelimit-remaining", "set-cookie", "expires",
}


def arguments():
    parser = argparse.ArgumentParser(usage=__doc__.strip())
    parser.add_argument("--caddy", default="127.0.0.1:443", help="default: %(default)s")
    parser.add_argument("--origin", default="127.0.0.1:8443", help="default: %(default)s")
    parser.add_argument("--ca", help="PEM file of the authority of both certificates; default: certificates are not looked at")
    parser.add_argument("--client", help="PEM file with a client certificate and its key, where sites demand one")
    parser.add_argument("--ignore", action="append", default=[], metavar="FIELD", help="a field that may differ; any number of times")
    parser.add_argument("--most", type=int, default=1000, help="URLs at most, default: %(default)s")
    parser.add_argument("logs", nargs="+", metavar="ACCESS-LOG")
    return parser.parse_args()


def asked(logs, most):
    """Each method, host and URI once, in the order of the log."""
    seen, lines = {}, 0
    for name in logs:
        with sys.stdin if name == "-" else open(name, encoding="utf-8", errors="replace") as log:
            for line in log:
                lines += 1
                try:
                    entry = json.loads(line)
                    request = entry["request"]
                    one = (request["method"], request["host"], request["uri"])
                except (ValueError, KeyError, TypeError):
                    continue
                if one[0] in ("GET", "HEAD") and entry.get("status", 0) > 0 and len(seen) < most:
                    # As a browser asks for a page: what may vary by it varies alike.
                    seen.setdefault(one, True)
    return list(seen), lines


class Named(http.client.HTTPSConnection):
    """A connection to one address, for any name."""

    def __init__(self, address, host, context):
        super().__init__(host, timeout=20, context=context)
        self.address = address

    def connect(self):
        host, _, port = self.address.rpartition(":")
        stream = socket.create_connection((host.strip("[]"), int(port)), timeout=self.timeout)
        self.sock = self._context.wrap_socket(stream, server_hostname=self.host)


def answer(address, context, method, host, uri):
    connection = Named(address, host, context)
    try:
        connection.request(method, uri, headers={"Host": host, "Accept": "text/html,*/*;q=0.8", "Accept-Encoding": "identity"})
        said = connection.getresponse()
        body = said.read()
    finally:
        connection.close()
    fields = {}
    for name, value in said.getheaders():
        fields.setdefault(name.lower(), []).append(value)
    return said.status, fields, hashlib.sha256(body).hexdigest(), len(body)


def differences(caddy, origin, ignored):
    found = []
    if caddy[0] != origin[0]:
        found.append(f"status {caddy[0]} → {origin[0]}")
    for name in sorted((caddy[1].keys() | origin[1].keys()) - ignored):
        if caddy[1].get(name) != origin[1].get(name):
            shown = [", ".join(fields.get(name, ["–"]))[:60] for fields in (caddy[1], origin[1])]
            found.append(f"{name}: {shown[0]} → {shown[1]}")
    if caddy[2] != origin[2]:
        found.append(f"body: {caddy[3]} bytes of {caddy[2][:12]}… → {origin[3]} of {origin[2][:12]}…")
    return found


def main():
    given = arguments()
    context = ssl.create_default_context(cafile=given.ca) if given.ca else ssl._create_unverified_context()
    if given.client:
        context.load_cert_chain(given.client)
    ignored = OWN | {name.lower() for name in given.ignore}
    urls, lines = asked(given.logs, given.most)
    if not urls:
        print(f"compare.py: no GET among {lines} lines: is it Caddy's access log, in JSON?", file=sys.stderr)
        return 2
    differ = unsteady = 0
    for method, host, uri in urls:
        shown = f"{method} {host}{uri.partition('?')[0]}"
        try:
            caddy = answer(given.caddy, context, method, host, uri)
            origin = answer(given.origin, context, method, host, uri)
            found = differences(caddy, origin, ignored)
            if found and differences(caddy, answer(given.caddy, context, method, host, uri), ignored):
                unsteady += 1
                continue
        except (OSError, http.client.HTTPException) as error:
            print(f"compare.py: {shown}: {error}", file=sys.stderr)
            return 75
        if found:
            differ += 1
            print(f"{shown}\n  " + "\n  ".join(found))
    print(f"{len(urls)} URLs of {lines} lines: {len(urls) - differ - unsteady} the same, {differ} differ, {unsteady} differ at Caddy itself")
    return 1 if differ else 0


sys.exit(main())
