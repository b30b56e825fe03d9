/** `RLInterface`: a policy server, and each of its routes as a method. */

import { invalidAnswer } from "./answers.js";
import {
  jsonBody,
  type Checkpoint,
  type Decision,
  type Decisions,
  type Distribution,
  type Distributions,
  type Experience,
  type Health,
  type Mutation,
  type SelectOptions,
  type State,
  type StateBatch,
  type Stats,
  type StoredExperience,
  type Update,
} from "./bodies.js";
import { playEpisode, type Environment, type Episode, type EpisodeOptions } from "./episode.js";
import { RLError } from "./errors.js";
import {
  call,
  checkedBaseUrl,
  checkedMilliseconds,
  checkedToken,
  type AnswerOf,
  type BodyOf,
  type CallOptions,
  type Connection,
  type RouteName,
} from "./http.js";
import { ServerProcess, type StartServerOptions } from "./server_process.js";

export interface RLInterfaceOptions {
  /** Where the server is; `startServer` sets it. Default: `http://127.0.0.1:8000`. */
  baseUrl?: string | undefined;
  /** The server's `RL_EVAL_TOKEN`; default: that of this process. */
  token?: string | undefined;
  /** Milliseconds for a call; default: 30,000, and for `update` 300,000. */
  timeoutMs?: number | undefined;
  /** Further attempts of calls that may be repeated, where the server is not reached; default: 2. */
  retries?: number | undefined;
  /** In place of the global `fetch`. */
  fetch?: typeof fetch | undefined;
}

const TIMEOUT_MS = 30_000;
const UPDATE_TIMEOUT_MS = 300_000;
const START_TIMEOUT_MS = 60_000;
const RETRIES = 2;

/** A policy server. All errors are `RLError`s, except for the reason of an abort signal. */
export class RLInterface {
  #connection: Connection;
  readonly #updateTimeoutMs: number;
  #server: ServerProcess | undefined;

  constructor(options: RLInterfaceOptions = {}) {
    const { retries = RETRIES } = options;
    if (!Number.isInteger(retries) || retries < 0 || retries > 10) {
      throw new RLError("invalid_input", `retries=${retries} is not allowed: give a whole number from 0 to 10`);
    }
    this.#connection = {
      baseUrl: checkedBaseUrl(options.baseUrl ?? "http://127.0.0.1:8000"),
      token: checkedToken(options.token ?? process.env["RL_EVAL_TOKEN"]),
      timeoutMs: checkedMilliseconds(options.timeoutMs ?? TIMEOUT_MS),
      retries,
      fetch: options.fetch ?? fetch,
    };
    this.#updateTimeoutMs = options.timeoutMs ?? UPDATE_TIMEOUT_MS;
  }

  /** Where the server is. */
  get baseUrl(): string {
    return this.#connection.baseUrl;
  }

  /**
   * Start a server on this machine, and wait until it is ready. It ends with `stopServer`, or with this process.
   *
   * @throws RLError `not_started`, with the sentence that the server wrote.
   */
  async startServer(options: StartServerOptions): Promise<Health> {
    if (this.#server !== undefined && !this.#server.ended) {
      throw new RLError("invalid_input", "the server of this client is running already: stop it first");
    }
    options.signal?.throwIfAborted();
    const timeoutMs = checkedMilliseconds(options.timeoutMs ?? START_TIMEOUT_MS);
    const server = new ServerProcess(options, this.#connection.token);
    this.#server = server;
    const limit = new Limit(timeoutMs, options.signal);
    try {
      const baseUrl = checkedBaseUrl(await Promise.race([server.url(), limit.reached]));
      this.#connection = { ...this.#connection, baseUrl };
      return await Promise.race([this.#untilReady(server, limit.signal), limit.reached]);
    } catch (error) {
      limit.end();
      await server.stop();
      throw error;
    } finally {
      limit.end();
    }
  }

  async #untilReady(server: ServerProcess, signal: AbortSignal): Promise<Health> {
    for (;;) {
      try {
        return await call({ ...this.#connection, retries: 0 }, "/health", undefined, false, { signal });
      } catch (error) {
        const waits = error instanceof RLError && (error.code === "unreachable" || error.status === 503);
        if (signal.aborted || !waits) throw error;
        if (server.ended) throw new RLError("not_started", server.sentence(), undefined, { cause: error });
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  }

  /** End the server that `startServer` started; nothing happens where there is none. */
  async stopServer(): Promise<void> {
    const server = this.#server;
    await server?.stop();
    if (this.#server === server) this.#server = undefined;
  }

  /** What is served; refused with status 503 until a policy is loaded. */
  health(options?: CallOptions): Promise<Health> {
    return this.#call("/health", undefined, true, options);
  }

  /** Counts, returns, losses and versions. */
  stats(options?: CallOptions): Promise<Stats> {
    return this.#call("/stats", undefined, true, options);
  }

  /**
   * An action for an observation, or one for each row of a batch. `unit` names who is decided about.
   *
   * `decision_id` is null where the server could not record the decision: act on it, and store no experience.
   */
  selectAction(state: State & SelectOptions & { unit?: string | undefined }, options?: CallOptions): Promise<Decision>;
  selectAction(
    states: StateBatch & SelectOptions & { unit?: readonly string[] | undefined },
    options?: CallOptions,
  ): Promise<Decisions>;
  async selectAction(state: object, options?: CallOptions): Promise<Decision | Decisions> {
    const body = jsonBody<BodyOf<"/select_action">>(state);
    // A second decision of a unit would be part of its stream, so only what is not stored is repeated.
    return (await this.#call("/select_action", body, body.record === false, options)) as Decision | Decisions;
  }

  /**
   * A mutation of a prompt, or of a text that you have embedded yourself; it is recorded where the server can.
   *
   * @throws RLError `invalid_answer`: the policy's actions are not Discrete.
   */
  async selectMutation(
    state: string | (State & { greedy?: boolean | undefined; unit?: string | undefined }),
    options?: CallOptions,
  ): Promise<Mutation> {
    const decision = await this.selectAction(typeof state === "string" ? { prompt: state } : state, options);
    const { action } = decision;
    if (typeof action === "number") return { ...decision, action };
    throw new RLError("invalid_answer", `${this.baseUrl} serves a policy without Discrete actions: use selectAction`);
  }

  /** Probabilities of all actions, for an observation or for each row of a batch. */
  getDistribution(state: State, options?: CallOptions): Promise<Distribution>;
  getDistribution(states: StateBatch, options?: CallOptions): Promise<Distributions>;
  async getDistribution(state: object, options?: CallOptions): Promise<Distribution | Distributions> {
    const body = jsonBody<BodyOf<"/get_distribution">>(state);
    return (await this.#call("/get_distribution", body, true, options)) as Distribution | Distributions;
  }

  /** What followed a decision. It is on disk when this resolves, and the same experience twice is one. */
  async storeExperience(experience: Experience, options?: CallOptions): Promise<StoredExperience> {
    const body = jsonBody<BodyOf<"/store_experience">>(experience);
    const stored = await this.#call("/store_experience", body, body.decision_id != null, options);
    if (body.decision_id != null && stored.decision_id !== body.decision_id) {
      throw invalidAnswer(`${this.baseUrl}/store_experience`, "decision_id");
    }
    return stored;
  }

  /** Learn from what is stored: the losses, or how many transitions are missing. */
  update(options: CallOptions = {}): Promise<Update> {
    return this.#call("/update", {}, false, { timeoutMs: this.#updateTimeoutMs, ...options });
  }

  /** Let the policy play one episode of an environment of yours; each step is stored. */
  trainEpisode(environment: Environment, options?: EpisodeOptions): Promise<Episode> {
    return playEpisode(this, environment, options);
  }

  /** Keep the policy under a name, in the server's folder. */
  saveCheckpoint(name: string, options?: CallOptions): Promise<Checkpoint> {
    return this.#call("/save", { name }, false, options);
  }

  /** Serve a policy that was saved under a name. */
  loadCheckpoint(name: string, options?: CallOptions): Promise<Checkpoint> {
    return this.#call("/load", { name }, false, options);
  }

  /** The prompt after a mutation, where the domain of the policy has prompts. */
  async mutate(body: BodyOf<"/mutate">, options?: CallOptions): Promise<AnswerOf<"/mutate">> {
    return this.#call("/mutate", jsonBody<BodyOf<"/mutate">>(body), true, options);
  }

  /** How good a prompt is, where the domain of the policy has prompts. */
  async score(body: BodyOf<"/score">, options?: CallOptions): Promise<AnswerOf<"/score">> {
    return this.#call("/score", jsonBody<BodyOf<"/score">>(body), true, options);
  }

  async #call<Name extends RouteName>(
    route: Name,
    body: BodyOf<Name>,
    idempotent: boolean,
    options?: CallOptions,
  ): Promise<AnswerOf<Name>> {
    const server = this.#server;
    try {
      return await call(this.#connection, route, body, idempotent, options);
    } catch (error) {
      if (error instanceof RLError && error.code === "unreachable" && server?.ended && !server.stopped) {
        const message = `the server that was started has ended: ${server.sentence()}`;
        throw new RLError("unreachable", message, undefined, { cause: error });
      }
      throw error;
    }
  }
}

/** A time-out and a signal as one promise that only rejects. */
class Limit {
  readonly reached: Promise<never>;
  readonly #controller = new AbortController();
  readonly #forget: () => void;

  constructor(timeoutMs: number, signal: AbortSignal | undefined) {
    let reject: (reason: unknown) => void;
    this.reached = new Promise<never>((_, rejectIt) => (reject = rejectIt));
    this.reached.catch(() => undefined);
    const onAbort = () => reject(signal?.reason);
    const message = `the server was not ready within ${timeoutMs} ms: raise timeoutMs, or run the command by hand`;
    const timer = setTimeout(() => reject(new RLError("not_started", message)), timeoutMs);
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#forget = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    };
  }

  /** Aborted once `end` was called. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  end(): void {
    this.#forget();
    this.#controller.abort();
  }
}
