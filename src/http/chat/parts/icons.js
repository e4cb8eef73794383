// The few pictures of the page, drawn in the colour of the text around them.

const SPACE = "http://www.w3.org/2000/svg";

const PATHS = {
  queued: ["M8 4.5V8l2.5 1.5", "M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0Z"],
  accepted: ["M3.5 8.5l3 3 6-7"],
  delivered: ["M1 8.5l3 3 6-7", "M7.6 10.9l.6.6 6-7"],
  refused: ["M8 4.5v4.2", "M8 11.2v.3", "M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0Z"],
  back: ["M10 3L5 8l5 5"],
  close: ["M4 4l8 8M12 4l-8 8"],
  send: ["M2.5 8h10M8.5 3.5L13 8l-4.5 4.5"],
  down: ["M8 3v9M4 8.5L8 12.5l4-4"],
  more: ["M3.5 8h.01M8 8h.01M12.5 8h.01"],
  group: [
    "M6.2 7.4a2.1 2.1 0 1 0 0-4.2 2.1 2.1 0 0 0 0 4.2Z",
    "M2.2 12.8c.3-2.2 1.9-3.4 4-3.4s3.7 1.2 4 3.4",
    "M10.4 3.4a2.1 2.1 0 0 1 0 3.8M11.8 9.7c1.2.5 1.9 1.6 2.1 3.1",
  ],
};
PATHS.read = PATHS.delivered;

/** The picture of that name; words beside it say what it means. */
export function icon(name) {
  const picture = document.createElementNS(SPACE, "svg");
  picture.setAttribute("viewBox", "0 0 16 16");
  picture.setAttribute("aria-hidden", "true");
  picture.classList.add("picture", name);
  for (const line of PATHS[name]) {
    const path = document.createElementNS(SPACE, "path");
    path.setAttribute("d", line);
    picture.append(path);
  }
  return picture;
}
