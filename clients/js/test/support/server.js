import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";

/** The server under test; without it the tests that need one are skipped. */
export const BINARY = process.env.YIZHAN_BIN;
export const needsServer = {
  skip: BINARY ? false : "YIZHAN_BIN names no server",
};

/** A real server with a directory of its own. */
export class Server {
  url;
  #directory;
  #settings;
  #child;
  #tokens = new Map();
  #port = 0;

  static async start(settings = {}) {
    const server = new Server();
    server.#directory = await mkdtemp(path.join(tmpdir(), "yizhan-js-"));
    server.#settings = settings;
    await server.#launch();
    return server;
  }

  async #launch() {
    const settings = {
      "store.path": path.join(this.#directory, "data"),
      "store.min_free_bytes": 0,
      "listen.public": `127.0.0.1:${this.#port}`,
      "listen.admin": "127.0.0.1:0",
      // Somebody who is gone is told of while a test waits.
      "presence.linger_ms": 200,
      ...this.#settings,
    };
    const args = [
      "serve",
      "--dev",
      ...Object.entries(settings).flatMap(([key, value]) => [
        "--set",
        `${key}=${value}`,
      ]),
    ];
    this.#child = spawn(BINARY, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, RUST_LOG: "warn" },
    });
    let said = "";
    this.#child.stderr.on(
      "data",
      (text) => (said = (said + text).slice(-4_096)),
    );
    const ready = new Promise((resolve, reject) => {
      createInterface({ input: this.#child.stdout }).on("line", (line) => {
        const match = /^yizhan ready public=(\S+)/.exec(line);
        if (match) resolve(match[1]);
      });
      this.#child.once("exit", (code) =>
        reject(new Error(`the server ended with ${code}: ${said}`)),
      );
    });
    const address = await ready;
    this.#port = Number(address.split(":").at(-1));
    this.url = `http://${address}`;
  }

  /** A token for the user with this number. */
  async token(uid) {
    if (!this.#tokens.has(uid)) this.#tokens.set(uid, this.freshToken(uid));
    return this.#tokens.get(uid);
  }

  async freshToken(uid) {
    const response = await fetch(`${this.url}/v1/dev/token`, {
      method: "POST",
      body: JSON.stringify({ uid }),
    });
    return (await response.json()).payload.token;
  }

  /** Ends the process without a word, and starts another one on the same directory and port. */
  async killAndRestart() {
    await this.#end("SIGKILL");
    await this.#launch();
  }

  /** Asks the process to end, which tells its clients. */
  async end() {
    await this.#end("SIGTERM");
  }

  async restart() {
    await this.#launch();
  }

  async stop() {
    await this.#end("SIGKILL");
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #end(signal) {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null)
      return;
    const gone = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill(signal);
    await gone;
  }
}
