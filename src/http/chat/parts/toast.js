// A word about something that just happened, gone after a while.

import { byId, element } from "./dom.js";
import { t } from "./texts.js";
import { NoToken } from "./token.js";

const SHOWN_MS = 5000;

/** Shows this text; errors stay in a colour of their own. */
export function toast(text, isError = false) {
  const note = element("p", { className: isError ? "toast error" : "toast", "data-test": "toast" }, text);
  const host = byId("toasts");
  // A modal dialog would cover it.
  const dialog = [...document.querySelectorAll("dialog[open]")].at(-1);
  (dialog ?? document.body).append(host);
  host.append(note);
  setTimeout(() => note.remove(), SHOWN_MS);
}

/** Says why something did not work. */
export function explain(error) {
  toast(wordsOf(error), true);
}

/** An error in words for people. */
export function wordsOf(error) {
  if (error?.code === 0 || (error instanceof NoToken && !error.message)) {
    return t("error.offline");
  }
  return t("error.failed", (error?.message || String(error?.code ?? error)).replace(/\.$/, ""));
}
