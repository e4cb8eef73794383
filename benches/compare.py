#!/usr/bin/env python3
"""Runs the whole comparison and writes it into docs/PERFORMANCE.md: the server against the reference of
benches/reference.rs, in one run, in turns, each row the median of its rounds.

    benches/compare.py [--rounds 3] [--seconds 10] [--print]

Client and server share the machine. Every run is a proof as well: a message lost or doubled ends this script.
"""

import argparse
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / "support"))
from server import ROOT, Server, product

PAGE = ROOT / "docs" / "PERFORMANCE.md"
PLOTS = ROOT / "docs" / "plots"
BEGIN, END = "<!-- compare.py begins -->", "<!-- compare.py ends -->"
WINDOWS = (1, 16, 32)


def build():
    run = lambda *args: subprocess.run(args, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    run("cargo", "build", "--release")
    told = run("cargo", "bench", "--no-run", "--bench", "reference", "--message-format=json")
    for line in told.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "reference":
            return message["executable"]
    sys.exit("the reference was not built")


def reference(binary):
    return Server(lambda home: [binary, "--log", f"{home}/log"], "reference ready")


# ---- what is run ----

def pairs(server, window, seconds, *more):
    report = server.load("pairs", "--pairs", 50, "--window", window, "--size", 256, "--seconds", seconds, *more)
    return {
        "loops_per_s": report["rates"]["loops_per_s"],
        "cpu_us": report["server_usage"]["cpu_ms_per_1000_messages"],
        "client_us": report["client_cpu_us_per_message"],
        "accept_p50_ms": report["latency"]["accept"]["p50_us"] / 1e3,
        "accept_p99_ms": report["latency"]["accept"]["p99_us"] / 1e3,
        "loop_p50_ms": report["latency"]["full_loop"]["p50_us"] / 1e3,
        "loop_p99_ms": report["latency"]["full_loop"]["p99_us"] / 1e3,
        "rss_mb": report["server_usage"]["rss_peak_mb"],
    }


def waiting(server, messages, readers=20):
    """Leaves so many messages to readers who do not come."""
    server.load("offline", "--messages", messages, "--readers", readers, "--stay-away")


def speed(binary, rounds, seconds):
    """The servers in turns, so that a slow minute of the machine hits all of them."""
    kinds = {
        "reference": lambda: reference(binary),
        "yizhan": lambda: product("inbox.max_messages=200000"),
        "yizhan, no deliveries": lambda: product("delivery.schedule_ms=[0]"),
        "yizhan, 100,000 rows wait": lambda: product("inbox.max_messages=200000"),
    }
    seen = {(kind, window): [] for kind in kinds for window in WINDOWS}
    for _ in range(rounds):
        for kind, start in kinds.items():
            with start() as server:
                if "wait" in kind:
                    waiting(server, 100_000)
                for window in WINDOWS:
                    seen[kind, window].append(pairs(server, window, seconds))
                    print(kind, window, seen[kind, window][-1], file=sys.stderr)
    median = lambda runs: {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    return {key: median(runs) for key, runs in seen.items()}


def shapes(seconds):
    """Other shapes of the same work."""
    rows = []
    for name, args in {
        "1,000 senders to one reader, W=1": ("--pairs", 1, "--senders-per-reader", 1000, "--window", 1, "--size", 256),
        "50 pairs, 64 KB payloads, W=1": ("--pairs", 50, "--window", 1, "--size", 65536),
        "one reader with 10 devices, W=32": ("--pairs", 1, "--devices", 10, "--window", 32, "--size", 256),
    }.items():
        with product("inbox.max_messages=200000") as server:
            report = server.load("pairs", *args, "--seconds", seconds)
            rows.append((name, report))
    return rows


# ---- what is written ----

def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def speed_section(seen, rounds, seconds):
    rows = []
    for (kind, window), it in sorted(seen.items(), key=lambda item: item[0][1]):
        base = seen["reference", window]
        rows.append((
            kind, window, f"{it['loops_per_s'] / 1e3:.1f}k", f"{it['loops_per_s'] / base['loops_per_s']:.2f}",
            f"{it['accept_p50_ms']:.2f} / {it['accept_p99_ms']:.2f}", f"{it['accept_p99_ms'] / base['accept_p99_ms']:.2f}",
            f"{it['loop_p50_ms']:.2f} / {it['loop_p99_ms']:.2f}", f"{it['cpu_us']:.1f}",
            f"{it['cpu_us'] / base['cpu_us']:.2f}", f"{it['client_us']:.1f}", f"{it['rss_mb']:.0f}",
        ))
    head = ("server", "W", "loops/s", "÷ reference", "accept p50 / p99 ms", "p99 ÷ reference", "loop p50 / p99 ms",
            "server CPU µs a loop", "÷ reference", "client CPU µs a loop", "peak RSS MB")
    bars = {f"{kind}, W={window}": it["loops_per_s"] for (kind, window), it in seen.items()}
    plot("loops", "full loops in a second", bars)
    return (f"50 pairs, payloads of 256 bytes, medians of {rounds} rounds of {seconds} s, the servers in turns. *No deliveries* "
            "is the same server with `delivery.schedule_ms=[0]`: what it is better by is all that a delivery costs, its timer "
            "included.\n\n" + table(head, rows) + "\n\n![full loops in a second](plots/loops.svg)")


def shapes_section(rows):
    head = ("shape", "loops/s", "deliveries/s", "accept p50 / p99 ms", "loop p50 / p99 ms", "server CPU µs a message",
            "peak RSS MB")
    cells = []
    for name, report in rows:
        accept, loop = report["latency"]["accept"], report["latency"]["full_loop"]
        cells.append((
            name, f"{report['rates']['loops_per_s']:,.0f}", f"{report['rates']['delivered_per_s']:,.0f}",
            f"{accept['p50_us'] / 1e3:.2f} / {accept['p99_us'] / 1e3:.2f}",
            f"{loop['p50_us'] / 1e3:.2f} / {loop['p99_us'] / 1e3:.2f}",
            f"{report['server_usage']['cpu_ms_per_1000_messages']:.1f}", f"{report['server_usage']['rss_peak_mb']:.0f}",
        ))
    return table(head, cells)


def rest_section(online):
    with product() as server:
        idle = server.load("idle", "--clients", 15_000, "--seconds", 10)["detail"]
    with product("inbox.max_messages=200000") as server:
        offline = server.load("offline", "--messages", 100_000, "--readers", 100)["detail"]
    with product() as server:
        storm = server.load("storm", "--clients", 9_000, "--rounds", 3)["detail"]
    text = (f"15,000 idle connections take {idle['server_rss_kb_per_connection']:.1f} KB of the server's memory each: "
            f"{idle['server_rss_before_mb']:.0f} MB before, {idle['server_rss_after_the_hold_mb']:.0f} MB with them.\n\n"
            f"100,000 messages for 100 readers who are away are stored at {offline['stored_per_s'] / 1e3:.0f}k a second, and taken at "
            f"{offline['taken_per_s'] / 1e3:.0f}k when the readers come: {offline['taken_per_s'] / online:.2f} of the online rate "
            "at W=32.\n\n9,000 clients are cut at once and come back at once, with a message for each, beside a steady pair:\n\n")
    before = storm["steady_pair_before"]
    rows = [("before", "", "", f"{before['steady_p50_us'] / 1e3:.1f} / {before['steady_p99_us'] / 1e3:.1f}",
             f"{before['server_rss_mb']:.0f}")]
    for number, it in enumerate(storm["rounds"], 1):
        rows.append((number, f"{it['all_back_s']:.2f}", f"{it['all_delivered_s']:.2f}",
                     f"{it['steady_p50_us'] / 1e3:.1f} / {it['steady_p99_us'] / 1e3:.1f}", f"{it['server_rss_mb']:.0f}"))
    head = ("storm", "all back after s", "all delivered after s", "steady pair p50 / p99 ms", "server RSS MB")
    return text + table(head, rows)


def plot(name, title, bars):
    """A bar for each row, as a file that a browser shows."""
    PLOTS.mkdir(exist_ok=True)
    most, high = max(bars.values()), 26
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 {high * len(bars) + 40}" '
             'font-family="sans-serif" font-size="13">', f'<text x="8" y="20" font-weight="bold">{title}</text>']
    for at, (label, value) in enumerate(bars.items()):
        y = 34 + at * high
        parts.append(f'<text x="8" y="{y + 14}">{label}</text>'
                     f'<rect x="230" y="{y}" width="{400 * value / most:.0f}" height="18" fill="#3b6ea5"/>'
                     f'<text x="{236 + 400 * value / most:.0f}" y="{y + 14}">{value:,.0f}</text>')
    (PLOTS / f"{name}.svg").write_text("\n".join(parts) + "\n</svg>\n")


def machine():
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return f"{os.cpu_count()} cores ({cpu.group(1) if cpu else platform.machine()}), Linux {platform.release()}"


def main():
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rounds", type=int, default=3)
    asked.add_argument("--seconds", type=int, default=10)
    asked.add_argument("--print", action="store_true", help="write to standard output and not into the page")
    options = asked.parse_args()
    binary = build()
    seen = speed(binary, options.rounds, options.seconds)
    text = "\n\n".join([
        f"Written by `benches/compare.py` on {time.strftime('%Y-%m-%d')}; {machine()}, client and server on the same cores.",
        speed_section(seen, options.rounds, options.seconds),
        "### Other shapes\n\n" + shapes_section(shapes(options.seconds)),
        "### Memory, backlogs, storms\n\n" + rest_section(seen["yizhan", 32]["loops_per_s"]),
    ])
    if options.print:
        return print(text)
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    PAGE.write_text(before + BEGIN + "\n" + text + "\n" + END + rest.split(END)[1])


main()
