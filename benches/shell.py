#!/usr/bin/env python3
"""What the operator's shell and the trace cost those who send messages.

    benches/shell.py [--rounds 3] [--seconds 8] [--shells 20] [--per-second 2000]

Runs in turns, each row the median of its rounds, client and server on the same cores: a load at a fixed rate without shells
and with so many that evaluate in loops all the while; and loops as fast as they go, with the lives of all messages written
down and with none. Every run is a proof as well: a message lost or doubled ends this script.
"""

import argparse
import http.client
import json
import pathlib
import statistics
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).parent / "support"))
from server import ROOT, product

TOKEN = "the token of this measurement"
# It never ends: each is stopped after shell.eval_ms, and begun again.
LOOPS = (
    "L = fun L(N) -> yizhan:online(), yizhan:behind(), yizhan:flights(), L(N + 1) end, L(0).",
    "L = fun L(N) -> lists:sum([X * X || X <- lists:seq(1, 1000)]), L(N + 1) end, L(0).",
    "L = fun L(N) -> yizhan:why(integer_to_binary(N)), yizhan:inboxes(10), L(N + 1) end, L(0).",
    "L = fun L(N) -> [process_info(P) || P <- lists:sublist(processes(), 20)], L(N + 1) end, L(0).",
)


class Shells:
    """So many shells in loops, until they are left."""

    def __init__(self, server, count):
        self.server, self.over, self.evaluated = server, threading.Event(), 0
        self.threads = [threading.Thread(target=self.run, args=(n,), daemon=True) for n in range(count)]

    def run(self, number):
        while not self.over.is_set():
            connection = http.client.HTTPConnection(self.server.admin, timeout=30)
            connection.request("POST", "/repl", LOOPS[number % len(LOOPS)], {"authorization": f"Bearer {TOKEN}"})
            answer = connection.getresponse().read().decode()
            connection.close()
            if "stopped after" not in answer:
                sys.exit(f"a shell was not stopped: {answer[:500]}")
            self.evaluated += 1

    def __enter__(self):
        for thread in self.threads:
            thread.start()

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()


class Nobody:
    def __enter__(self):
        pass

    def __exit__(self, *_):
        pass


def latencies(report):
    accept, loop = report["latency"]["accept"], report["latency"]["full_loop"]
    return {
        "accept_p50_ms": accept["p50_us"] / 1e3, "accept_p99_ms": accept["p99_us"] / 1e3,
        "loop_p50_ms": loop["p50_us"] / 1e3, "loop_p99_ms": loop["p99_us"] / 1e3,
        "loops_per_s": report["rates"]["loops_per_s"], "cpu_us": report["server_usage"]["cpu_ms_per_1000_messages"],
    }


def medians(runs):
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def shells(options):
    seen = {"no shell": [], f"{options.shells} shells in loops": []}
    for _ in range(options.rounds):
        for name, runs in seen.items():
            with product(f"admin.token={TOKEN}", "shell.eval_ms=1000") as server:
                with Nobody() if name == "no shell" else Shells(server, options.shells):
                    runs.append(latencies(server.load("rate", "--per-second", options.per_second, "--seconds", options.seconds)))
                    print(name, runs[-1], file=sys.stderr)
    return {name: medians(runs) for name, runs in seen.items()}


def trace(options):
    kinds = {"lives written down": (), "none": ("trace.max_bytes=0",)}
    seen = {name: [] for name in kinds}
    for _ in range(options.rounds):
        for name, settings in kinds.items():
            with product(*settings) as server:
                seen[name].append(latencies(server.load("pairs", "--pairs", 50, "--window", 32, "--size", 256,
                                                        "--seconds", options.seconds)))
                print(name, seen[name][-1], file=sys.stderr)
    return {name: medians(runs) for name, runs in seen.items()}


def table(title, seen):
    print(f"| {title} | loops/s | accept p50 / p99 ms | loop p50 / p99 ms | server CPU µs a loop |\n|---|---|---|---|---|")
    for name, it in seen.items():
        print(f"| {name} | {it['loops_per_s']:,.0f} | {it['accept_p50_ms']:.2f} / {it['accept_p99_ms']:.2f} "
              f"| {it['loop_p50_ms']:.2f} / {it['loop_p99_ms']:.2f} | {it['cpu_us']:.1f} |")
    print()


def main():
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rounds", type=int, default=3)
    asked.add_argument("--seconds", type=int, default=8)
    asked.add_argument("--shells", type=int, default=20)
    asked.add_argument("--per-second", type=int, default=2000)
    options = asked.parse_args()
    subprocess.run(["cargo", "build", "--release"], cwd=ROOT, check=True)
    table(f"{options.per_second:,} messages a second, 50 pairs", shells(options))
    table("50 pairs, W=32", trace(options))


main()
