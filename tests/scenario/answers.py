"""Runs a command on a terminal and types one answer each time it asks.

    answers.py ANSWER... -- COMMAND...

A question ends in a colon and a space.  The answer "^C" is that key.  When the
answers are used up, the terminal's end (^D) is typed.  The exit status is the
command's, or 128 and the signal that ended it; what it shows goes to standard
output.
"""

import os
import pty
import select
import sys

SECONDS = 300  # without a word from the command


def main(answers, command):
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(command[0], command)
    shown = b""
    while select.select([terminal], [], [], SECONDS)[0]:
        try:
            data = os.read(terminal, 4096)
        except OSError:  # the other end is closed
            data = b""
        if not data:
            break
        sys.stdout.buffer.write(data)
        shown += data
        if shown.endswith(b": "):
            answer = answers.pop(0) if answers else "^D"
            if answer.startswith("^"):
                os.write(terminal, bytes([ord(answer[1]) - 64]))
            else:
                os.write(terminal, answer.encode() + b"\n")
            shown = b""
    else:
        os.kill(pid, 9)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    sys.exit(128 - status if status < 0 else status)


if __name__ == "__main__":
    split = sys.argv.index("--")
    main(sys.argv[1:split], sys.argv[split + 1:])
