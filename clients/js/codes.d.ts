/** What an ERROR frame or the body of an HTTP answer says. */
export declare const Code: Readonly<{
  BadFrame: 400;
  Banned: 403;
  NotFound: 404;
  Conflict: 409;
  TooLarge: 413;
  TooFast: 429;
  Storage: 500;
  Busy: 503;
  InboxFull: 507;
  RefreshToken: 705;
  InvalidToken: 706;
}>;
/** Why the server closes a connection. */
export declare const Close: Readonly<{
  Protocol: 1002;
  TooBig: 1009;
  Token: 4006;
  Replaced: 4008;
  Kicked: 4013;
  Idle: 4050;
  TooSlow: 4051;
  Draining: 4052;
  Crashed: 4053;
  Limited: 4054;
}>;
export declare function mayRepeat(code: number): boolean;
export declare function staysAway(close: number): boolean;
