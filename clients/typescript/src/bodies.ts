/** What calls take and give: the server's own names, with single observations and batches kept apart. */

import { RLError } from "./errors.js";
import type { components } from "./schema.js";

type Schemas = components["schemas"];

export type Health = Schemas["HealthAnswer"];
export type Stats = Schemas["StatsAnswer"];
export type Update = Schemas["UpdateAnswer"];
export type Checkpoint = Schemas["CheckpointAnswer"];
export type StoredExperience = Schemas["StoreExperienceAnswer"];

/** A list of finite numbers; embeddings often come as typed arrays. */
export type Vector = readonly number[] | Float32Array | Float64Array;
/** A whole number of Discrete actions, a list of continuous ones. */
export type Action = number | number[];

/** What a policy of prompts knows of a prompt in addition to its text. */
export interface PromptFacts {
  /** The task that the prompt is for, by a name that the policy knows. */
  task?: string | undefined;
  /** The actions that made the prompt of the one that its episode began with. */
  applied?: readonly number[] | undefined;
}

/** A vector of the policy's own encoder. */
export interface Embedded<Vectors> {
  /** `[W]`, or rows of it. */
  embedding: Vectors;
  /** What made it. Needed, and refused if it is another one, where `health()` names an encoder. */
  encoder?: string | undefined;
}

/** What the policy decides about. */
export type State = (
  | { /** As the environment of training gives it, `[D]`. */ observation: Vector }
  | ({ /** A text that the server embeds. */ prompt: string } & PromptFacts)
  | Embedded<Vector>
  | ({ /** The text that was embedded. */ prompt: string } & PromptFacts & Embedded<Vector>)
) & { /** Which actions are legal. */ mask?: readonly boolean[] | undefined };

/** N observations at once. */
export type StateBatch = ({ /** `[N, D]` */ observation: readonly Vector[] } | Embedded<readonly Vector[]>) & { mask?: readonly (readonly boolean[])[] | undefined };

export interface SelectOptions {
  /** Take the most likely action; by default it is drawn, which learning needs. */
  greedy?: boolean | undefined;
  /** Of the draws: the same call gets the same actions of a version. A whole number from 0. */
  seed?: number | undefined;
  /** Store the decision; without it there is no `decision_id`. */
  record?: boolean | undefined;
}

type Fields<Answer, Rows, Single> = {
  [Key in keyof Answer]: Key extends "action" | "actions" | "policy_version" | "encoder"
    ? Answer[Key]
    : Exclude<Answer[Key], Rows extends true ? Single : readonly unknown[]>;
};

/** A decision about one observation. Its `decision_id` is null where it was not recorded. */
export type Decision = Fields<Omit<Schemas["SelectActionAnswer"], "action">, false, never> & { action: Action };
/** Decisions about N observations, each field a list. */
export type Decisions = Fields<Omit<Schemas["SelectActionAnswer"], "action">, true, number | string> & {
  action: number[] | number[][];
};
/** A decision among Discrete actions. */
export type Mutation = Omit<Decision, "action"> & { action: number };

type DistributionOf<Numbers> = Omit<
  Schemas["DistributionAnswer"],
  "probabilities" | "mean" | "std" | "action_values"
> & {
  probabilities: Numbers | null;
  mean?: Numbers | null;
  std?: Numbers | null;
  action_values?: Numbers | null;
};
/** Probabilities of all actions `[A]`; of continuous ones mean and standard deviation. */
export type Distribution = DistributionOf<number[]>;
/** The same of N observations, `[N, A]`. */
export type Distributions = DistributionOf<number[][]>;

type Vectors<Body> = {
  [Key in keyof Body]: Body[Key] extends infer Value
    ? Value extends number[][] | boolean[][]
      ? never
      : Value extends number[]
        ? Vector
        : Value extends boolean[]
          ? readonly boolean[]
          : Value | undefined
    : never;
};
/** What followed a decision, or a whole transition. */
export type Experience = Vectors<Schemas["StoreExperienceBody"]>;

const MAX_DEPTH = 8; // of lists in lists

/**
 * Numbers as JSON holds them.
 *
 * @throws RLError a number that is not finite, which JSON would make null, or what JSON has no form for.
 */
function listed(value: unknown, name: string, depth = 0): unknown {
  if (typeof value === "bigint" || typeof value === "function" || typeof value === "symbol") {
    throw new RLError("invalid_input", `${name} holds a ${typeof value}: give finite numbers`);
  }
  if (depth > MAX_DEPTH) throw new RLError("invalid_input", `${name} is nested too deep: give a list, or rows of lists`);
  if (typeof value === "number") {
    if (Number.isFinite(value)) return value;
    throw new RLError("invalid_input", `${name} holds ${value}: give finite numbers`);
  }
  if (ArrayBuffer.isView(value)) return Array.from(value as Float32Array, (item) => listed(item, name, depth + 1));
  return Array.isArray(value) ? value.map((item: unknown) => listed(item, name, depth + 1)) : value;
}

/**
 * A body with typed arrays as lists, every number of it finite.
 *
 * @throws RLError it is not an object, or holds something that cannot be sent.
 */
export function jsonBody<Body>(values: object): Body {
  if (typeof values !== "object" || values === null || Array.isArray(values)) {
    throw new RLError("invalid_input", "the body must be an object, such as { observation: [0.1, 0.2] }");
  }
  const entries = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries.map(([key, value]) => [key, listed(value, key)])) as Body;
}
