"""Runs a command on a terminal and types a passphrase each time it asks.

    typed.py PASSPHRASE COMMAND...

Nothing is typed before the terminal's echo is off: what is typed between the
question and that, a command may throw away.  The exit status is the command's;
what it shows goes to standard output.
"""

import os
import pty
import select
import sys
import termios
import time

SECONDS = 300  # without a word from the command


def await_silence(terminal):
    deadline = time.monotonic() + SECONDS
    while termios.tcgetattr(terminal)[3] & termios.ECHO and \
            time.monotonic() < deadline:
        time.sleep(0.01)


def main(passphrase, command):
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(command[0], command)
    answers = 0
    while select.select([terminal], [], [], SECONDS)[0]:
        try:
            data = os.read(terminal, 4096)
        except OSError:  # the other end is closed
            data = b""
        if not data:
            break
        sys.stdout.buffer.write(data)
        if data.rstrip().endswith(b":") and answers < 3:
            await_silence(terminal)
            os.write(terminal, passphrase.encode() + b"\n")
            answers += 1
    else:
        os.kill(pid, 9)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 255)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
