// Who is in a group, and what the user may do about that.

import { Avatar } from "./avatar.js";
import { field, openDialog } from "./dialog.js";
import { nameOf, usersIn } from "./directory.js";
import { button, element, mark, say } from "./dom.js";
import { Mistake } from "./mistake.js";
import { t } from "./texts.js";
import { toast, wordsOf } from "./toast.js";

const PAGE = 50;
const SURE_MS = 4000;

/** Opens the panel of this group. */
export function showMembers(session, chat) {
  new Members(session, chat).load();
}

class Members {
  constructor(session, chat) {
    this.session = session;
    this.path = `/v1/groups/${encodeURIComponent(chat.to)}`;
    this.chat = chat;
    this.problem = element("p", { className: "problem", role: "alert", "data-test": "members-error" });
    this.about = element("div", { className: "about" });
    this.list = element("ul", { className: "members", "data-test": "members-list" });
    this.foot = element("div", { className: "buttons" });
    this.more = button(t("dialog.more"), "members-more", () => this.work(() => this.page()));
    this.more.hidden = true;
    this.dialog = openDialog({
      title: t("members.title"),
      test: "members-dialog",
      className: "sheet",
      body: [this.about, this.problem, this.list, this.more, this.foot],
    });
  }

  rest(method, path, body) {
    return this.session.client.rest(method, this.path + path, body);
  }

  /** Does something, and says in the panel why if it does not work. */
  async work(act) {
    say(this.problem, "");
    try {
      await act();
    } catch (error) {
      say(this.problem, error instanceof Mistake ? error.message : wordsOf(error));
    }
  }

  load() {
    return this.work(() => this.again());
  }

  async again() {
    this.group = await this.rest("GET", "");
    this.session.learn(this.group);
    this.after = "";
    this.isAnew = true;
    const focused = this.focused();
    this.drawAbout();
    await this.page();
    this.refocus(focused);
  }

  /** What has the focus, by names that outlive the elements. */
  focused() {
    const { activeElement } = document;
    return { test: activeElement?.dataset.test, uid: activeElement?.closest("li")?.dataset.uid };
  }

  refocus({ test, uid }) {
    if (this.dialog.contains(document.activeElement)) {
      return;
    }
    const place = uid ? this.list.querySelector(`[data-uid="${CSS.escape(uid)}"]`) : this.dialog;
    const again = test && place?.querySelector(`[data-test="${test}"]`);
    (again || this.dialog.querySelector("h2")).focus();
  }

  get isChief() {
    return this.group.role === "owner" || this.group.role === "admin";
  }

  async page() {
    const query = `?limit=${PAGE}${this.after ? `&after=${encodeURIComponent(this.after)}` : ""}`;
    const { members, next, more } = await this.rest("GET", `/members${query}`);
    if (this.isAnew) {
      this.list.replaceChildren();
      this.isAnew = false;
    }
    this.after = next;
    this.more.hidden = !more;
    this.list.append(...members.map((member) => this.row(member)));
  }

  drawAbout() {
    const { group } = this;
    const id = element("code", { "data-test": "group-id" }, group.gid);
    const copy = button(
      t("members.copy"),
      "group-id-copy",
      () =>
        this.work(async () => {
          await navigator.clipboard.writeText(group.gid);
          toast(t("message.copied"));
        }),
      "small",
    );
    const count = element("p", { className: "note", "data-test": "members-count" }, t("thread.members", group.members));
    const line = element("p", { className: "gid" }, element("span", { className: "note" }, t("members.gid")), id, copy);
    const parts = [count, line];
    if (!group.dissolved && this.isChief) {
      parts.push(this.renaming(), this.joining());
    }
    if (!group.dissolved) {
      parts.push(this.inviting());
    }
    this.about.replaceChildren(...parts);
    this.foot.replaceChildren(...(group.dissolved ? [] : this.leaving()));
  }

  renaming() {
    const { row, input } = field({
      label: t("members.name"),
      name: "group-name",
      value: this.group.name,
      required: true,
      maxLength: 60,
    });
    return this.form(row, t("members.rename"), "group-rename", () =>
      this.rest("PATCH", "", { name: input.value.trim() }),
    );
  }

  joining() {
    const box = element("input", { type: "checkbox", checked: this.group.join === "open", "data-test": "group-open" });
    box.addEventListener("change", () =>
      this.work(async () => {
        await this.rest("PATCH", "", { join: box.checked ? "open" : "invite" });
      }),
    );
    return element("label", { className: "check" }, box, element("span", {}, t("group.open")));
  }

  inviting() {
    const { row, input } = field({
      label: t("members.invite"),
      name: "invite-members",
      hint: t("group.uidsHint"),
      required: true,
    });
    return this.form(row, t("members.add"), "invite", async () => {
      const uids = await usersIn(input.value);
      if (uids.length === 0) {
        throw new Mistake(t("error.nobody"));
      }
      const { refused } = await this.rest("POST", "/members", { uids });
      if (refused?.length > 0) {
        toast(
          t("members.refused", refused.map(({ uid, why }) => `${nameOf(uid)}${why ? ` (${why})` : ""}`).join(", ")),
          true,
        );
      }
    });
  }

  /** A field with its button; the panel is drawn anew after it was done. */
  form(row, verb, test, act) {
    const form = element("form", { className: "line" }, row, element("button", { "data-test": test }, verb));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.work(async () => {
        await act();
        await this.again();
      });
    });
    return form;
  }

  leaving() {
    const isOwner = this.group.role === "owner";
    const parts = [];
    if (!isOwner || this.group.members === 1) {
      parts.push(this.sure(t("members.leave"), "group-leave", () => this.rest("POST", "/leave")));
    }
    if (isOwner) {
      parts.push(this.sure(t("members.dissolve"), "group-dissolve", () => this.rest("DELETE", "")));
    }
    return parts;
  }

  row({ uid, role }) {
    const isMe = uid === this.session.me;
    const name = isMe ? t("you") : nameOf(uid);
    const avatar = new Avatar({ type: "C2C", to: uid });
    avatar.show(this.session.contacts.presenceOf(uid));
    const line = element(
      "li",
      { "data-test": "member", "data-uid": uid, "data-role": role },
      avatar.element,
      element("span", { className: "title" }, name),
      element("span", { className: "role" }, role === "member" ? "" : t(`role.${role}`)),
      element("span", { className: "doings" }, ...(isMe || this.group.dissolved ? [] : this.doings(uid, role, name))),
    );
    return line;
  }

  doings(uid, role, name) {
    const mine = this.group.role;
    const place = `/members/${encodeURIComponent(uid)}`;
    const give = (wanted) => () => this.rest("PUT", `${place}/role`, { role: wanted });
    const parts = [];
    if (mine === "owner") {
      const isAdmin = role === "admin";
      const verb = isAdmin ? "demote" : "promote";
      parts.push(this.sure(t(`members.${verb}`), `member-${verb}`, give(isAdmin ? "member" : "admin"), name));
      parts.push(this.sure(t("members.handOver"), "member-hand-over", give("owner"), name));
    }
    if (mine === "owner" || (mine === "admin" && role === "member")) {
      parts.push(this.sure(t("members.remove"), "member-remove", () => this.rest("DELETE", place), name));
    }
    return parts;
  }

  /** A button that wants to be pressed twice; about a member, or about the whole group, which closes the panel. */
  sure(text, test, act, name) {
    const label = name === undefined ? null : t("message.says", text, name);
    const made = button(
      text,
      test,
      () => {
        if (made.dataset.armed) {
          this.work(async () => {
            await act();
            if (name === undefined) {
              this.dialog.close();
            } else {
              await this.again();
            }
          });
          return;
        }
        made.dataset.armed = "1";
        say(made, t("members.sure"));
        mark(made, "aria-label", null);
        setTimeout(() => {
          delete made.dataset.armed;
          say(made, text);
          mark(made, "aria-label", label);
        }, SURE_MS);
      },
      name === undefined ? "danger" : "small",
    );
    mark(made, "aria-label", label);
    return made;
  }
}
