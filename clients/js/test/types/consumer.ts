// Compiled and never run: what an application writes has to agree with index.d.ts.
import {
  Client,
  Close,
  Code,
  YizhanError,
  indexedDbStore,
  memoryStore,
} from "yizhan-client";
import type {
  Chat,
  Connection,
  Conversation,
  Message,
  Options,
  Store,
} from "yizhan-client";
import { Code as Again, mayRepeat } from "yizhan-client/codes";

const store: Store = memoryStore();
const options: Options = {
  url: "http://127.0.0.1:9800",
  token: async () => "x",
  store,
  backoff: { minMs: 1 },
  inboxTtlMs: 604_800_000,
  outboxMax: 10,
  clock: { now: Date.now, setTimeout, clearTimeout },
};
const client = new Client(options);
const bob: Chat = { type: "C2C", to: "bob" };
const off: () => void = client.on("message", async (message: Message) => {
  const id: string = message.id;
});
client.on("connection", (state: Connection) => state === "online");
client.on("error", (error) => {
  if (error instanceof YizhanError && error.code === Code.TooFast)
    error.retryMs?.toFixed();
});
async function main() {
  await client.connect();
  const sent = await client.send(bob, { text: "hi" }, { expiresAt: 5 });
  if (sent.state === "queued") await client.revoke(bob, sent.id);
  const { messages, next, more } = await client.history(bob, { before: 3 });
  const list: Conversation[] = (await client.conversations()).conversations;
  const state: "online" | "offline" | "unknown" = (
    await client.presence(["bob"])
  )[0].state;
  const known: number | undefined = (await client.status(bob, ["m1"]))[0].count;
  client.read(bob, 3);
  client.typing(bob);
  await client.signal("bob", "WEBRTC_OFFER", 1);
  const group: any = await client.rest("POST", "/v1/groups", {});
  const idb: Store = await indexedDbStore("x");
  const replaced: 4008 = Close.Replaced;
  const b: boolean = mayRepeat(Again.Busy);
  await client.close();
  off();
}
// @ts-expect-error a chat needs its type
client.send({ to: "bob" }, 1);
// @ts-expect-error no such event
client.on("mesage", () => {});
void main;
