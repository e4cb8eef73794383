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
  made.append(...children);
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
  if (value === null) {
    target.removeAttribute(name);
  } else if (target.getAttribute(name) !== String(value)) {
    target.setAttribute(name, value);
  }
}

/** A button that stays in the tab order while it cannot be used, so that its reason can be read. */
export function allow(button, reason) {
  mark(button, "aria-disabled", reason ? "true" : null);
  mark(button, "title", reason || null);
}

export function isAllowed(button) {
  return button.getAttribute("aria-disabled") !== "true";
}

/** Whether the page shows one view at a time. */
export const narrow = window.matchMedia("(max-width: 1099px)");
