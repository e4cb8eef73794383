// The few ways in which the page touches its document. Text is only ever set as text.

/** The element with this id. */
export function byId(id) {
  return document.getElementById(id);
}

/** A new element with these properties and children; a string becomes a text node. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) {
      made[name] = value;
    } else {
      made.setAttribute(name, value);
    }
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** Sets an element's text if it differs: a write of the same text would cost layout and be announced again. */
export function say(target, text) {
  const wanted = String(text);
  if (target.textContent !== wanted) {
    target.textContent = wanted;
  }
}

/** Sets an attribute if it differs; null removes it. */
export function mark(target, name, value) {
  if (value === null || value === undefined) {
    target.removeAttribute(name);
  } else if (target.getAttribute(name) !== String(value)) {
    target.setAttribute(name, value);
  }
}

/** A button that says this and does that. */
export function button(text, test, act, className = "") {
  const made = element("button", { type: "button", className, "data-test": test }, text);
  made.addEventListener("click", act);
  return made;
}

/** Whether the page shows one pane at a time. */
export const narrow = window.matchMedia("(max-width: 799px)");

/** Whether a finger points, so that to focus a field would open a keyboard over half of the page. */
export const isTouched = () => window.matchMedia("(pointer: coarse)").matches;
