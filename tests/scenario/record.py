"""A session, kept as it went over the line, and played again.

    record.py PORT FILE          carries one connection to 127.0.0.1:PORT and
				 keeps what the dialling side sent; prints the
				 port to dial
    record.py play PORT FILE     sends it all again: succeeds if it is hung up
				 on, after no more than the handshake
"""

import os
import socket
import sys
import threading

LIMIT = 120  # seconds
HANDSHAKE_MAX = 2048  # bytes of a server's part, alert and all


def record(port, path):
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    near, _ = listener.accept()
    far = socket.create_connection(("127.0.0.1", port))
    kept = b""

    def back():
        while data := far.recv(65536):
            near.sendall(data)
        near.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=back, daemon=True)
    thread.start()
    while data := near.recv(65536):
        kept += data
        far.sendall(data)
    far.shutdown(socket.SHUT_WR)
    with open(path + ".part", "wb") as out:
        out.write(kept)
    os.rename(path + ".part", path)


def play(port, path):
    with open(path, "rb") as f:
        kept = f.read()
    heard = b""
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.settimeout(LIMIT)
        try:
            s.sendall(kept)
            while data := s.recv(65536):
                heard += data
        except socket.timeout:
            sys.exit("it was not hung up on")
        except OSError:
            pass
    if len(heard) > HANDSHAKE_MAX:
        sys.exit(f"{len(heard)} bytes were answered")
    if b"shreveport" in heard or b"mail" in heard:
        sys.exit("a name was answered")


if sys.argv[1] == "play":
    play(int(sys.argv[2]), sys.argv[3])
else:
    record(int(sys.argv[1]), sys.argv[2])
