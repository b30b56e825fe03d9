/** Episodes of an environment of yours, played by the served policy and stored. */

import { randomUUID } from "node:crypto";

import type { Action, Experience, State } from "./bodies.js";
import type { RLInterface } from "./client.js";
import { RLError } from "./errors.js";
import type { CallOptions } from "./http.js";

/** What follows an action; names and meaning are those of Gymnasium. */
export interface Step {
  /** The next state; after the end of an episode the last one. */
  state: State;
  reward: number;
  /** The episode has reached its end. */
  terminated: boolean;
  /** It was cut off, and would have gone on. */
  truncated?: boolean | undefined;
}

/** An environment. Both methods may be asynchronous. */
export interface Environment {
  reset(): State | Promise<State>;
  step(action: Action): Step | Promise<Step>;
}

export interface EpisodeOptions extends CallOptions {
  /** Steps at most, after which the episode is cut off; default: 1,000. */
  maxSteps?: number | undefined;
  /** Take the most likely actions, and store nothing. */
  greedy?: boolean | undefined;
}

/** One episode. */
export interface Episode {
  steps: number;
  /** The sum of its rewards. */
  episodeReturn: number;
  actions: Action[];
  rewards: number[];
}

const MAX_STEPS = 1_000;

/** Play one episode; each step that the server records is stored with what followed, unless it is greedy. */
export async function playEpisode(
  server: RLInterface,
  environment: Environment,
  options: EpisodeOptions = {},
): Promise<Episode> {
  const { maxSteps = MAX_STEPS, greedy = false, ...callOptions } = options;
  if (!Number.isInteger(maxSteps) || maxSteps < 1) {
    throw new RLError("invalid_input", `maxSteps=${maxSteps} is not allowed: give a whole number from 1`);
  }
  if (typeof environment?.reset !== "function" || typeof environment.step !== "function") {
    throw new RLError("invalid_input", "the environment has no reset and step: give an object with both methods");
  }
  const unit = randomUUID();
  const episode: Episode = { steps: 0, episodeReturn: 0, actions: [], rewards: [] };
  let state = await environment.reset();
  for (let ended = false; !ended; ) {
    const { action, decision_id } = await server.selectAction({ ...state, greedy, record: !greedy, unit }, callOptions);
    callOptions.signal?.throwIfAborted();
    const step = await environment.step(action);
    episode.steps += 1;
    episode.episodeReturn += step.reward;
    episode.actions.push(action);
    episode.rewards.push(step.reward);
    const truncated = !step.terminated && (step.truncated === true || episode.steps >= maxSteps);
    ended = step.terminated || truncated;
    if (decision_id != null) {
      const { reward } = step;
      const experience = { decision_id, reward, done: ended, truncated, ...(step.terminated ? {} : next(step.state)) };
      await server.storeExperience(experience, callOptions);
    }
    state = step.state;
  }
  return episode;
}

function next(state: State): Partial<Experience> {
  const mask = state.mask === undefined ? {} : { next_mask: state.mask };
  if ("observation" in state) return { next_observation: state.observation, ...mask };
  const embedded = "embedding" in state ? { next_embedding: state.embedding, encoder: state.encoder } : {};
  if (!("prompt" in state)) return { ...embedded, ...mask };
  const { prompt, task, applied } = state;
  return { ...embedded, next_prompt: prompt, next_task: task, next_applied: applied, ...mask };
}
