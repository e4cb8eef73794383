// Asking the server from the page.

import { address, curl } from "./curl.js";
import { byId, element } from "./dom.js";
import { example, resolve } from "./schema.js";

/** A form that asks what an operation asks, and shows the answer. */
export function trial(operation, document) {
  const inputs = new Map();
  const fields = element("div", { className: "inputs" });
  for (const parameter of operation.parameters || []) {
    const input = field(operation, parameter, document);
    inputs.set(parameter.name, input);
    fields.append(element("label", { htmlFor: input.id }, parameter.name), input);
  }
  const body = bodyOf(operation, document);
  const line = element("pre", { role: "group", tabIndex: 0, ariaLabel: "The same with curl" });
  const answer = element("div", { ariaLive: "polite" });
  const values = () => Object.fromEntries([...inputs].map(([name, input]) => [name, input.value]));
  const show = () => (line.textContent = curl(operation, values(), body && body.value));
  const form = element(
    "form",
    { className: "try", autocomplete: "off" },
    inputs.size ? fields : null,
    body,
    line,
    element("div", {}, element("button", {}, "Try it")),
    answer,
  );
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask(operation, values(), body && body.value, answer);
  });
  show();
  return form;
}

function field(operation, parameter, document) {
  const schema = resolve(parameter.schema, document);
  const id = `${operation.operationId}-${parameter.name}`;
  if (!schema.enum) {
    const shown = parameter.required ? example(schema.items || schema, document) : undefined;
    return element("input", { id, value: shown === undefined ? "" : String(shown), spellcheck: false, autocapitalize: "none" });
  }
  const none = parameter.required ? [] : [element("option", { value: "" }, "")];
  const options = schema.enum.map((value) => element("option", { value }, value));
  return element("select", { id }, ...none, ...options);
}

function bodyOf(operation, document) {
  const content = operation.requestBody && operation.requestBody.content["application/json"];
  if (!content) {
    return null;
  }
  const text = JSON.stringify(example(content.schema, document) || {}, null, 2);
  return element("textarea", { value: text, rows: text.split("\n").length + 1, spellcheck: false, ariaLabel: "Body" });
}

async function ask(operation, values, body, answer) {
  answer.replaceChildren(element("p", { className: "note" }, "Asking…"));
  const headers = {};
  const token = byId("token").value.trim();
  if (token) {
    headers.authorization = `Bearer ${token}`;
  }
  if (body) {
    headers["content-type"] = "application/json";
  }
  try {
    const request = { method: operation.method.toUpperCase(), headers, body: body || undefined, cache: "no-store", credentials: "omit" };
    const response = await fetch(address(operation, values), request);
    const status = element("span", { className: "status" }, String(response.status));
    if (!response.ok) {
      status.dataset.refused = "";
    }
    const text = pretty(await response.text());
    answer.replaceChildren(element("p", {}, status, response.statusText), element("pre", { role: "group", tabIndex: 0, ariaLabel: "Answer" }, text));
  } catch (error) {
    answer.replaceChildren(element("p", { role: "alert" }, `The server did not answer: ${error.message}`));
  }
}

/** JSON with line breaks; numbers that JavaScript would round stay as they came. */
function pretty(text) {
  try {
    const value = JSON.parse(text);
    const again = JSON.stringify(value);
    return again === text ? JSON.stringify(value, null, 2) : text;
  } catch {
    return text;
  }
}
