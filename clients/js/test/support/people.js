import { Client } from "../../src/index.js";
import { next } from "./wait.js";

let number = 500_000;

/** Users of a real server whom nobody has met before, and their clients; `leave` closes all of them. */
export function people(server) {
  const clients = [];
  return {
    /** A user: `client(options)` makes another device of theirs. */
    person() {
      number += 1;
      const uid = number;
      return {
        async client(options = {}) {
          const client = new Client({
            url: server.url,
            token: () => server.freshToken(uid),
            backoff: { minMs: 10, maxMs: 200 },
            resendMs: 1_000,
            ...options,
          });
          clients.push(client);
          client.got = [];
          client.states = [];
          client.errors = [];
          client.on("message", (message) => void client.got.push(message));
          client.on(
            "sent",
            ({ id, state }) => void client.states.push([id, state]),
          );
          client.on("error", (error) => void client.errors.push(error));
          if (options.offline) return client;
          await client.connect();
          if (client.connection !== "online")
            await next(client, "connection", (state) => state === "online");
          return client;
        },
      };
    },
    leave: () => Promise.all(clients.splice(0).map((client) => client.close())),
  };
}
