// The developer's login: a token for any user's number.

/** The server did not give a token. */
export class NoToken extends Error {}

/** A new token of the user with this number, and the hashid by which everybody else names that user. */
export async function devToken(number) {
  let response;
  let answer;
  try {
    response = await fetch("v1/dev/token", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ uid: number }),
      cache: "no-store",
      credentials: "omit",
    });
    answer = await response.json();
  } catch {
    throw new NoToken("");
  }
  if (!response.ok) {
    throw new NoToken(answer.msg ?? `status ${response.status}`);
  }
  const { token, uid } = answer.payload;
  return { token, uid: uid ?? claims(token).uid };
}

function claims(token) {
  return JSON.parse(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")));
}
