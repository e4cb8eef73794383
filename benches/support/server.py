"""Servers for the measurements: each on a directory of its own, ended when it is left."""

import json
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SEED = str(ROOT / "config" / "seed.toml")
YIZHAN = str(ROOT / "target" / "release" / "yizhan")


class Server:
    """A server on a directory of its own, ended when it is left."""

    def __init__(self, command, ready, settings=()):
        self.home = tempfile.mkdtemp(prefix="yizhan-bench-")
        sets = ["listen.public=127.0.0.1:0", f"store.path={self.home}/data", *settings]
        command = [*command(self.home), "--config", SEED, *(a for s in sets for a in ("--set", s))]
        self.begun = time.monotonic()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        line = self.process.stdout.readline()
        if not line.startswith(ready):
            sys.exit(f"{command[0]} did not start: {line!r}")
        self.took = time.monotonic() - self.begun
        self.public = re.search(r"public=(\S+)", line).group(1)
        admin = re.search(r"admin=(\S+)", line)
        self.admin = admin and admin.group(1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def load(self, *args):
        """Runs a load to its end, and returns its report."""
        command = [YIZHAN, "load", *map(str, args), "--server", f"ws://{self.public}", "--config", SEED, "--json",
                   "--quiet", "--server-pid", str(self.process.pid)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}\n{done.stderr[-2000:]}{done.stdout[-4000:]}")
        return json.loads(done.stdout)


def product(*settings):
    command = lambda home: [YIZHAN, "serve", "--set", "listen.admin=127.0.0.1:0"]
    return Server(command, "yizhan ready", settings)
