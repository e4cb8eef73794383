// Compiled and never run: the source has to have everything that index.d.ts promises.
import * as source from "../../src/index.js";

/** @type {new (options?: import('yizhan-client').Options) => import('yizhan-client').Client} */
export const Client = source.Client;
/** @type {() => import('yizhan-client').Store} */
export const memoryStore = source.memoryStore;
/** @type {(name: string) => Promise<import('yizhan-client').Store>} */
export const indexedDbStore = source.indexedDbStore;
/** @type {new (code: number, msg: string, retryMs?: number) => import('yizhan-client').YizhanError} */
export const YizhanError = source.YizhanError;
/** @type {typeof import('yizhan-client').Code} */
export const Code = source.Code;
/** @type {typeof import('yizhan-client').Close} */
export const Close = source.Close;
