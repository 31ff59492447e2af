#!/usr/bin/env python3
"""still.py PID BYTES: stop the process of the kvmrepro PID that reads a VM's console, until BYTES of
it wait unread, and let it go on."""
import array
import fcntl
import glob
import os
import re
import select
import signal
import sys
import termios
import time

LIMIT_S = 30
POLL_S = 0.01


def children(pid):
    """Of all its threads."""
    for path in glob.glob("/proc/%d/task/*/children" % pid):
        with open(path) as f:
            yield from (int(word) for word in f.read().split())


def console(pid):
    """A reader and its descriptor of the console's FIFO, as a path; None if it is no reader."""
    try:
        if "kvmrepro" not in os.readlink("/proc/%d/exe" % pid):
            return None
        for fd in os.listdir("/proc/%d/fd" % pid):
            path = "/proc/%d/fd/%s" % (pid, fd)
            if re.search(r"/console\.out \(deleted\)$", os.readlink(path)):
                return pid, path
    except OSError:
        pass
    return None


def main():
    harness, wanted = int(sys.argv[1]), int(sys.argv[2])
    pid, path = next(found for found in map(console, children(harness)) if found)
    fifo = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    os.kill(pid, signal.SIGSTOP)
    try:
        unread, end = array.array("i", [0]), time.monotonic() + LIMIT_S
        while unread[0] < wanted:
            if time.monotonic() > end:
                sys.exit("%d of %d bytes are unread after %d s" % (unread[0], wanted, LIMIT_S))
            select.select([], [], [], POLL_S)
            fcntl.ioctl(fifo, termios.FIONREAD, unread)
    finally:
        os.kill(pid, signal.SIGCONT)


main()
