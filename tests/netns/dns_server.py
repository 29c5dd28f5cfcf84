#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A name server for test_resolve.sh: dns_server.py ADDRESS [PORT].

Answers out of the table below over UDP and TCP, and prints a line for each question:
PROTOCOL SOURCE NAME TYPE."""
import socket
import socketserver
import struct
import sys
import threading

LOCK = threading.Lock()
A, CNAME, PTR, TXT, AAAA = 1, 5, 12, 16, 28
TABLE = {
    "a.test": [(A, "10.1.1.1")],
    "short.test": [(A, "10.1.1.2")],
    "many.test": [(A, "10.1.2.%d" % i) for i in range(1, 6)],
    "six.test": [(AAAA, "2001:db8::6")],
    "both.test": [(A, "10.1.1.3"), (AAAA, "2001:db8::3")],
    "alias.test": [(CNAME, "middle.test")],
    "middle.test": [(CNAME, "a.test")],
    "nodata.test": [(TXT, "text")],
    "big.test": [(A, "10.2.%d.%d" % (i // 50, i % 50 + 1)) for i in range(60)],
    "1.1.1.10.in-addr.arpa": [(PTR, "a.test")],
    "6.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa":
        [(PTR, "six.test")],
}


def pack_name(name):
    return b"".join(bytes([len(p)]) + p.encode() for p in name.split(".") if p) + b"\0"


def record(name, kind, value):
    if kind == A:
        data = socket.inet_pton(socket.AF_INET, value)
    elif kind == AAAA:
        data = socket.inet_pton(socket.AF_INET6, value)
    elif kind == TXT:
        data = bytes([len(value)]) + value.encode()
    else:
        data = pack_name(value)
    return pack_name(name) + struct.pack("!HHIH", kind, 1, 60, len(data)) + data


def answer(query, protocol, source):
    """The answer, or None for silence."""
    at, labels = 12, []
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode())
        at += 1 + query[at]
    kind = struct.unpack("!H", query[at + 1:at + 3])[0]
    name = ".".join(labels).lower()
    with LOCK:  # one line is one question
        print(protocol, source, name, kind, flush=True)
    if name in ("mute.test", "7.7.7.10.in-addr.arpa"):
        return None
    records, code, at_name = [], 0, name
    if name in ("fail.test", "8.7.7.10.in-addr.arpa"):
        code = 2
    elif name not in TABLE:
        code = 3
    while at_name in TABLE:
        records += [record(at_name, k, v) for k, v in TABLE[at_name] if k in (kind, CNAME)]
        cnames = [v for k, v in TABLE[at_name] if k == CNAME]
        if not cnames:
            break
        at_name = cnames[0]
    body = b"".join(records)
    truncated = protocol == "udp" and len(body) > 400
    flags = 0x8580 | code | (0x200 if truncated else 0)
    head = query[:2] + struct.pack("!HHHHH", flags, 1, 0 if truncated else len(records), 0, 0)
    return head + query[12:at + 5] + (b"" if truncated else body)


class Udp(socketserver.BaseRequestHandler):
    def handle(self):
        out = answer(self.request[0], "udp", self.client_address[0])
        if out:
            self.request[1].sendto(out, self.client_address)


class Tcp(socketserver.StreamRequestHandler):
    def handle(self):
        while True:
            head = self.rfile.read(2)
            if len(head) < 2:
                return
            out = answer(self.rfile.read(struct.unpack("!H", head)[0]), "tcp",
                         self.client_address[0])
            if out:
                self.wfile.write(struct.pack("!H", len(out)) + out)


def main():
    at = (sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 53)
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    tcp = socketserver.ThreadingTCPServer(at, Tcp)
    threading.Thread(target=tcp.serve_forever, daemon=True).start()
    socketserver.ThreadingUDPServer(at, Udp).serve_forever()


main()
