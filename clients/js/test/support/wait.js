/**
 * Waits for a condition that something announces: `check` is asked again whenever the returned `poke` is called, and the
 * deadline only ends what will never come.
 */
export class Waiter {
  #checks = new Set();

  poke() {
    for (const check of [...this.#checks]) check();
  }

  until(check, what, ms = 40_000) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#checks.delete(look);
        reject(
          new Error(
            `waited ${ms} ms for ${typeof what === "function" ? what() : what}`,
          ),
        );
      }, ms);
      const look = () => {
        if (!check()) return;
        clearTimeout(timer);
        this.#checks.delete(look);
        resolve();
      };
      this.#checks.add(look);
      look();
    });
  }
}

/** The next value of an event that fits. */
export function next(client, event, fits = () => true, ms = 10_000) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      off();
      reject(new Error(`waited ${ms} ms for the event ${event}`));
    }, ms);
    const off = client.on(event, (value) => {
      if (!fits(value)) return;
      clearTimeout(timer);
      off();
      resolve(value);
    });
  });
}
