// The address keeps who is logged in and which chat is open, so that a reload changes neither and two tabs are two users.

import { chatOf, keyOf } from "./chats.js";

/**
 * What the address says now: `#user=1&chat=C2C/kybqdp`; `device` makes this tab a device of that name, `lang` chooses a
 * language.
 */
export function route() {
  const said = new URLSearchParams(location.hash.slice(1));
  const user = /^[0-9]{1,15}$/.test(said.get("user") ?? "") ? Number(said.get("user")) : null;
  return { user, chat: chatOf(said.get("chat")), device: said.get("device"), lang: said.get("lang") };
}

/** Makes the address say this; `isStep` makes it a step that the browser's back button takes back. */
export function go(changes, isStep) {
  const { user, chat, device, lang } = { ...route(), ...changes };
  const parts = [
    user === null ? null : `user=${user}`,
    device && `device=${encodeURIComponent(device)}`,
    lang && `lang=${encodeURIComponent(lang)}`,
    chat && `chat=${keyOf(chat)}`,
  ];
  const address = `#${parts.filter(Boolean).join("&")}`;
  if (address === location.hash) {
    return;
  }
  if (isStep) {
    history.pushState({ isStep: true }, "", address);
  } else {
    history.replaceState(history.state, "", address);
  }
}

/** Takes back the step to the open chat, or else just leaves the chat. */
export function leaveChat() {
  if (history.state?.isStep) {
    history.back();
  } else {
    go({ chat: null });
  }
}
