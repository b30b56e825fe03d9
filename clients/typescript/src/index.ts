/** A client of `rl-eval serve`. */

export type {
  Action,
  Checkpoint,
  Decision,
  Decisions,
  Distribution,
  Distributions,
  Embedded,
  Experience,
  Health,
  Mutation,
  PromptFacts,
  SelectOptions,
  State,
  StateBatch,
  Stats,
  StoredExperience,
  Update,
  Vector,
} from "./bodies.js";
export { RLInterface, type RLInterfaceOptions } from "./client.js";
export type { Environment, Episode, EpisodeOptions, Step } from "./episode.js";
export { RLError, type ErrorCode } from "./errors.js";
export type { CallOptions } from "./http.js";
export type { components, paths } from "./schema.js";
export type { StartServerOptions } from "./server_process.js";
export {
  RLTrainer,
  type Mutate,
  type MutatedPrompt,
  type MutationRequest,
  type PromptEpisode,
  type Reward,
  type RewardRequest,
  type RLTrainerOptions,
  type TaskPrompt,
  type Training,
  type TrainOptions,
} from "./trainer.js";
