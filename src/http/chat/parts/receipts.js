// Who of a group has a message, and who has read it.

import { Avatar } from "./avatar.js";
import { openDialog } from "./dialog.js";
import { nameOf } from "./directory.js";
import { button, element, say } from "./dom.js";
import { t } from "./texts.js";
import { wordsOf } from "./toast.js";

const PAGE = 100;

/** Opens the list for this message. */
export async function showReceipts(session, chat, id) {
  const problem = element("p", { className: "problem", role: "alert" });
  const list = element("ul", { className: "members", "data-test": "receipts-list" });
  let after;
  const load = async () => {
    try {
      const { members, next, more: hasMore } = await session.client.receipts(chat, id, { after, limit: PAGE });
      after = next ?? undefined;
      more.hidden = !hasMore;
      list.append(...members.map(row));
      say(problem, list.children.length === 0 ? t("info.none") : "");
    } catch (error) {
      say(problem, wordsOf(error));
    }
  };
  const more = button(t("dialog.more"), "receipts-more", load);
  more.hidden = true;
  openDialog({ title: t("info.title"), test: "receipts-dialog", className: "sheet", body: [problem, list, more] });
  await load();
}

function row({ uid, delivered, read }) {
  const state = read ? "read" : delivered ? "delivered" : "waiting";
  return element(
    "li",
    { "data-test": "receipt", "data-uid": uid, "data-state": state },
    new Avatar({ type: "C2C", to: uid }).element,
    element("span", { className: "title" }, nameOf(uid)),
    element("span", { className: `role ${state}` }, t(`info.${state}`)),
  );
}
