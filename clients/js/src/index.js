export { Client } from "./client.js";
export { Close, Code } from "./codes.js";
export { YizhanError } from "./error.js";
export { indexedDbStore } from "./indexeddb.js";
export { memoryStore } from "./store.js";
