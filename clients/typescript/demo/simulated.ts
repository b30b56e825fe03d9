/** A policy server inside this process, as a `fetch`: a small policy that learns to mutate prompts by REINFORCE. */

import { setImmediate as nextTurn } from "node:timers/promises";

const ACTIONS = ["fallback", "reduction", "expansion", "constraint", "decomposition", "stop"] as const;
const STOP = ACTIONS.indexOf("stop");
const ADDED: Partial<Record<(typeof ACTIONS)[number], string>> = {
  fallback: "If you are not sure, say so.",
  expansion: "Example: I could hug the whole world today. -> joy",
  constraint: "Answer with one word.",
  decomposition: "First read the text, then decide, then answer.",
};
const FILLER = /[^.!?]*\b(thank you|kind|weather|garden|cake)\b[^.!?]*[.!?][ ]*/gi;
const POINTS = { fallback: 0.1, expansion: 0.4, constraint: 0.3, decomposition: -0.1 };
const POINTS_A_CHARACTER = -0.001;
const TRANSITIONS = 40; // that an update needs
const LEARNING_RATE = 5;

interface Transition {
  features: number[];
  legal: boolean[];
  action: number;
  unit: string;
  reward: number;
}

/** The prompt after an action. */
export function mutated(prompt: string, action: number): string {
  const name = ACTIONS[action];
  if (name === "reduction") return prompt.replace(FILLER, "").trim();
  const sentence = name === undefined ? undefined : ADDED[name];
  return sentence === undefined || prompt.includes(sentence) ? prompt : `${prompt}\n${sentence}`;
}

/** The points of a prompt by a rubric. */
export function points(prompt: string): number {
  const parts = Object.entries(POINTS).filter(([name]) => prompt.includes(ADDED[name as keyof typeof POINTS] as string));
  return parts.reduce((sum, [, value]) => sum + value, 0) + POINTS_A_CHARACTER * prompt.length;
}

function legalActions(prompt: string): boolean[] {
  return ACTIONS.map((_, action) => action === STOP || mutated(prompt, action) !== prompt);
}

/** A constant, which parts the prompt has, and whether it is long. */
function featuresOf(prompt: string): number[] {
  const parts = Object.values(ADDED).map((sentence) => Number(prompt.includes(sentence)));
  return [1, ...parts, Number(mutated(prompt, ACTIONS.indexOf("reduction")) !== prompt)];
}

/** A `fetch` that answers as a server would; it draws the same numbers each time for a seed. */
export function simulatedFetch(seed = 0): typeof fetch {
  const server = new SimulatedServer(seed);
  return async (input, init) => {
    await nextTurn(); // as a network would, so that signals and timers are heard
    init?.signal?.throwIfAborted();
    const route = new URL(String(input)).pathname;
    const body = typeof init?.body === "string" ? (JSON.parse(init.body) as Record<string, unknown>) : {};
    const answer = server.answer(route, body);
    return answer === undefined
      ? Response.json({ detail: `${route} is not a route of the simulated server` }, { status: 404 })
      : Response.json(answer);
  };
}

class SimulatedServer {
  #weights = ACTIONS.map(() => featuresOf("").map(() => 0));
  #version = 0;
  #decisions = new Map<string, Omit<Transition, "reward">>();
  #transitions: Transition[] = [];
  #experiences = 0;
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  answer(route: string, body: Record<string, unknown>): object | undefined {
    const prompt = String(body["prompt"] ?? "");
    const policy_version = String(this.#version);
    switch (route) {
      case "/health":
        return {
          status: "ok", policy_version, policy: "simulated", env: "simulated", agent: "reinforce", learns: true,
          uptime_s: 0, observation_shape: [featuresOf("").length], actions: ACTIONS.length, action_names: [...ACTIONS],
          encoder: null,
        };
      case "/stats":
        return { policy_version, decisions: this.#decisions.size, experiences: this.#experiences, updates: this.#version };
      case "/select_action":
        return { ...this.#select(prompt, body), policy_version };
      case "/get_distribution":
        return {
          probabilities: this.#probabilities(featuresOf(prompt), legalActions(prompt)),
          actions: [...ACTIONS],
          policy_version,
        };
      case "/store_experience":
        return this.#store(String(body["decision_id"]), Number(body["reward"]));
      case "/update":
        return this.#update();
      case "/mutate": {
        const after = mutated(prompt, Number(body["action"]));
        const changed = after !== prompt;
        const applied = [...(body["applied"] as number[]), ...(changed ? [body["action"]] : [])];
        return { prompt: after, mask: legalActions(after), changed, applied };
      }
      case "/score":
        return { reward: points(prompt) };
      default:
        return undefined;
    }
  }

  #select(prompt: string, body: Record<string, unknown>): object {
    const features = featuresOf(prompt);
    const legal = (body["mask"] as boolean[] | undefined) ?? legalActions(prompt);
    const probabilities = this.#probabilities(features, legal);
    const action = body["greedy"] === true ? probabilities.indexOf(Math.max(...probabilities)) : this.#draw(probabilities);
    const probability = probabilities[action] as number;
    if (body["record"] === false) return { action, probability, confidence: probability, value: null, decision_id: null };
    const decision_id = String(this.#decisions.size);
    this.#decisions.set(decision_id, { features, legal, action, unit: String(body["unit"] ?? decision_id) });
    return { action, probability, confidence: Math.max(...probabilities), value: null, decision_id };
  }

  #probabilities(features: number[], legal: boolean[]): number[] {
    const logits = this.#weights.map((row) => row.reduce((sum, weight, i) => sum + weight * (features[i] as number), 0));
    const highest = Math.max(...logits.filter((_, action) => legal[action]));
    const exponentials = logits.map((logit, action) => (legal[action] ? Math.exp(logit - highest) : 0));
    const total = exponentials.reduce((sum, value) => sum + value, 0);
    return exponentials.map((value) => value / total);
  }

  #store(decision_id: string, reward: number): object {
    const decision = this.#decisions.get(decision_id);
    if (decision !== undefined) {
      this.#transitions.push({ ...decision, reward });
      this.#experiences += 1;
    }
    return { decision_id, stored: decision !== undefined };
  }

  /** REINFORCE with the rewards to go of each episode, and their mean as the baseline. */
  #update(): object {
    const count = this.#transitions.length;
    if (count < TRANSITIONS) {
      const needed = TRANSITIONS - count;
      return { updated: false, policy_version: String(this.#version), transitions: count, needed, losses: {} };
    }
    const toGo = new Map<string, number>();
    const returns = this.#transitions.map(() => 0);
    for (let i = count - 1; i >= 0; i--) {
      const { unit, reward } = this.#transitions[i] as Transition;
      returns[i] = (toGo.get(unit) ?? 0) + reward;
      toGo.set(unit, returns[i] as number);
    }
    const mean = returns.reduce((sum, value) => sum + value, 0) / count;
    const before = this.#transitions.map(({ features, legal }) => this.#probabilities(features, legal));
    let loss = 0;
    for (const [i, { features, action }] of this.#transitions.entries()) {
      const advantage = (returns[i] as number) - mean;
      const probabilities = before[i] as number[];
      loss -= (advantage * Math.log(probabilities[action] as number)) / count;
      for (const [other, row] of this.#weights.entries()) {
        const slope = Number(other === action) - (probabilities[other] as number);
        for (const [column, feature] of features.entries()) {
          row[column] = (row[column] as number) + (LEARNING_RATE * advantage * slope * feature) / count;
        }
      }
    }
    this.#transitions = [];
    this.#version += 1;
    return {
      updated: true, policy_version: String(this.#version), transitions: count, needed: 0, losses: { policy_loss: loss },
    };
  }

  #draw(probabilities: number[]): number {
    let left = this.#random();
    const last = probabilities.findLastIndex((probability) => probability > 0);
    const drawn = probabilities.findIndex((probability) => (left -= probability) < 0);
    return drawn === -1 ? last : drawn;
  }

  /** mulberry32 (public domain, Tommy Ettinger): uniform in [0, 1). */
  #random(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}
