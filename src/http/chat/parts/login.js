// Who one is: one of a few users, or any other by number.

import { remember } from "./directory.js";
import { byId, element, say } from "./dom.js";
import { t } from "./texts.js";
import { devToken } from "./token.js";

/** How many users are offered by name. */
export const OFFERED = 8;

/** Shows the users to choose from; `choose` gets the number. */
export function showLogin(choose, problem = "") {
  byId("login").hidden = false;
  say(byId("login-error"), problem);
  const rows = Array.from({ length: OFFERED }, (_, index) => row(index + 1, choose));
  byId("login-users").replaceChildren(...rows.map(({ line }) => line));
  byId("login-form").onsubmit = (event) => {
    event.preventDefault();
    choose(Number(byId("login-number").value));
  };
  identify(rows);
  rows[0].line.firstChild.focus();
}

export function hideLogin() {
  byId("login").hidden = true;
}

export function complain(text) {
  say(byId("login-error"), text);
}

function row(number, choose) {
  const uid = element("code");
  const pick = element(
    "button",
    { type: "button", "data-test": `login-user-${number}` },
    element("span", {}, t("user", number)),
    uid,
  );
  pick.addEventListener("click", () => choose(number));
  return { number, uid, line: element("li", {}, pick) };
}

/** Shows what each of them is called by everybody else. */
async function identify(rows) {
  for (const { number, uid: place } of rows) {
    try {
      const { uid } = await devToken(number);
      remember(uid, number);
      say(place, uid);
    } catch {
      return;
    }
  }
}
