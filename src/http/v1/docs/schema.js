// How the shapes of the document are shown.

import { element, prose } from "./dom.js";

const DEPTH_MAX = 5;

/** What a reference stands for; its own description goes before that of what it names. */
export function resolve(schema, document) {
  let found = schema || {};
  while (found.$ref) {
    const name = found.$ref.split("/").pop();
    const named = document.components.schemas[name] || {};
    const { $ref, ...own } = found;
    found = { ...named, ...own };
  }
  return found;
}

/** A value's type and bounds, in a few words. */
export function kind(schema, document) {
  const found = resolve(schema, document);
  const choices = found.oneOf || found.anyOf;
  if (choices) {
    const words = choices.map((choice) => kind(choice, document));
    return [...new Set(words)].join(" or ");
  }
  if (found.enum) {
    return found.enum.map((value) => JSON.stringify(value)).join(", ");
  }
  if (found.type === "array") {
    return ["list of " + kind(found.items, document), found.maxItems === undefined ? "" : "at most " + found.maxItems].filter(Boolean).join(", ");
  }
  const type = [found.type || "any JSON"].flat().join(" or ");
  return [type, ...bounds(found)].join(", ");
}

/** The members of an object, as a table; nothing for what has none. */
export function members(schema, document, depth = 0) {
  const found = inner(schema, document);
  if (!found || depth > DEPTH_MAX) {
    return null;
  }
  const required = new Set(found.required);
  const rows = Object.entries(found.properties).map(([name, member]) => {
    return element(
      "tr",
      {},
      element("th", { scope: "row", className: required.has(name) ? "required" : "" }, name),
      element("td", {}, kind(member, document)),
      element("td", {}, ...prose(description(member, document)), members(member, document, depth + 1)),
    );
  });
  return rows.length ? element("table", { className: "members" }, element("tbody", {}, ...rows)) : null;
}

/** An example of a value. */
export function example(schema, document) {
  const found = resolve(schema, document);
  if (found.example !== undefined) {
    return found.example;
  }
  if (found.examples && found.examples.length) {
    return found.examples[0];
  }
  const choice = (found.oneOf || found.anyOf || []).find((one) => one.type !== "null");
  if (choice) {
    return example(choice, document);
  }
  return found.enum ? found.enum[0] : found.default;
}

function description(schema, document) {
  const found = resolve(schema, document);
  const choices = (found.oneOf || []).map((choice) => resolve(choice, document).description);
  return found.description || choices.find(Boolean);
}

/** The object in a value, be it optional or one of a list. */
function inner(schema, document) {
  const found = resolve(schema, document);
  if (found.properties) {
    return found;
  }
  if (found.items) {
    return inner(found.items, document);
  }
  const choice = (found.oneOf || []).find((one) => one.type !== "null");
  return choice ? inner(choice, document) : null;
}

function bounds(schema) {
  const { minimum, maximum, minLength, maxLength } = schema;
  const said = [];
  if (minimum !== undefined && maximum !== undefined) {
    said.push(minimum === maximum ? String(minimum) : `${minimum} to ${maximum}`);
  }
  if (maxLength !== undefined) {
    said.push(`${minLength || 0} to ${maxLength} long`);
  }
  return said;
}
