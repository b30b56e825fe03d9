/** What each answer must hold: something else that answers at the base URL is not taken for this server. */

import { RLError } from "./errors.js";
import type { AnswerOf, RouteName } from "./http.js";

type Check = (value: unknown) => boolean;

const text: Check = (value) => typeof value === "string";
const number: Check = (value) => typeof value === "number";
const flag: Check = (value) => typeof value === "boolean";
const list: Check = (value) => Array.isArray(value);
const record: Check = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const either =
  (...checks: Check[]): Check =>
  (value) =>
    checks.some((check) => check(value));
const none: Check = (value) => value === null;
const absent: Check = (value) => value === null || value === undefined;
const texts: Check = (value) => Array.isArray(value) && value.every(text);

const FIELDS: { [Name in RouteName]: { [Key in keyof AnswerOf<Name>]?: Check } } = {
  "/health": { status: text, policy_version: text, action_names: texts },
  "/stats": { policy_version: text, decisions: number, experiences: number },
  "/select_action": { action: either(number, list), decision_id: either(text, texts, none), policy_version: text },
  "/get_distribution": { probabilities: either(list, absent), policy_version: text },
  "/store_experience": { decision_id: text, stored: (value) => value === true },
  "/update": { updated: flag, policy_version: text, transitions: number, needed: number, losses: record },
  "/save": { name: text, policy_version: text },
  "/load": { name: text, policy_version: text },
  "/mutate": { prompt: text, changed: flag, applied: list },
  "/score": { reward: number },
};

/**
 * An answer of a route.
 *
 * @throws RLError `invalid_answer`: a field is missing or is of another type.
 */
export function checkedAnswer<Name extends RouteName>(route: Name, answer: object, url: string): AnswerOf<Name> {
  for (const [key, check] of Object.entries<Check | undefined>(FIELDS[route])) {
    if (check?.((answer as Record<string, unknown>)[key]) === false) throw invalidAnswer(url, key);
  }
  return answer as AnswerOf<Name>;
}

/** The error of an answer whose field is not what the server writes. */
export function invalidAnswer(url: string, key: string): RLError {
  const message = `${url} answers without a ${key} of this call: check that baseUrl is that of rl-eval serve`;
  return new RLError("invalid_answer", message);
}
