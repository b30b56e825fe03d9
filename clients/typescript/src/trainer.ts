/** `RLTrainer`: learns which mutations improve prompts. */

import type { Action, Health, State, Update } from "./bodies.js";
import { RLInterface, type RLInterfaceOptions } from "./client.js";
import type { Environment, Episode, Step } from "./episode.js";
import { RLError } from "./errors.js";
import type { StartServerOptions } from "./server_process.js";

/** A prompt to improve. */
export interface TaskPrompt {
  prompt: string;
  /** The task that it is for, by a name that the served policy knows. */
  task?: string | undefined;
}

/** A prompt that is about to be mutated. */
export interface MutationRequest extends TaskPrompt {
  action: number;
  /** The action's name, as the server has it. */
  name: string;
  /** The actions that made the prompt of the first one. */
  applied: readonly number[];
  signal?: AbortSignal | undefined;
}

/** A mutated prompt. */
export interface MutatedPrompt {
  prompt: string;
  /** Which actions are legal now; default: all, or what the server says of a prompt. */
  mask?: readonly boolean[] | undefined;
}

/** A mutation that was applied. */
export interface RewardRequest extends MutationRequest {
  /** The prompt before; `prompt` is the one after. */
  before: string;
}

export type Mutate = (request: MutationRequest) => MutatedPrompt | Promise<MutatedPrompt>;
export type Reward = (request: RewardRequest) => number | Promise<number>;

export interface RLTrainerOptions {
  /** Applies a mutation; default: the server's `/mutate`. */
  mutate?: Mutate | undefined;
  /** Rewards a mutation; default: the difference of the server's `/score` of the prompts after and before. */
  reward?: Reward | undefined;
  /** The server, or how to reach it. */
  server?: RLInterface | RLInterfaceOptions | undefined;
  /** The name of the action that ends an episode; default: "stop". */
  stopName?: string | undefined;
}

export interface TrainOptions {
  /** Episodes in all; prompts are taken in turn. Default: 100. */
  numEpisodes?: number | undefined;
  /** Mutations of an episode at most; default: 5. */
  episodeLength?: number | undefined;
  /** Episodes between updates; default: 10. */
  updateInterval?: number | undefined;
  signal?: AbortSignal | undefined;
  /** Called after each episode. */
  onEpisode?: ((episode: PromptEpisode, index: number) => void) | undefined;
  /** Called after each update, also where transitions were missing. */
  onUpdate?: ((update: Update) => void) | undefined;
}

/** The result for a prompt. */
export interface PromptEpisode extends Episode, TaskPrompt {
  /** The last prompt; `prompt` is the first. */
  improved: string;
  /** The names of the actions. */
  names: string[];
}

/** What `train` did. */
export interface Training {
  episodes: PromptEpisode[];
  updates: Update[];
}

/** Trains the served policy on prompts: with your own functions, or those of the server. */
export class RLTrainer {
  readonly server: RLInterface;
  readonly #mutate: Mutate;
  readonly #reward: Reward;
  readonly #stopName: string;
  #health: Health | undefined;
  #training: Training = { episodes: [], updates: [] };

  constructor(options: RLTrainerOptions = {}) {
    const { server } = options;
    this.server = server instanceof RLInterface ? server : new RLInterface(server);
    this.#mutate = options.mutate ?? ((request) => this.#serverMutation(request));
    this.#reward = options.reward ?? ((request) => this.#scoreDifference(request));
    this.#stopName = options.stopName ?? "stop";
  }

  /** Start a server where options are given; else ask the one that is running what it serves. */
  async start(options?: StartServerOptions): Promise<Health> {
    this.#health = await (options === undefined ? this.server.health() : this.server.startServer(options));
    return this.#health;
  }

  /** What the last `train` did, up to its end or to the error that it rejected with. */
  get training(): Training {
    return this.#training;
  }

  /** End the server that `start` started. */
  async stop(): Promise<void> {
    this.#health = undefined;
    await this.server.stopServer();
  }

  /**
   * Let the policy mutate prompts, each in turn, and learn from the rewards.
   *
   * An update that has too few transitions leaves them in the store for the next one. Where a call fails, `training`
   * has the episodes before it.
   */
  async train(prompts: readonly (string | TaskPrompt)[], options: TrainOptions = {}): Promise<Training> {
    const { numEpisodes = 100, episodeLength = 5, updateInterval = 10, signal } = options;
    requireCounts({ numEpisodes, episodeLength, updateInterval });
    if (!Array.isArray(prompts)) throw new RLError("invalid_input", "train takes a list of prompts: give one");
    if (prompts.length === 0) throw new RLError("invalid_input", "train needs a prompt: the list of prompts is empty");
    const health = this.#health ?? (await this.start());
    const training: Training = { episodes: [], updates: [] };
    this.#training = training;
    for (let index = 0; index < numEpisodes; index++) {
      const given = prompts[index % prompts.length] as string | TaskPrompt;
      const prompt = typeof given === "string" ? { prompt: given } : given;
      const episode = await this.#playPrompt(prompt, health, episodeLength, signal);
      training.episodes.push(episode);
      options.onEpisode?.(episode, index);
      if ((index + 1) % updateInterval !== 0) continue;
      const update = await this.server.update({ signal });
      training.updates.push(update);
      options.onUpdate?.(update);
    }
    return training;
  }

  async #playPrompt(
    start: TaskPrompt,
    health: Health,
    episodeLength: number,
    signal: AbortSignal | undefined,
  ): Promise<PromptEpisode> {
    const current = { prompt: start.prompt, task: start.task, applied: [] as readonly number[] };
    const names: string[] = [];
    const step = async (action: Action): Promise<Step> => {
      if (typeof action !== "number") {
        throw new RLError("invalid_answer", `${this.server.baseUrl} serves a policy without Discrete actions`);
      }
      const name = health.action_names[action] ?? String(action);
      names.push(name);
      if (name === this.#stopName) return { state: { ...current }, reward: 0, terminated: true };
      const before = current.prompt;
      const request = { ...current, action, name, signal };
      const { prompt, mask } = await this.#mutate(request);
      current.prompt = prompt;
      if (prompt !== before && !current.applied.includes(action)) current.applied = [...current.applied, action];
      const reward = await this.#reward({ ...request, prompt, before });
      // Only stopping is left.
      const exhausted = mask?.every((legal, other) => !legal || health.action_names[other] === this.#stopName) ?? false;
      const state: State = mask === undefined ? { ...current } : { ...current, mask };
      return { state, reward, terminated: exhausted || names.length >= episodeLength };
    };
    const environment: Environment = { reset: () => ({ ...current }), step };
    const played = await this.server.trainEpisode(environment, { maxSteps: episodeLength, signal });
    return { ...start, ...played, improved: current.prompt, names };
  }

  async #serverMutation({ prompt, action, task, applied, signal }: MutationRequest): Promise<MutatedPrompt> {
    const answer = await this.server.mutate({ prompt, action, task: task ?? null, applied: [...applied] }, { signal });
    return { prompt: answer.prompt, mask: answer.mask ?? undefined };
  }

  async #scoreDifference({ before, prompt, task, action, applied, signal }: RewardRequest): Promise<number> {
    if (prompt === before) return 0;
    const score = async (text: string, made: number[]) =>
      (await this.server.score({ prompt: text, task: task ?? null, applied: made }, { signal })).reward;
    return (await score(prompt, [...new Set([...applied, action])])) - (await score(before, [...applied]));
  }
}

function requireCounts(counts: Record<string, number>): void {
  for (const [name, value] of Object.entries(counts)) {
    if (!Number.isInteger(value) || value < 1) {
      throw new RLError("invalid_input", `${name}=${value} is not allowed: give a whole number from 1`);
    }
  }
}
