#!/usr/bin/env python3
"""Loads a server with `yizhan load soak` while it is killed and started again, and draws its memory and its disk.

    benches/soak.py [--seconds 1800] [--per-second 500] [--kill 120 240] [--plot docs/plots/soak.svg]

Every two to four minutes the server gets SIGKILL and is started again at once, on the same port and store. Ends with the
exit code of the load: anything lost or doubled is an error. Messages are forgotten after ten minutes here, so that what a
server keeps of them for two weeks comes to rest within the run.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SEED = str(ROOT / "config" / "seed.toml")
YIZHAN = str(ROOT / "target" / "release" / "yizhan")
LOOK_S = 5
MB = 1 << 20


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(home, port):
    """Starts the server; returns it and the seconds until it was ready."""
    sets = [f"listen.public=127.0.0.1:{port}", "listen.admin=127.0.0.1:0", f"store.path={home}/data",
            "inbox.ttl_ms=300000"]
    command = [YIZHAN, "serve", "--config", SEED, *(a for s in sets for a in ("--set", s))]
    begun = time.monotonic()
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=open(f"{home}/log", "a"), text=True)
    line = server.stdout.readline()
    if not line.startswith("yizhan ready"):
        sys.exit(f"the server did not start: {line!r}\n{pathlib.Path(home, 'log').read_text()[-2000:]}")
    return server, time.monotonic() - begun


def rss(pid):
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    lines = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(lines[0].split()[1]) / 1024 if lines else None


def disk(home):
    size = 0
    for folder, _, names in os.walk(f"{home}/data"):
        for name in names:
            try:
                size += os.stat(os.path.join(folder, name)).st_blocks * 512
            except OSError:
                pass
    return size / MB


def run(options, home):
    port = free_port()
    server, took = start(home, port)
    starts, kills, seen = [took], [], []
    command = [YIZHAN, "load", "soak", "--server", f"ws://127.0.0.1:{port}", "--config", SEED, "--seconds", str(options.seconds),
               "--per-second", str(options.per_second), "--server-pid", f"{home}/data/LOCK", "--json", "--quiet"]
    if options.html:
        command += ["--html", options.html]
    load = subprocess.Popen(command, stdout=open(f"{home}/report", "w"))
    begun = time.monotonic()
    kill_at = random.uniform(*options.kill)
    try:
        while load.poll() is None:
            time.sleep(LOOK_S)
            at = time.monotonic() - begun
            memory = rss(server.pid)
            if memory is not None:
                seen.append((at, memory, disk(home)))
            # Not in the last minute, in which everything has to come to its end.
            if at >= kill_at and at < options.seconds - 60:
                server.kill()
                server.wait()
                kills.append(at)
                server, took = start(home, port)
                starts.append(took)
                kill_at = at + random.uniform(*options.kill)
    finally:
        if load.poll() is None:
            load.kill()
            load.wait()
        server.send_signal(signal.SIGTERM)
        server.wait(30)
    if load.returncode not in (0, 1):
        sys.exit(f"the load ended with {load.returncode}; what is left is in {home}")
    return load.returncode, json.loads(pathlib.Path(home, "report").read_text()), seen, kills, starts


def draw(path, seen, kills, seconds):
    wide, high, left, top = 640, 150, 60, 30
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide + left + 20} {2 * (high + 60)}" '
             'font-family="sans-serif" font-size="12">']
    for panel, (title, column, colour) in enumerate((("server memory, MB", 1, "#3b6ea5"), ("store on disk, MB", 2, "#a5663b"))):
        y0 = top + panel * (high + 60)
        most = max(row[column] for row in seen) * 1.1
        x = lambda at: left + wide * at / seconds
        y = lambda value: y0 + high - high * value / most
        parts.append(f'<text x="{left}" y="{y0 - 10}" font-weight="bold">{title}</text>')
        parts += [f'<line x1="{x(at):.1f}" x2="{x(at):.1f}" y1="{y0}" y2="{y0 + high}" stroke="#ccc"/>' for at in kills]
        parts += [f'<text x="{left - 6}" y="{y(most * part) + 4:.1f}" text-anchor="end">{most * part:.0f}</text>' for part in (0, 0.5, 1)]
        parts += [f'<text x="{x(at)}" y="{y0 + high + 16}" text-anchor="middle">{at / 60:.0f} min</text>'
                  for at in range(0, seconds + 1, max(60, seconds // 6))]
        line = " ".join(f"{x(row[0]):.1f},{y(row[column]):.1f}" for row in seen)
        parts.append(f'<rect x="{left}" y="{y0}" width="{wide}" height="{high}" fill="none" stroke="#888"/>')
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    pathlib.Path(path).write_text("\n".join(parts) + "\n</svg>\n")


def main():
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--seconds", type=int, default=1800)
    asked.add_argument("--per-second", type=int, default=500)
    asked.add_argument("--kill", type=float, nargs=2, default=(120, 240), metavar=("LEAST", "MOST"), help="seconds between two kills")
    asked.add_argument("--plot", help="an SVG file for memory and disk")
    asked.add_argument("--html", help="a file for the page of the load")
    options = asked.parse_args()
    subprocess.run(["cargo", "build", "--release"], cwd=ROOT, check=True)
    home = tempfile.mkdtemp(prefix="yizhan-soak-")
    code, report, seen, kills, starts = run(options, home)
    if options.plot:
        draw(options.plot, seen, kills, options.seconds)
    thirds = [seen[len(seen) * n // 3:len(seen) * (n + 1) // 3] for n in range(3)]
    counts = report["counts"]
    print(f"{report['verdict']}; {counts['accepted']:,} accepted, {counts['delivered']:,} delivered, {counts['logins']:,} logins")
    print(f"{len(kills)} kills; ready again after {statistics.median(starts):.2f} s in the median, {max(starts):.2f} s at most")
    for name, column in (("memory", 1), ("disk", 2)):
        print(f"{name} MB, medians of the thirds:", ", ".join(f"{statistics.median(row[column] for row in third):.0f}" for third in thirds))
    if code == 0:
        shutil.rmtree(home)
    else:
        print(f"the store and the log are left in {home}")
    return code


sys.exit(main())
