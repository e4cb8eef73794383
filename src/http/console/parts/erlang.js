// The little of the language that the page itself writes or reads.

const PID = /^<0\.(\d+)\.(\d+)>$/;

/** Pids within a text, for links. */
export const PIDS = /<0\.\d+\.\d+>/g;

/** A text as a binary literal: nothing in it can end the literal. */
export function binary(text) {
  const inner = text
    .replace(/["\\]/g, "\\$&")
    .replace(/[\u0000-\u001f\u007f-\u009f]/g, (control) => `\\x{${control.charCodeAt(0).toString(16)}}`);
  return /^[\x20-\x7e]*$/.test(text) ? `<<"${inner}">>` : `<<"${inner}"/utf8>>`;
}

/** `process_info` of a pid as the server prints it; null for anything else. */
export function processInfo(pid) {
  const parts = PID.exec(pid);
  return parts ? `process_info(pid(0,${parts[1]},${parts[2]})).` : null;
}

/** The number by which pids are ordered. */
export function pidNumber(pid) {
  const parts = PID.exec(pid);
  return parts ? Number(parts[1]) : 0;
}

/** Whether a text ends with a whole sentence: a dot outside strings, quoted atoms, characters and comments. */
export function isComplete(text) {
  const token = /%.*|"(?:\\[^]|[^"\\])*("?)|'(?:\\[^]|[^'\\])*('?)|\$(?:\\[^]|[^])|\.(?=\s|$|%)|\S|\s+/gy;
  let ended = false;
  for (const [piece, closed = true, closedAtom = true] of text.matchAll(token)) {
    const quoted = (piece[0] === '"' && !closed) || (piece[0] === "'" && !closedAtom);
    if (quoted) {
      return false;
    }
    if (piece[0] !== "%" && piece.trim() !== "") {
      ended = piece === ".";
    }
  }
  return ended;
}
