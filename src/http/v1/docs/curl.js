// A request as an address, and as a line for a terminal.

/** The address of an operation with these values; what is empty is left out of the query. */
export function address(operation, values) {
  let path = operation.path;
  const query = [];
  for (const parameter of operation.parameters || []) {
    const value = values[parameter.name] || "";
    if (parameter.in === "path") {
      path = path.replace(`{${parameter.name}}`, encodeURIComponent(value));
    } else if (value) {
      query.push(`${parameter.name}=${encodeURIComponent(value).replaceAll("%2C", ",")}`);
    }
  }
  return query.length ? `${path}?${query.join("&")}` : path;
}

/** The same with curl; the token is a variable, so that it does not end up in a history. */
export function curl(operation, values, body) {
  const words = ["curl"];
  if (operation.method !== "get") {
    words.push("-X", operation.method.toUpperCase());
  }
  if (operation.security && operation.security.length) {
    words.push("-H", '"authorization: Bearer $TOKEN"');
  }
  if (body) {
    words.push("-H", "'content-type: application/json'", "-d", quoted(body));
  }
  words.push(quoted(location.origin + address(operation, values)));
  return words.join(" ");
}

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
