/** The address of a path of the server, which may itself be below a path, as behind a proxy. */
export function addressOf(base, path) {
  const below = new URL(base).pathname.replace(/\/+$/, "");
  return new URL(`${below}/${path.replace(/^\/+/, "")}`, base);
}
