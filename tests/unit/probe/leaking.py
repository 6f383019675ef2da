"""A service that leaks, or takes memory once, as its standard input tells it. Standard library and the probe only."""

import sys
import threading
import time

import memroll_probe

CACHE = {}
FURNITURE = []


class Entry:
    def __init__(self, number):
        self.number = number
        self.payload = bytearray(2_000)


class Chair:
    def __init__(self):
        self.legs = [4]


def leak():
    """Leak for ever, between any two full collections."""
    while True:
        CACHE[f"user-{len(CACHE)}-secret"] = Entry(len(CACHE))
        time.sleep(0.001)


def say(what):
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


say(memroll_probe.serve(host="127.0.0.1"))
for command in sys.stdin:
    if command == "leak\n":
        threading.Thread(target=leak, daemon=True).start()
    else:
        FURNITURE.extend(Chair() for _ in range(5_000))
    say("done")
