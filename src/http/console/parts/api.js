// What the page asks of the server, and where it keeps the token: in this tab only, never in an address.

const TOKEN = "yizhan.token";
const SESSION = "yizhan.session";
const PATIENCE_MS = 5000;

/** The server refused the token. */
export class Refused extends Error {}

/** The server did not answer, or not in its own words. */
export class Silent extends Error {}

export function token() {
  return sessionStorage.getItem(TOKEN);
}

export function keepToken(text) {
  sessionStorage.setItem(TOKEN, text);
}

export function forgetToken() {
  sessionStorage.removeItem(TOKEN);
}

/** The name of this tab's shell, the same after a reload so that its bindings are still there. */
export function session() {
  let name = sessionStorage.getItem(SESSION);
  if (!name) {
    const bytes = crypto.getRandomValues(new Uint8Array(6));
    name = "console-" + Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    sessionStorage.setItem(SESSION, name);
  }
  return name;
}

/** One snapshot of the node. */
export async function observe(as = token()) {
  const answer = await ask("/observe", {}, as, PATIENCE_MS);
  return answer.payload;
}

/** The functions of the shell's table. */
export async function functions() {
  const answer = await ask("/repl/table", {}, token(), PATIENCE_MS);
  return answer.payload.functions;
}

/** Evaluates a line of a click: in a session beside the shell's, so that its results do not take numbers there. */
export async function evaluate(text) {
  const headers = {
    Accept: "application/json",
    "Content-Type": "text/plain; charset=utf-8",
    "X-Session": session() + ".clicks",
  };
  return ask("/repl", { method: "POST", headers, body: text }, token(), 6 * PATIENCE_MS);
}

async function ask(path, options, as, patience) {
  const headers = { ...options.headers, Authorization: "Bearer " + as };
  const request = {
    ...options,
    headers,
    cache: "no-store",
    credentials: "omit",
    signal: AbortSignal.timeout(patience),
  };
  let response;
  let answer;
  try {
    response = await fetch(path, request);
    answer = await response.json();
  } catch (error) {
    throw new Silent(error.name === "TimeoutError" ? `no answer within ${patience / 1000} s` : "");
  }
  if (response.status === 401) {
    throw new Refused(answer.msg || "Invalid token");
  }
  if (!response.ok) {
    throw new Silent(answer.msg ?? `status ${response.status}`);
  }
  return answer;
}
