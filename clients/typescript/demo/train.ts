/**
 * Trains a policy to mutate prompts, and shows what it does to prompts before and after.
 *
 *   npm run demo -- --simulated                 no server: one inside this process
 *   npm run demo -- --run RUN [--program FILE]  starts `rl-eval serve RUN`
 *   npm run demo -- --url URL                   a server that is running
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";

import { RLError, RLTrainer, type PromptEpisode, type TaskPrompt } from "../src/index.js";
import { embeddedPrompts } from "./embedded_prompts.js";
import { simulatedFetch } from "./simulated.js";

const SIMULATED_PROMPTS = [
  "Emotion?",
  "You are so kind. The weather is fine. Name the emotion of the writer. There is a cake in the garden.",
  "Name the emotion.\nAnswer with one word.",
  "Which emotion is it? Thank you very much!",
].map((prompt): TaskPrompt => ({ prompt }));

/** What was typed. */
function typedOptions() {
  return parseArgs({
    options: {
      simulated: { type: "boolean", default: false },
      run: { type: "string" },
      url: { type: "string" },
      program: { type: "string", default: "rl-eval" },
      episodes: { type: "string", default: "400" },
      "update-interval": { type: "string", default: "20" },
    },
  }).values;
}

/** The demo; resolves once the server has ended. */
async function main(): Promise<void> {
  const options = typedOptions();
  const numEpisodes = Number(options.episodes);
  const trainer = new RLTrainer({
    server: {
      ...(options.url === undefined ? {} : { baseUrl: options.url }),
      ...(options.simulated ? { fetch: simulatedFetch() } : {}),
    },
  });
  const prompts = options.simulated ? SIMULATED_PROMPTS : embeddedPrompts();
  const folder = mkdtempSync(path.join(tmpdir(), "rl-eval-demo-"));
  const abort = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => abort.abort());
  try {
    const { run, program } = options;
    const args = ["--update-after", "64", "--folder", path.join(folder, "served")]; // nothing is left of earlier demos
    const health = await trainer.start(run === undefined ? undefined : { policy: run, program: [program], args });
    console.log(`${health.policy} (${health.env}), version ${health.policy_version}; ${prompts.length} prompts`);
    const { episodes, updates } = await trainer.train(prompts, {
      numEpisodes,
      episodeLength: 5,
      updateInterval: Number(options["update-interval"]),
      signal: abort.signal,
      onUpdate: (update) => console.log(update.updated ? `version ${update.policy_version}` : `${update.needed} missing`),
    });
    const share = Math.max(1, Math.floor(numEpisodes / 5));
    const first = meanReturn(episodes.slice(0, share));
    const last = meanReturn(episodes.slice(-share));
    console.log(`${updates.filter((update) => update.updated).length} updates`);
    console.log(`mean return ${first.toFixed(3)} of the first ${share} episodes, ${last.toFixed(3)} of the last ${share}`);
    for (const episode of episodes.slice(-3)) console.log(`\n${described(episode)}`);
  } finally {
    await trainer.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

function meanReturn(episodes: PromptEpisode[]): number {
  return episodes.reduce((sum, episode) => sum + episode.episodeReturn, 0) / episodes.length;
}

function described({ prompt, improved, names, episodeReturn }: PromptEpisode): string {
  return `--- before\n${prompt}\n--- after ${names.join(", ")} (${episodeReturn.toFixed(3)})\n${improved}`;
}

process.stdout.on("error", () => process.exit()); // nobody reads any more
try {
  await main();
} catch (error) {
  if (!(error instanceof Error)) throw error;
  const aborted = error.name === "AbortError";
  const isInput = error instanceof RLError || /^ERR_PARSE_ARGS/.test((error as NodeJS.ErrnoException).code ?? "");
  if (!aborted) console.error(isInput ? `error: ${error.message}` : error);
  process.exitCode = aborted ? 130 : isInput ? 2 : 1;
}
