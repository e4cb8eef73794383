// What a message says, in one line or in full.

import { nameOf } from "./directory.js";
import { name, span } from "./format.js";
import { has, t } from "./texts.js";

const LONGEST = 20_000;
const LINE = 200;

/** The text of a payload: `{"text":…}`, a string, or whatever else it is as JSON. */
export function textOf(payload) {
  const text = payload?.text ?? payload;
  const said = typeof text === "string" ? text : (JSON.stringify(payload) ?? "");
  return said.length > LONGEST ? `${said.slice(0, LONGEST)}…` : said;
}

/** Whether this is a notice of what was done, said by nobody. */
export function isNotice(message) {
  return message.type === "S2C";
}

/** What a message says in a line of the list. */
export function lineOf(message, me) {
  if (message.revokedAt) {
    return t(message.from === me ? "message.youRevoked" : "message.revoked");
  }
  return isNotice(message) ? noticeOf(message, me) : textOf(message.payload).slice(0, LINE);
}

/** What a notice tells. */
export function noticeOf(message, me) {
  const payload = message.payload ?? {};
  const kind = `notice.${payload.msg_type}`;
  if (!has(kind)) {
    return t("notice.other");
  }
  const person = (uid) => (uid === me ? t("you") : uid ? nameOf(uid) : t("server"));
  const uids = Array.isArray(payload.uids) ? payload.uids : [];
  const others = uids.filter((uid) => uid !== message.from);
  const ms = payload.expire_ms;
  return t(kind, person(message.from), {
    name: payload.name ? name(payload.name) : "",
    names: (others.length > 0 ? others : uids).map(person).join(", "),
    alone: others.length === 0 || !message.from,
    user: payload.uid ? person(payload.uid) : "",
    isMe: payload.uid === me,
    role: has(`role.${payload.role}`) ? t(`role.${payload.role}`) : "",
    lifted: payload.until === 0,
    span: ms ? span(ms) : "",
    join: payload.join,
  });
}
