// How one operation is shown.

import { element, prose } from "./dom.js";
import { kind, members, resolve } from "./schema.js";
import { trial } from "./try.js";

/** An operation that opens when it is wanted; what is inside is made then. */
export function operation(asked, document) {
  const summary = element(
    "summary",
    {},
    element("span", { className: `method method-${asked.method}` }, asked.method.toUpperCase()),
    element("span", { className: "path" }, asked.path),
    element("span", { className: "note" }, asked.summary),
  );
  const details = element("details", { className: "operation", id: asked.operationId }, summary);
  details.addEventListener("toggle", () => {
    if (details.open && details.childElementCount === 1) {
      details.append(inside(asked, document));
    }
  });
  return details;
}

function inside(asked, document) {
  return element(
    "div",
    { className: "inside" },
    asked.description ? element("p", {}, ...prose(asked.description)) : null,
    element("p", { className: "note" }, ...prose(access(asked, document))),
    parameters(asked, document),
    body(asked, document),
    responses(asked, document),
    element("section", {}, element("h4", {}, "Try it"), trial(asked, document)),
  );
}

function access(asked, document) {
  const named = (asked.security || []).flatMap((one) => Object.keys(one));
  if (!named.length) {
    return "Needs no token.";
  }
  const schemes = document.components.securitySchemes;
  return "Token: " + named.map((name) => schemes[name].description.replace(/\.$/, "")).join("; or ") + ".";
}

function parameters(asked, document) {
  if (!asked.parameters || !asked.parameters.length) {
    return null;
  }
  const rows = asked.parameters.map((parameter) =>
    element(
      "tr",
      {},
      element("th", { scope: "row", className: parameter.required ? "required" : "" }, parameter.name),
      element("td", {}, `${parameter.in}: ${kind(parameter.schema, document)}`),
      element("td", {}, ...prose(parameter.description)),
    ),
  );
  const table = element("table", { className: "members" }, element("tbody", {}, ...rows));
  return element("section", {}, element("h4", {}, "Parameters"), table);
}

function body(asked, document) {
  const content = asked.requestBody && asked.requestBody.content["application/json"];
  if (!content) {
    return null;
  }
  return element("section", {}, element("h4", {}, "Body"), members(content.schema, document));
}

function responses(asked, document) {
  const section = element("section", {}, element("h4", {}, "Answers"));
  const refusals = element("ul", { className: "refusals" });
  for (const [status, response] of Object.entries(asked.responses)) {
    const told = [element("span", { className: "status" }, status), ...prose(response.description)];
    const content = response.content && response.content["application/json"];
    if (Number(status) >= 400 || !content) {
      refusals.append(element("li", {}, ...told));
      continue;
    }
    const payload = resolve(content.schema, document).properties.payload;
    const shown = members(payload, document) || element("p", { className: "note" }, "payload is empty.");
    section.append(element("details", { className: "response", open: true }, element("summary", {}, ...told), shown));
  }
  section.append(refusals);
  return section;
}
