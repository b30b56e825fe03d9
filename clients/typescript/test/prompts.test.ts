/** `RLTrainer` against the project's own server, with its routes for prompts and synthetic scores. */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";

import { RLTrainer } from "../src/index.js";
import { errorOf, PYTHON, PYTHON_ENV, ROOT, START_MS } from "./support.js";

const PROMPTS = [
  { prompt: "Decide what the mood is: yes, no. We are a small shop.", task: "mood" },
  { prompt: "Decide what the weather is.", task: "weather" },
];
const folder = mkdtempSync(path.join(tmpdir(), "rl-eval-client-"));
const trainer = new RLTrainer();
const { server } = trainer;

before(async () => {
  const command = [PYTHON, "-m", "tests.clients.prompt_server", folder];
  const health = await trainer.start({ command, cwd: ROOT, env: PYTHON_ENV, timeoutMs: START_MS });
  assert.deepEqual([health.env, health.action_names.at(-1)], ["prompt", "stop"]);
});

after(async () => {
  await trainer.stop();
  rmSync(folder, { recursive: true });
});

test("it trains by the server's own mutations and scores", async () => {
  const first = (await server.health()).policy_version;
  const { episodes, updates } = await trainer.train(PROMPTS, { numEpisodes: 16, updateInterval: 8 });
  assert.equal(updates.length, 2);
  assert.ok(updates.some(({ updated }) => updated));
  const stats = await server.stats();
  assert.notEqual(stats.policy_version, first);
  assert.equal(stats.experiences, episodes.reduce((sum, { steps }) => sum + steps, 0));
  assert.equal(stats.episodes, episodes.length);
  assert.ok(episodes.some(({ prompt, improved }) => prompt !== improved));
  for (const { prompt, improved, task, names, episodeReturn } of episodes) {
    const body = { task: task ?? null };
    const gain = (await server.score({ ...body, prompt: improved })).reward - (await server.score({ ...body, prompt })).reward;
    assert.ok(Math.abs(gain - episodeReturn) < 1e-6);
    assert.equal(new Set(names).size, names.length); // what was applied is not legal again
  }
});

test("a mutation of a text, or of its embedding by the same encoder", async () => {
  const { prompt } = PROMPTS[0] as { prompt: string };
  const mutation = await server.selectMutation(prompt);
  const encoder = (await server.health()).encoder as string;
  assert.equal(mutation.encoder, encoder);
  const embedding = new Float32Array(1536).fill(1 / Math.sqrt(1536));
  const mask = [false, true, false, false, false, false];
  const masked = await server.selectMutation({ embedding, encoder, prompt, task: "mood", applied: [0], mask });
  assert.equal(masked.action, 1);
  await assert.rejects(server.selectMutation({ embedding, encoder }), errorOf("refused", 422, /give prompt and embedding/));
  await assert.rejects(server.selectMutation({ embedding, prompt }), errorOf("refused", 422, /encoder/));
  await assert.rejects(server.selectMutation({ embedding, encoder: "another" }), errorOf("refused", 409, /encoder/));
});

test("task and earlier mutations are part of what is observed, and of what is legal", async () => {
  const { prompt, task } = PROMPTS[0] as { prompt: string; task: string };
  const values = new Set<number | null>();
  for (const facts of [{}, { task }, { task, applied: [0] }]) {
    values.add((await server.selectAction({ prompt, ...facts, greedy: true, seed: 1, record: false })).value);
  }
  assert.equal(values.size, 3);
  const { probabilities } = await server.getDistribution({ prompt, task, applied: [0] });
  assert.equal(probabilities?.[0], 0);
});

test("an episode may be one of embeddings", async () => {
  const { prompt, task } = PROMPTS[0] as { prompt: string; task: string };
  const encoder = (await server.health()).encoder as string;
  const state = { prompt, task, embedding: new Float32Array(1536).fill(1 / Math.sqrt(1536)), encoder };
  const step = () => ({ state, reward: 1, terminated: false });
  assert.equal((await server.trainEpisode({ reset: () => state, step }, { maxSteps: 2 })).steps, 2);
});

test("values that are not prompts, tasks or actions", async () => {
  const { prompt, task } = PROMPTS[0] as { prompt: string; task: string };
  await assert.rejects(server.selectMutation(""), errorOf("refused", 422));
  await assert.rejects(server.selectMutation("x".repeat(20_000)), errorOf("refused", 422));
  await assert.rejects(server.mutate({ prompt, action: 6, task }), errorOf("refused", 422, /action/));
  await assert.rejects(server.score({ prompt, task: "moods" }), errorOf("refused", 422, /mood/));
});
