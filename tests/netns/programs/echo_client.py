# SPDX-License-Identifier: BSD-2-Clause
"""Sends and expects the same back: echo_client.py asyncio|threads|datagram HOST PORT COUNT SIZE.

COUNT streams at once of SIZE bytes each, or COUNT datagrams one after the other."""
import asyncio
import os
import socket
import sys
import threading


def stream(address, data, done):
    with socket.create_connection(address, timeout=30) as sock:
        writer = threading.Thread(target=lambda: (sock.sendall(data), sock.shutdown(socket.SHUT_WR)))
        writer.start()
        got = bytearray()
        while piece := sock.recv(65536):
            got += piece
        writer.join()
        done.append(bytes(got) == data)


def threads(address, datas):
    done = []
    workers = [threading.Thread(target=stream, args=(address, d, done)) for d in datas]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    return done.count(True)


async def one(address, data):
    reader, writer = await asyncio.open_connection(*address)

    async def send():
        writer.write(data)
        await writer.drain()
        writer.write_eof()

    _, got = await asyncio.gather(send(), reader.read())
    writer.close()
    await writer.wait_closed()
    return got == data


async def gathered(address, datas):
    return sum(await asyncio.gather(*(one(address, d) for d in datas)))


def datagrams(address, datas):
    good = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.5)
        for data in datas:
            for _ in range(5):  # a datagram may get lost
                sock.sendto(data, address)
                try:
                    good += sock.recvfrom(65536) == (data, address)
                    break
                except TimeoutError:
                    continue
    return good


def main(how, host, port, count, size):
    datas = [os.urandom(size) for _ in range(count)]
    address = (host, port)
    if how == "asyncio":
        good = asyncio.run(gathered(address, datas))
    else:
        good = {"threads": threads, "datagram": datagrams}[how](address, datas)
    print(good, "echoed")


main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
