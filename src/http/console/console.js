// The console: asks for a token, then shows the shell and beside it what the node is doing.

import { forgetToken, keepToken, observe, Refused, token } from "./console/api.js";
import { Bar } from "./console/bar.js";
import { Deliveries } from "./console/deliveries.js";
import { Details } from "./console/details.js";
import { Devices } from "./console/devices.js";
import { byId, mark, say } from "./console/dom.js";
import { Functions } from "./console/functions.js";
import { Inboxes } from "./console/inboxes.js";
import { Poll } from "./console/poll.js";
import { Processes } from "./console/processes.js";
import { Rates } from "./console/rates.js";
import { Shell } from "./console/shell.js";

const NOTICE = "yizhan.notice";

function begin() {
  if (token()) {
    open();
    return;
  }
  byId("login").hidden = false;
  say(byId("login-error"), sessionStorage.getItem(NOTICE) ?? "");
  sessionStorage.removeItem(NOTICE);
  byId("login-form").addEventListener("submit", logIn);
  byId("token").focus();
}

async function logIn(event) {
  event.preventDefault();
  const offered = byId("token").value.trim();
  say(byId("login-error"), "");
  mark(byId("open"), "aria-busy", "true");
  try {
    await observe(offered);
  } catch (error) {
    const said =
      error instanceof Refused
        ? `This token is refused: ${error.message}.`
        : ["The server does not answer", error.message].filter(Boolean).join(": ");
    say(byId("login-error"), said);
    byId("token").select();
    return;
  } finally {
    mark(byId("open"), "aria-busy", null);
  }
  byId("token").value = "";
  keepToken(offered);
  byId("login").hidden = true;
  open();
}

function open() {
  const app = byId("app");
  app.hidden = false;
  let readOnly = null;
  const why = () => readOnly;
  const bar = new Bar();
  const details = new Details();
  const shell = new Shell({ refused: () => leave("This token is refused.") });
  new Functions((text) => shell.insert(text));
  const parts = [
    bar,
    new Rates(),
    new Deliveries(details),
    new Devices(details, why),
    new Inboxes(details, why),
    new Processes(details),
  ];
  new Poll({
    seen: (snapshot) => {
      readOnly = snapshot.node.read_only ? "This token may only read" : null;
      for (const part of parts) {
        part.show(snapshot);
      }
    },
    silent: (since, said) => bar.silent(since, said),
    paused: () => bar.paused(),
    refused: (error) => leave(`This token is refused: ${error.message}.`),
  });
  byId("forget").addEventListener("click", () => leave(""));
  for (const button of document.querySelectorAll("#views button")) {
    button.addEventListener("click", () => view(app, button));
  }
  byId("line").focus();
}

function view(app, chosen) {
  mark(app, "data-view", chosen.dataset.to);
  for (const button of chosen.parentElement.children) {
    mark(button, "aria-current", button === chosen ? "true" : null);
  }
}

/** Forgets the token and everything that was shown with it. */
function leave(notice) {
  forgetToken();
  sessionStorage.clear();
  if (notice) {
    sessionStorage.setItem(NOTICE, notice);
  }
  location.reload();
}

begin();
