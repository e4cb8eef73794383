/** What somebody wrote cannot be meant; the message says why, in words for people. */
export class Mistake extends Error {}
