// A real browser, driven over its DevTools protocol with the client's own socket.
import { spawn } from "node:child_process";
import { readFile, mkdtemp, rm } from "node:fs/promises";
import http from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { NodeSocket } from "../../src/node-socket.js";

export const CHROMIUM = process.env.YIZHAN_CHROMIUM;

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

export class Browser {
  #process;
  #profile;
  #pages;
  #socket;
  #calls = new Map();
  #next = 1;

  static async start() {
    const browser = new Browser();
    browser.#profile = await mkdtemp(path.join(tmpdir(), "yizhan-browser-"));
    browser.#pages = http.createServer(serve);
    await new Promise((resolve) =>
      browser.#pages.listen(0, "127.0.0.1", resolve),
    );
    const args = [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--remote-debugging-port=0",
      `--user-data-dir=${browser.#profile}`,
    ];
    browser.#process = spawn(CHROMIUM, args, {
      stdio: ["ignore", "ignore", "pipe"],
    });
    const url = await new Promise((resolve, reject) => {
      let said = "";
      browser.#process.stderr.on("data", (text) => {
        said += text;
        const found = /DevTools listening on (\S+)/.exec(said);
        if (found) resolve(found[1]);
      });
      browser.#process.once("exit", (code) =>
        reject(new Error(`the browser ended with ${code}: ${said}`)),
      );
    });
    browser.#socket = new NodeSocket(url);
    browser.#socket.onmessage = ({ data }) => browser.#answer(JSON.parse(data));
    await new Promise((resolve) => (browser.#socket.onopen = resolve));
    return browser;
  }

  /** A tab on a page that has the client at hand. */
  async tab() {
    const { targetId } = await this.call("Target.createTarget", {
      url: `http://127.0.0.1:${this.#pages.address().port}/`,
    });
    const { sessionId } = await this.call("Target.attachToTarget", {
      targetId,
      flatten: true,
    });
    const tab = new Tab(this, targetId, sessionId);
    await tab.ready();
    return tab;
  }

  call(method, params = {}, sessionId) {
    const id = this.#next;
    this.#next += 1;
    this.#socket.send(JSON.stringify({ id, method, params, sessionId }));
    return new Promise((resolve, reject) =>
      this.#calls.set(id, { resolve, reject }),
    );
  }

  async stop() {
    this.#socket.close();
    const gone = new Promise((resolve) => this.#process.once("exit", resolve));
    this.#process.kill("SIGKILL");
    await gone;
    this.#pages.closeAllConnections();
    this.#pages.close();
    await rm(this.#profile, { recursive: true, force: true, maxRetries: 5 });
  }

  #answer({ id, result, error }) {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    if (error) call?.reject(new Error(error.message));
    else call?.resolve(result);
  }
}

class Tab {
  #browser;
  #targetId;
  #sessionId;

  constructor(browser, targetId, sessionId) {
    this.#browser = browser;
    this.#targetId = targetId;
    this.#sessionId = sessionId;
  }

  /** Runs the body of an async function in the page and returns its result. */
  async run(body) {
    const expression = `(async () => { ${body} })()`;
    const params = { expression, awaitPromise: true, returnByValue: true };
    const { result, exceptionDetails } = await this.#browser.call(
      "Runtime.evaluate",
      params,
      this.#sessionId,
    );
    if (exceptionDetails)
      throw new Error(
        exceptionDetails.exception?.description ?? exceptionDetails.text,
      );
    return result.value;
  }

  async ready() {
    for (;;) {
      try {
        if (await this.run("return (await globalThis.loaded) === true")) return;
      } catch {
        // The page is on its way.
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async reload() {
    await this.run(
      "globalThis.loaded = new Promise(() => {}); location.reload()",
    ).catch(() => {});
    await this.ready();
  }

  async close() {
    await this.#browser.call("Target.closeTarget", {
      targetId: this.#targetId,
    });
  }
}

const PAGE = `<!doctype html><title>yizhan</title><script type="module">
import * as yizhan from '/src/index.js';
Object.assign(globalThis, yizhan);
globalThis.loaded = true;
</script>`;

async function serve(request, response) {
  const { pathname } = new URL(request.url, "http://page");
  try {
    if (pathname === "/") {
      response.writeHead(200, { "content-type": "text/html" }).end(PAGE);
    } else {
      const file = await readFile(path.join(ROOT, pathname));
      response.writeHead(200, { "content-type": "text/javascript" }).end(file);
    }
  } catch {
    response.writeHead(404).end();
  }
}
