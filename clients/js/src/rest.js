import { addressOf } from "./address.js";
import { Code } from "./codes.js";
import { YizhanError, asError } from "./error.js";

/** Calls the REST API with the token of `tokens`; one that is refused is exchanged once. */
export async function callRest({ fetch, base, tokens }, method, path, body) {
  for (let first = true; ; first = false) {
    const token = await tokens.current();
    try {
      return await call({ fetch, base, token }, method, path, body);
    } catch (error) {
      const worn =
        error.code === Code.RefreshToken || error.code === Code.InvalidToken;
      if (!worn || !first || !tokens.canRenew) throw error;
      tokens.wornOut();
    }
  }
}

/** Exchanges a refresh token for an access token. */
export async function refreshAccess({ fetch, base }, refreshToken) {
  const { token } = await call(
    { fetch, base, token: refreshToken },
    "POST",
    "/v1/token/refresh",
  );
  return token;
}

async function call({ fetch, base, token }, method, path, body) {
  let answer;
  let status;
  try {
    const response = await fetch(addressOf(base, path), {
      method,
      headers: {
        authorization: `Bearer ${token.replace(/^Bearer /i, "")}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    status = response.status;
    answer = parse(await response.text());
  } catch (error) {
    throw new YizhanError(0, `no answer: ${asError(error).message}`);
  }
  if (answer?.code === 0) return answer.payload;
  if (typeof answer?.code === "number")
    throw new YizhanError(
      answer.code,
      answer.msg ?? `HTTP ${status}`,
      answer.payload?.retry_ms,
    );
  // What stands before the server may answer too, and its success is not the server's.
  throw status >= 200 && status < 300
    ? new YizhanError(0, `HTTP ${status}, but no answer of the REST API`)
    : new YizhanError(status, `HTTP ${status}`);
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
