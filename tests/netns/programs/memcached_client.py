# SPDX-License-Identifier: BSD-2-Clause
"""Stores values of many sizes in a memcached, over several connections, and reads them back."""
import hashlib
import socket
import sys

SIZES = [0, 1, 100, 1459, 1460, 1461, 4096, 65535, 65536, 500000]


def value(key, size):
    piece = hashlib.sha256(key.encode()).digest()
    return (piece * (size // len(piece) + 1))[:size]


def store(stream, key, data):
    stream.write(b"set %s 0 0 %d\r\n" % (key.encode(), len(data)) + data + b"\r\n")
    stream.flush()
    assert stream.readline() == b"STORED\r\n", key


def fetch(stream, key):
    stream.write(b"get %s\r\n" % key.encode())
    stream.flush()
    word, name, _flags, size = stream.readline().split()
    assert (word, name) == (b"VALUE", key.encode()), (word, name)
    data = stream.read(int(size))
    assert stream.read(2) == b"\r\n" and stream.readline() == b"END\r\n"
    return data


def main(host, port):
    conns = [socket.create_connection((host, port), timeout=10) for _ in range(8)]
    streams = [c.makefile("rwb") for c in conns]
    keys = [(f"key{i}-{size}", size) for i in range(20) for size in SIZES]
    for i, (key, size) in enumerate(keys):
        store(streams[i % 8], key, value(key, size))
    for i, (key, size) in enumerate(keys):
        assert fetch(streams[(i + 3) % 8], key) == value(key, size), key
    print(len(keys), "values kept")


main(sys.argv[1], int(sys.argv[2]))
