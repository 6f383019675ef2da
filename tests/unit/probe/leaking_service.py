"""Service that leaks or allocates once, on commands from its standard input. Standard library and the probe only."""

import sys
import threading
import time

import memroll_probe

CACHE = {}
PERMANENT = []


class Entry:
    def __init__(self, number):
        self.number = number
        self.payload = bytearray(2_000)


class Permanent:
    def __init__(self):
        self.items = [4]


def leak():
    """Leak for ever, between any two full collections."""
    while True:
        CACHE[f"user-{len(CACHE)}-secret"] = Entry(len(CACHE))
        time.sleep(0.001)


def write(message):
    sys.stdout.write(f"{message}\n")
    sys.stdout.flush()


write(memroll_probe.serve(host="127.0.0.1"))
for command in sys.stdin:
    if command == "leak\n":
        threading.Thread(target=leak, daemon=True).start()
    else:
        PERMANENT.extend(Permanent() for _ in range(5_000))
    write("done")
