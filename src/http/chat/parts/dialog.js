// A question or a list over the page: one at a time, closed by Escape, and gone when closed.

import { button, element, say } from "./dom.js";
import { icon } from "./icons.js";
import { Mistake } from "./mistake.js";
import { t } from "./texts.js";
import { wordsOf } from "./toast.js";

let names = 0;

/** Opens a dialog with this in it; the answer closes it. `className` `sheet` is one beside the page. */
export function openDialog({ title, test, className = "", body }) {
  names += 1;
  const heading = element("h2", { id: `dialog-${names}`, tabIndex: -1 }, title);
  const shut = button("", "dialog-close", () => dialog.close(), "quiet icon");
  shut.setAttribute("aria-label", t("dialog.close"));
  shut.append(icon("close"));
  const dialog = element(
    "dialog",
    { className, "aria-labelledby": heading.id, "data-test": test },
    element("header", {}, heading, shut),
    ...body,
  );
  dialog.addEventListener("close", () => {
    const toasts = dialog.querySelector("#toasts");
    if (toasts) {
      document.body.append(toasts);
    }
    dialog.remove();
  });
  // The dialog itself is hit only beside its content.
  dialog.addEventListener("mousedown", ({ target }) => target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** A labelled field of a form. */
export function field({ label, name, hint = "", ...properties }) {
  const input = element("input", { name, autocomplete: "off", "data-test": name, placeholder: hint, ...properties });
  return { row: element("label", { className: "field" }, element("span", {}, label), input), input };
}

/** Asks with a form; `act` does it, and may return what comes after the form is gone; what it throws is said in the form. */
export function ask({ title, test, fields, verb, act }) {
  const problem = element("p", { className: "problem", role: "alert", "data-test": `${test}-error` });
  const go = element("button", { className: "primary", "data-test": `${test}-submit` }, verb);
  let dialog;
  const form = element(
    "form",
    {},
    ...fields,
    problem,
    element(
      "div",
      { className: "buttons" },
      button(t("dialog.cancel"), `${test}-cancel`, () => dialog.close()),
      go,
    ),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (form.dataset.busy) {
      return;
    }
    form.dataset.busy = "1";
    say(problem, "");
    try {
      const after = await act();
      // Closing gives the focus back to where it was.
      dialog.close();
      after?.();
    } catch (error) {
      say(problem, error instanceof Mistake ? error.message : wordsOf(error));
    } finally {
      delete form.dataset.busy;
    }
  });
  dialog = openDialog({ title, test, body: [form] });
  form.querySelector("input").focus();
  return dialog;
}
