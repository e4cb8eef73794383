// Which rows a window over a timeline has: messages, notices, and between them days and the mark of what is unread.

import { nameOf } from "./directory.js";
import { dayKey } from "./format.js";
import { MessageRow } from "./message-row.js";
import { NoticeRow } from "./notice-row.js";
import { DayRow, UnreadRow } from "./separators.js";
import { fate } from "./ticks.js";
import { nameOfMessage } from "./timeline.js";
import { isNotice, noticeOf, textOf } from "./words.js";

/** Messages of one author this close to each other stand together. */
const TOGETHER_MS = 5 * 60_000;

/** The rows of the messages from `start` up to `end`: each with a name, how to make it, and what it shows. */
export function rowsOf(timeline, start, end, context) {
  const rows = [];
  let before = start > 0 ? timeline.at(start - 1) : null;
  // The mark stands at the first unread one, which may not be loaded.
  let hasMark = before === null ? timeline.low > context.unreadAfter + 1 : before.cseq > context.unreadAfter;
  for (let index = start; index < end; index += 1) {
    const message = timeline.at(index);
    const after = index + 1 < timeline.length ? timeline.at(index + 1) : null;
    const day = dayKey(at(message));
    // A window that begins amid a day says which one, so that a day is always in sight.
    const isNewDay = index === start || before === null || dayKey(at(before)) !== day;
    if (isNewDay) {
      rows.push({
        name: `day ${day} ${index === start ? "" : nameOfMessage(message)}`,
        make: () => new DayRow(),
        view: { at: at(message), day },
      });
    }
    const isUnread = message.cseq > context.unreadAfter && message.from !== context.me && !isNotice(message);
    if (isUnread && !hasMark) {
      rows.push({ name: "unread", make: () => new UnreadRow(), view: {} });
    }
    const isMarked = isUnread && !hasMark;
    hasMark ||= isUnread;
    rows.push({
      name: nameOfMessage(message),
      make: () => (isNotice(message) ? new NoticeRow() : new MessageRow()),
      view: isNotice(message)
        ? { name: nameOfMessage(message), id: message.id, cseq: message.cseq, text: noticeOf(message, context.me) }
        : view(message, {
            isFirst: isNewDay || isMarked || !isTogether(before, message),
            isLast: !after || !isTogether(message, after),
            context,
          }),
    });
    before = message;
  }
  return rows;
}

function view(message, { isFirst, isLast, context }) {
  const isMine = message.from === context.me;
  const state = isMine ? fate(message, context.stateOf(message), context.conversation) : "received";
  return {
    name: nameOfMessage(message),
    id: message.id,
    cseq: message.cseq,
    sender: nameOf(message.from),
    isMine,
    isFirst,
    isLast,
    isGroup: context.conversation.isGroup,
    at: at(message),
    payload: message.payload,
    text: message.revokedAt ? "" : textOf(message.payload),
    isRevoked: Boolean(message.revokedAt),
    isEdited: Boolean(message.editedAt) && !message.revokedAt,
    state,
    count: context.conversation.isGroup ? message.count : undefined,
    refusal: state === "refused" ? (message.error?.msg ?? "") : "",
  };
}

/** When a message was accepted, or made if it waits. */
function at(message) {
  return message.serverTs ?? message.createdAt ?? Date.now();
}

function isTogether(a, b) {
  return (
    a !== null &&
    !isNotice(a) &&
    !isNotice(b) &&
    a.from === b.from &&
    Math.abs(at(b) - at(a)) < TOGETHER_MS &&
    dayKey(at(a)) === dayKey(at(b))
  );
}
