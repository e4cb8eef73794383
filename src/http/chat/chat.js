// The chat page: pick a user, then chats on one side and messages on the other.

import { Client } from "../client/index.js";
import { joinGroup, newChat, newGroup } from "./parts/beginnings.js";
import { Composer } from "./parts/composer.js";
import { learnUpTo, remember } from "./parts/directory.js";
import { byId, isTouched, mark, narrow, say } from "./parts/dom.js";
import { framed } from "./parts/frame.js";
import { icon } from "./parts/icons.js";
import { LinkState } from "./parts/link.js";
import { List } from "./parts/list.js";
import { complain, hideLogin, OFFERED, showLogin } from "./parts/login.js";
import { Menu } from "./parts/menu.js";
import { Requests } from "./parts/requests.js";
import { go, leaveChat, route } from "./parts/route.js";
import { Session } from "./parts/session.js";
import { fill, t } from "./parts/texts.js";
import { Thread } from "./parts/thread.js";
import { explain } from "./parts/toast.js";
import { devToken, NoToken } from "./parts/token.js";
import { followViewport } from "./parts/viewport.js";
import { isNotice } from "./parts/words.js";

const AGAIN_MS = 2000;

fill(document);
followViewport();
begin();

function begin() {
  const { user } = route();
  if (user === null) {
    chooseUser();
  } else {
    logIn(user);
  }
}

/** Asks who one is, and keeps the answer in the address. */
function chooseUser(problem) {
  showLogin((number) => {
    go({ user: number, chat: null });
    logIn(number);
  }, problem);
}

/** Finds out who the user is, however long the server takes, and opens the page for them. */
async function logIn(number) {
  for (;;) {
    try {
      const first = await devToken(number);
      remember(first.uid, number);
      hideLogin();
      open(number, first);
      return;
    } catch (error) {
      if (!(error instanceof NoToken)) {
        throw error;
      }
      if (error.message) {
        go({ user: null, chat: null });
        chooseUser(t("login.refused", error.message));
        return;
      }
      byId("login").hidden = false;
      complain(t("login.silent"));
      await new Promise((next) => setTimeout(next, AGAIN_MS));
    }
  }
}

function open(number, first) {
  const { device } = route();
  let kept = first.token;
  const token = async () => {
    const fresh = kept ?? (await devToken(number)).token;
    kept = undefined;
    return fresh;
  };
  const database = `yizhan-${first.uid}${device ? `-${device}` : ""}`;
  const session = new Session(
    new Client({ url: new URL(".", location).href, token, database, dtype: "web", ...(device ? { did: device } : {}) }),
    first.uid,
  );
  new Page(session, number).begin();
}

class Page {
  constructor(session, number) {
    this.session = session;
    this.choose = (chat, how) => this.show(chat, how);
    say(byId("my-name"), t("user", number));
    say(byId("my-uid"), session.me);
    byId("back").append(icon("back"));
    byId("app").hidden = false;
    this.thread = new Thread(session);
    const { scroller } = this.thread;
    this.composer = new Composer(session, { sent: () => scroller.newest(), last: () => this.lastOwn() });
    this.list = new List(session, this.choose);
    this.menu = new Menu(session, this.composer, scroller);
    new LinkState(session);
    new Requests(session);
    session.failed.on(explain);
    this.listen();
  }

  listen() {
    const { session, choose } = this;
    byId("new-chat").addEventListener("click", () => newChat(session, choose));
    byId("new-group").addEventListener("click", () => newGroup(session, choose));
    byId("join-group").addEventListener("click", () => joinGroup(session, choose));
    byId("back").addEventListener("click", () => this.leave());
    byId("log-out").addEventListener("click", () => this.logOut());
    document.addEventListener("keydown", (event) => this.key(event));
    for (const event of ["popstate", "hashchange"]) {
      addEventListener(event, () => this.routed());
    }
    const retitle = framed(() => this.title());
    session.conversations.changed.on(retitle);
    session.opened.on(retitle);
    const settle = framed(() => this.settle());
    session.listed.on(settle);
    session.shelf.changed.on(settle);
  }

  async begin() {
    const { session } = this;
    const { chat } = route();
    this.title();
    await session.begin();
    this.pane(chat);
    session.open(chat);
    if (chat && !isTouched()) {
      this.composer.focus();
    }
  }

  /** Opens a chat that somebody chose. */
  show(chat) {
    go({ chat }, this.session.chat === null && narrow.matches);
    this.pane(chat);
    this.session.open(chat);
    this.list.active = `${chat.type}/${chat.to}`;
    this.list.touch();
    if (isTouched()) {
      byId("log").focus({ preventScroll: true });
    } else {
      this.composer.focus();
    }
  }

  /** Back to the list. */
  leave() {
    leaveChat();
    this.pane(null);
    this.session.open(null);
    this.list.host.focus();
  }

  routed() {
    const { user, chat, device } = route();
    if (user !== this.user || device !== this.device) {
      location.reload();
      return;
    }
    this.pane(chat);
    this.session.open(chat);
  }

  pane(chat) {
    ({ user: this.user, device: this.device } = route());
    mark(byId("app"), "data-pane", chat ? "thread" : "list");
  }

  async logOut() {
    await this.session.client.close();
    go({ user: null, chat: null, device: null });
    location.reload();
  }

  key(event) {
    if (
      event.altKey &&
      (event.key === "ArrowUp" || event.key === "ArrowDown") &&
      !document.querySelector("dialog[open]")
    ) {
      event.preventDefault();
      const chat = this.list.beside(event.key === "ArrowUp" ? -1 : 1);
      if (chat) {
        this.show(chat);
      }
    } else if (
      event.key === "Escape" &&
      !event.defaultPrevented &&
      !event.isComposing &&
      this.session.chat &&
      !document.querySelector("dialog[open], :popover-open")
    ) {
      this.leave();
    }
  }

  /** The last message that may be mended. */
  lastOwn() {
    const { timeline, me } = this.session;
    for (let index = timeline.length - 1; index >= 0; index -= 1) {
      const message = timeline.at(index);
      if (
        message.from === me &&
        !isNotice(message) &&
        !message.revokedAt &&
        message.state !== "queued" &&
        message.state !== "refused"
      ) {
        return message;
      }
    }
    return null;
  }

  title() {
    const { unread } = this.session.conversations;
    const who = byId("my-name").textContent;
    const chat = this.session.conversation ? `${this.session.conversation.title} · ` : "";
    document.title = `${unread > 0 ? `(${unread}) ` : ""}${chat}${who} · yizhan`;
  }

  /** Says, once, that the list is there and with it the open chat's newest messages. */
  settle() {
    const { session } = this;
    if (document.body.dataset.ready || !session.isListed || (session.chat && !session.shelf.isLoaded(session.chat))) {
      return;
    }
    this.list.draw();
    this.thread.scroller.draw();
    performance.mark("usable");
    document.body.dataset.ready = "1";
    const learned = () => [session.conversations, session.contacts].forEach(({ changed }) => changed.emit());
    learnUpTo(OFFERED, learned).catch(() => {});
  }
}
