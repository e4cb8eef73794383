// The question before a change.

import { byId, say } from "./dom.js";

/** Asks, showing the very line that would be evaluated; true if the operator says yes. */
export function confirmed({ title, text, expression, verb }) {
  const dialog = byId("confirm");
  say(byId("confirm-title"), title);
  say(byId("confirm-text"), text);
  say(byId("confirm-expression"), expression);
  say(byId("confirm-yes"), verb);
  return new Promise((resolve) => {
    const answer = (yes) => () => {
      dialog.close();
      resolve(yes);
    };
    byId("confirm-yes").onclick = answer(true);
    byId("confirm-no").onclick = answer(false);
    dialog.oncancel = () => resolve(false);
    dialog.showModal();
  });
}
