// What can be done with a message: by its button, by a long press, or by a key on it.

import { byId, element } from "./dom.js";
import { t } from "./texts.js";
import { isNotice, textOf } from "./words.js";
import { messageOf } from "./thread.js";
import { showReceipts } from "./receipts.js";
import { toast } from "./toast.js";

export class Menu {
  host = byId("menu");
  log = byId("log");

  constructor(session, composer, scroller) {
    Object.assign(this, { session, composer, scroller });
    this.host.setAttribute("aria-label", t("message.menu"));
    this.log.addEventListener("click", ({ target }) => {
      const opener = target.closest(".more");
      if (opener) {
        this.open(opener.closest("[data-id]"), opener.getBoundingClientRect());
      }
    });
    this.log.addEventListener("contextmenu", (event) => {
      const row = event.target.closest('[data-test="message"]');
      if (row && getSelection().isCollapsed && this.actions(messageOf(session, row)).length > 0) {
        event.preventDefault();
        this.open(
          row,
          this.log.contains(event.target) && event.clientX
            ? new DOMRect(event.clientX, event.clientY)
            : row.getBoundingClientRect(),
        );
      }
    });
    this.log.addEventListener("keydown", (event) => this.key(event));
    this.host.addEventListener("keydown", (event) => this.move(event));
    this.host.addEventListener("toggle", ({ newState }) => newState === "closed" && this.closed());
  }

  /** What is offered for this message. */
  actions(message) {
    if (!message || isNotice(message) || message.revokedAt) {
      return [];
    }
    const { session, composer } = this;
    const isMine = message.from === session.me;
    const isRefused = message.state === "refused";
    const isAccepted = !isRefused && message.state !== "queued";
    const offered = [{ name: "copy", act: () => copy(textOf(message.payload)) }];
    if (isMine && isRefused) {
      offered.push({ name: "again", act: () => session.send(session.chat, message.payload) });
    }
    if (isMine && isAccepted) {
      offered.push({ name: "edit", act: () => composer.edit(message), keepsFocus: true });
    }
    if (isMine && !isRefused) {
      offered.push({ name: "revoke", act: () => session.revoke(session.chat, message.id) });
    }
    if (isMine && isAccepted && session.conversation.isGroup) {
      offered.push({ name: "info", act: () => showReceipts(session, session.chat, message.id), keepsFocus: true });
    }
    return offered;
  }

  open(row, box) {
    const actions = this.actions(messageOf(this.session, row));
    if (actions.length === 0) {
      return;
    }
    this.row = row;
    this.host.replaceChildren(
      ...actions.map(({ name, act, keepsFocus }) => {
        const item = element(
          "button",
          { type: "button", role: "menuitem", tabIndex: -1, "data-test": `menu-${name}` },
          t(`message.${name}`),
        );
        item.addEventListener("click", () => this.act(act, keepsFocus));
        return item;
      }),
    );
    this.host.showPopover();
    const { offsetWidth: width, offsetHeight: height } = this.host;
    const left = Math.min(Math.max(8, box.right - width), innerWidth - width - 8);
    const top = box.bottom + height + 8 > innerHeight ? Math.max(8, box.top - height - 4) : box.bottom + 4;
    this.host.style.left = `${left}px`;
    this.host.style.top = `${top}px`;
    this.host.firstChild.focus();
  }

  async act(act, keepsFocus) {
    this.goesBack = !keepsFocus;
    this.host.hidePopover();
    try {
      await act();
    } catch (error) {
      this.session.failed.emit(error);
    }
  }

  closed() {
    if (
      this.goesBack !== false &&
      this.row?.isConnected &&
      (document.activeElement === document.body || this.host.contains(document.activeElement))
    ) {
      this.row.focus({ preventScroll: true });
    }
    this.goesBack = true;
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("button")) {
      return;
    }
    const row = event.target.closest("[data-id]");
    const steps = { ArrowUp: -1, ArrowDown: 1 };
    if (event.key in steps) {
      event.preventDefault();
      this.scroller.step(steps[event.key]);
    } else if (
      row &&
      (event.key === "Enter" ||
        event.key === " " ||
        event.key === "ContextMenu" ||
        (event.key === "F10" && event.shiftKey))
    ) {
      event.preventDefault();
      this.open(row, row.querySelector(".bubble")?.getBoundingClientRect() ?? row.getBoundingClientRect());
    } else if (event.key === "End") {
      event.preventDefault();
      this.scroller.newest();
    }
  }

  move(event) {
    const items = [...this.host.children];
    const at = items.indexOf(document.activeElement);
    const moves = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 };
    if (event.key in moves) {
      event.preventDefault();
      items.at(moves[event.key] % items.length).focus();
    } else if (event.key === "Tab") {
      event.preventDefault();
      this.host.hidePopover();
    }
  }
}

async function copy(text) {
  await navigator.clipboard.writeText(text);
  toast(t("message.copied"));
}
