// Which number belongs to which hashid, as far as this browser has asked. The server has no way to tell the number of a
// hashid, so a stranger is shown by that.

import { Mistake } from "./mistake.js";
import { t } from "./texts.js";
import { devToken } from "./token.js";

const PLACE = "yizhan.directory";

let numbers = kept();

// Another tab may meet others meanwhile.
addEventListener("storage", ({ key }) => {
  if (key === PLACE) {
    numbers = kept();
  }
});

function kept() {
  try {
    return new Map(JSON.parse(localStorage.getItem(PLACE)) ?? []);
  } catch {
    return new Map();
  }
}

/** Remembers that this hashid is that number's. */
export function remember(uid, number) {
  if (numbers.get(uid) === number) {
    return;
  }
  // Another server at the same address may name its users otherwise.
  numbers = new Map([...numbers].filter(([, known]) => known !== number));
  numbers.set(uid, number);
  try {
    localStorage.setItem(PLACE, JSON.stringify([...numbers]));
  } catch {
    // Without storage it is known until the tab closes.
  }
}

/** The hashid of the user with this number. */
async function uidOf(number) {
  try {
    const { uid } = await devToken(number);
    remember(uid, number);
    return uid;
  } catch (error) {
    const known = [...numbers].find(([, other]) => other === number);
    if (known) {
      return known[0];
    }
    throw error;
  }
}

/** Learns the names of the users whose numbers are up to this one, if nobody has yet; calls back for each. */
export async function learnUpTo(highest, learned) {
  const known = new Set(numbers.values());
  for (let number = 1; number <= highest; number += 1) {
    if (!known.has(number)) {
      const { uid } = await devToken(number);
      remember(uid, number);
      learned();
    }
  }
}

/** What a user is called on this page. */
export function nameOf(uid) {
  const number = numbers.get(uid);
  return number === undefined ? uid : t("user", number);
}

/** Whether this user is called by more than the hashid. */
export function isNamed(uid) {
  return numbers.has(uid);
}

/** The users that a line of numbers or hashids names, such as `2, 3 8`; throws a Mistake that says which cannot be read. */
export async function usersIn(line) {
  const words = line.split(/[\s,;，、]+/).filter(Boolean);
  const users = [];
  for (const word of words) {
    if (/^[0-9]{1,15}$/.test(word)) {
      users.push(await uidOf(Number(word)));
    } else if (/^[0-9A-Za-z]{4,64}$/.test(word)) {
      users.push(word);
    } else {
      throw new Mistake(t("error.name", word));
    }
  }
  return [...new Set(users)];
}
