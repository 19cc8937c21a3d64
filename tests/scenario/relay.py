"""A line between two sites that counts what crosses it, and can break.

    relay.py serve STATE PORT        carries connections to 127.0.0.1:PORT
    relay.py count STATE             bytes forth, back, connections so far
    relay.py cut STATE N...          the next connections break after N bytes
				     each, both ways together
    relay.py target STATE PORT       later connections go to that port
    relay.py rate STATE N            from now on N bytes a second, each way
    relay.py port                    a port of 127.0.0.1 that nobody has, and
				     that the system gives to nobody by itself

serve writes the port that it got to STATE.port.  Bytes are counted when they
come, at the socket: TLS and all above it, nothing of TCP.  A connection that
breaks ends in both directions at once; what was counted gets there, what had
not come this far is lost.
"""

import asyncio
import os
import random
import socket
import sys

PIECE = 16384
WINDOW = 65536  # of the sockets: little is on its way when a line breaks


class Relay:
    def __init__(self, port):
        self.port = port
        self.cuts = []
        self.rate = None
        self.bytes = [0, 0]
        self.connections = 0

    async def carry(self, reader, writer, way, line):
        while True:
            data = await reader.read(PIECE)
            if not data:
                break
            if line["left"] is not None:
                data = data[:line["left"]]
                line["left"] -= len(data)
            self.bytes[way] += len(data)
            if self.rate is not None:
                await asyncio.sleep(len(data) / self.rate)
            writer.write(data)
            await writer.drain()
            if line["left"] == 0:
                line["broken"].set()
                return
        if writer.can_write_eof():
            writer.write_eof()

    async def hang_up(self, reader, writer):
        """A socket that is closed with something unread would take back what
        it was given to send."""
        writer.write_eof()
        while await reader.read(PIECE):
            pass

    async def connection(self, reader, writer):
        self.connections += 1
        line = {"left": self.cuts.pop(0) if self.cuts else None,
                "broken": asyncio.Event()}
        far = None
        try:
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WINDOW)
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(
                sock, ("127.0.0.1", self.port))
            far_reader, far = await asyncio.open_connection(
                sock=sock, limit=PIECE)
            for end in (writer, far):
                end.get_extra_info("socket").setsockopt(
                    socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ways = asyncio.gather(
                self.carry(reader, far, 0, line),
                self.carry(far_reader, writer, 1, line))
            broken = asyncio.ensure_future(line["broken"].wait())
            await asyncio.wait([ways, broken],
                               return_when=asyncio.FIRST_COMPLETED)
            broken.cancel()
            ways.cancel()
            await asyncio.gather(ways, return_exceptions=True)
            if line["left"] == 0:
                await asyncio.wait_for(asyncio.gather(
                    self.hang_up(reader, writer),
                    self.hang_up(far_reader, far)), 30)
        except (OSError, asyncio.TimeoutError):
            pass
        finally:
            for end in (writer, far):
                if end is None:
                    continue
                end.close()

    async def order(self, reader, writer):
        words = (await reader.readline()).decode().split()
        if words[0] == "count":
            writer.write(b"%d %d %d\n" % (*self.bytes, self.connections))
        elif words[0] == "cut":
            self.cuts += [int(word) for word in words[1:]]
            writer.write(b"ok\n")
        elif words[0] == "target":
            self.port = int(words[1])
            writer.write(b"ok\n")
        elif words[0] == "rate":
            self.rate = int(words[1])
            writer.write(b"ok\n")
        await writer.drain()
        writer.close()

    async def serve(self, state):
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WINDOW)
        listening.bind(("127.0.0.1", 0))
        server = await asyncio.start_server(
            self.connection, sock=listening, limit=PIECE)
        await asyncio.start_unix_server(self.order, state + ".control")
        with open(state + ".new", "w", encoding="ascii") as file:
            print(listening.getsockname()[1], file=file)
        os.rename(state + ".new", state + ".port")
        await server.serve_forever()


def ask(state, *words):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(state + ".control")
        sock.sendall(" ".join(words).encode() + b"\n")
        return sock.makefile().readline().strip()


def free_port():
    """Below those that connections get at their dialling end: whoever asked
    listens there later, when another one might have it."""
    with open("/proc/sys/net/ipv4/ip_local_port_range",
              encoding="ascii") as file:
        end = int(file.read().split()[0])
    for port in random.sample(range(10000, end), 50) if end > 11000 else [0]:
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return sock.getsockname()[1]
    sys.exit("no port is free")


def main(arguments):
    command, rest = arguments[0], arguments[1:]
    if command == "serve":
        asyncio.run(Relay(int(rest[1])).serve(rest[0]))
    elif command in ("count", "cut", "rate", "target"):
        print(ask(rest[0], command, *rest[1:]))
    elif command == "port":
        print(free_port())
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:] or [""])
