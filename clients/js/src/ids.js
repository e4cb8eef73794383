const LETTERS = "0123456789abcdefghijklmnopqrstuv";

/** Makes an id of 20 letters, which is 100 random bits: for messages, devices and requests. */
export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(20));
  let id = "";
  for (const byte of bytes) id += LETTERS[byte & 31];
  return id;
}

const encoder = new TextEncoder();

/** Tells whether the server takes this as the id of a message or of a device. */
export function isId(id) {
  if (typeof id !== "string" || /[,\p{Cc}\p{Cs}]/u.test(id)) return false;
  const bytes = encoder.encode(id).length;
  return bytes >= 1 && bytes <= 64;
}
