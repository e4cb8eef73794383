/** What an ERROR frame or the body of an HTTP answer says; the same numbers as in the server's src/code.rs. */
export const Code = Object.freeze({
  BadFrame: 400,
  Banned: 403,
  NotFound: 404,
  Conflict: 409,
  TooLarge: 413,
  TooFast: 429,
  Storage: 500,
  Busy: 503,
  InboxFull: 507,
  RefreshToken: 705,
  InvalidToken: 706,
});

/** Why the server closes a connection; the same numbers as in the server's src/code.rs. */
export const Close = Object.freeze({
  Protocol: 1002,
  TooBig: 1009,
  Token: 4006,
  Replaced: 4008,
  Kicked: 4013,
  Idle: 4050,
  TooSlow: 4051,
  Draining: 4052,
  Crashed: 4053,
  Limited: 4054,
});

/** Tells whether a refused frame may be sent again as it is, with the same id. */
export function mayRepeat(code) {
  return (
    code === Code.TooFast ||
    code === Code.Storage ||
    code === Code.Busy ||
    code === Code.InboxFull
  );
}

/** Tells whether a close code that the server chose asks the client to stay away: the range says it for unknown ones. */
export function staysAway(close) {
  return close >= 4000 && close <= 4049;
}
