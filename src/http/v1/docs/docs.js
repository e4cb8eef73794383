// The page: what the document of this listener says, by subject. It holds nothing of the server; what is tried on it is
// asked with the token that was typed, which is kept nowhere else.

import { byId, element, prose } from "./dom.js";
import { operation } from "./operation.js";

start();

async function start() {
  try {
    const response = await fetch("/v1/openapi.json", { cache: "no-cache", credentials: "omit" });
    show(await response.json());
  } catch (error) {
    byId("trouble").textContent = `The description could not be read: ${error.message}`;
  }
}

function show(document) {
  byId("version").textContent = `API ${document.info.version}`;
  const about = document.info.description.split("\n\n");
  byId("about").append(...about.map((text) => element("p", {}, ...prose(text))));
  const all = operations(document);
  for (const tag of document.tags) {
    const here = all.filter((asked) => asked.tags.includes(tag.name));
    byId("contents").append(contents(tag, here));
    const made = here.map((asked) => operation(asked, document));
    const section = element("section", { className: "tag" }, element("h2", {}, tag.name), element("p", {}, tag.description), ...made);
    byId("operations").append(section);
  }
  byId("token-form").addEventListener("submit", (event) => event.preventDefault());
  byId("filter").addEventListener("input", () => filter(all));
  addEventListener("hashchange", open);
  open();
}

/** Every operation with its method and path. */
function operations(document) {
  const all = [];
  for (const [path, item] of Object.entries(document.paths)) {
    for (const [method, asked] of Object.entries(item)) {
      all.push({ ...asked, method, path });
    }
  }
  return all;
}

function contents(tag, here) {
  const links = here.map((asked) => element("li", {}, element("a", { href: `#${asked.operationId}`, title: `${asked.method.toUpperCase()} ${asked.path}` }, asked.summary.replace(/\.$/, ""))));
  return element("section", {}, element("h2", {}, tag.name), element("ul", {}, ...links));
}

/** Shows what the words are found in. */
function filter(all) {
  const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  let found = 0;
  for (const asked of all) {
    const text = `${asked.method} ${asked.path} ${asked.summary} ${asked.operationId}`.toLowerCase();
    const fits = words.every((word) => text.includes(word));
    byId(asked.operationId).hidden = !fits;
    found += fits ? 1 : 0;
  }
  for (const section of document.querySelectorAll(".tag")) {
    section.hidden = !section.querySelector(".operation:not([hidden])");
  }
  byId("found").textContent = words.length ? `${found} found` : "";
}

/** Opens what the address names. */
function open() {
  const named = byId(decodeURIComponent(location.hash.slice(1)));
  if (named && named.matches(".operation")) {
    named.open = true;
    named.scrollIntoView();
  }
}
