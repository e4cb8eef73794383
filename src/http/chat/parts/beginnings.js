// How a chat begins: with a user, with a new group, or in a group that is there.

import { randomName } from "./chance.js";
import { ask, field } from "./dialog.js";
import { usersIn } from "./directory.js";
import { element } from "./dom.js";
import { Mistake } from "./mistake.js";
import { t } from "./texts.js";

/** Asks for a user and opens the chat with them. */
export function newChat(session, choose) {
  const number = field({ label: t("chat.number"), name: "new-chat-number", required: true, maxLength: 64 });
  ask({
    title: t("chat.title"),
    test: "new-chat-dialog",
    fields: [number.row],
    verb: t("chat.open"),
    act: async () => {
      const [uid] = await usersIn(number.input.value);
      if (!uid) {
        throw new Mistake(t("error.nobody"));
      }
      return () => choose({ type: "C2C", to: uid });
    },
  });
}

/** Asks for a name and members, makes the group and opens it. */
export function newGroup(session, choose) {
  const name = field({ label: t("group.name"), name: "new-group-name", required: true, maxLength: 60 });
  const uids = field({ label: t("group.uids"), name: "new-group-members", hint: t("group.uidsHint") });
  const open = element("input", { type: "checkbox", "data-test": "new-group-open" });
  // Made once: to press the button again after an answer that was lost makes no second group.
  const id = randomName();
  ask({
    title: t("group.title"),
    test: "new-group-dialog",
    fields: [name.row, uids.row, element("label", { className: "check" }, open, element("span", {}, t("group.open")))],
    verb: t("group.create"),
    act: async () => {
      const members = (await usersIn(uids.input.value)).filter((uid) => uid !== session.me);
      const wanted = { id, name: name.input.value.trim(), members, join: open.checked ? "open" : "invite" };
      const group = await session.client.rest("POST", "/v1/groups", wanted);
      return enter(session, group, choose);
    },
  });
}

/** Asks for the id of a group and joins it. */
export function joinGroup(session, choose) {
  const gid = field({
    label: t("join.gid"),
    name: "join-group-id",
    required: true,
    maxLength: 64,
    pattern: "[0-9A-Za-z]+",
  });
  ask({
    title: t("join.title"),
    test: "join-group-dialog",
    fields: [gid.row],
    verb: t("join.join"),
    act: async () => {
      const path = `/v1/groups/${encodeURIComponent(gid.input.value.trim())}/join`;
      return enter(session, await session.client.rest("POST", path), choose);
    },
  });
}

/** Takes a group that this user has just come into, and returns what shows it; its messages follow. */
function enter(session, group, choose) {
  const chat = { type: "C2G", to: group.gid };
  session.learn(group);
  return () => choose(chat);
}
