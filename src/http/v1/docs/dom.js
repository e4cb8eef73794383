// The few ways in which the page touches its document. Text is only ever set as text.

/** The element with this id. */
export function byId(id) {
  return document.getElementById(id);
}

/** A new element with these properties and children; a string becomes a text node, and nothing is left out. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) {
      made[name] = value;
    } else {
      made.setAttribute(name, value);
    }
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

/** Text in which what stands between backticks is code. */
export function prose(text) {
  const parts = String(text || "").split("`");
  return parts.map((part, at) => (at % 2 ? element("code", {}, part) : part));
}
