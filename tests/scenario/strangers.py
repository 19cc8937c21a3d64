"""Strangers at a daemon's port, all at once: bytes that are no TLS,
the beginnings of handshakes, and much of nothing.

    strangers.py PORT        prints what was answered, and "ok NAME" for each
			     that was hung up on in time
"""

import os
import socket
import sys
import threading
import time

LIMIT = 90  # seconds: some are waited for

HELLO = bytes.fromhex("16030100a5010000a10303") + bytes(32) + bytes(120)
STRANGERS = {
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "zeros": bytes(100000),
    "random": os.urandom(100000),
    "half a hello": HELLO[:20],
    "a bad hello": HELLO,
    "a record too long": b"\x16\x03\x01\xff\xff" + bytes(70000),
    "an alert": b"\x15\x03\x03\x00\x02\x02\x28",
    "application data": b"\x17\x03\x03\x00\x20" + bytes(32),
    "a frame in the clear": b"\x02\x00\x00\x00\x01\x00\x08\x01",
}


def meet(name, said):
    begin = time.monotonic()
    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as s:
        s.settimeout(LIMIT)
        heard = b""
        try:
            s.sendall(said)
            while True:
                data = s.recv(65536)
                if not data:
                    break
                heard += data
        except OSError:
            pass  # a time limit is one, too
    result = b"ok" if time.monotonic() - begin < LIMIT else b"not ok"
    with lock:
        sys.stdout.buffer.write(heard + b"\n" + result + b" " +
                                name.encode() + b"\n")
        sys.stdout.buffer.flush()


lock = threading.Lock()
threads = [threading.Thread(target=meet, args=item)
           for item in STRANGERS.items()]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
