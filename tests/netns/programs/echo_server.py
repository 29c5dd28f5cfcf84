# SPDX-License-Identifier: BSD-2-Clause
"""Echoes what it gets: echo_server.py asyncio|fork|thread|datagram HOST PORT."""
import asyncio
import socketserver
import sys


class Stream(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(65536):
            self.request.sendall(data)


class Datagram(socketserver.BaseRequestHandler):
    def handle(self):
        data, sock = self.request
        sock.sendto(data, self.client_address)


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def serve(address):
    server = await asyncio.start_server(echo, *address)
    async with server:
        await server.serve_forever()


def main(how, host, port):
    address = (host, port)
    socketserver.TCPServer.allow_reuse_address = True
    if how == "asyncio":
        asyncio.run(serve(address))
    kind, handler = {
        "fork": (socketserver.ForkingTCPServer, Stream),
        "thread": (socketserver.ThreadingTCPServer, Stream),
        "datagram": (socketserver.UDPServer, Datagram),
    }[how]
    with kind(address, handler) as server:
        server.serve_forever()


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
