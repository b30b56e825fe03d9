/** `RLTrainer`: against the simulated server, and with functions of a person's own. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { simulatedFetch } from "../demo/simulated.js";
import { RLInterface, RLTrainer, type Mutate, type Update } from "../src/index.js";
import { errorOf } from "./support.js";

const PROMPTS = ["Emotion?", { prompt: "Name the emotion. The weather is fine.", task: "emotions" }];
const ACTIONS = ["fallback", "reduction", "expansion", "constraint", "decomposition", "stop"];

function simulated(seed = 0): RLInterface {
  return new RLInterface({ fetch: simulatedFetch(seed) });
}

function mean(values: number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

test("it learns from the server's own mutations and scores", async () => {
  const trainer = new RLTrainer({ server: simulated() });
  assert.equal((await trainer.start()).policy, "simulated");
  const heard: [number, Update[]] = [0, []];
  const { episodes, updates } = await trainer.train(PROMPTS, {
    numEpisodes: 300,
    updateInterval: 15,
    onEpisode: () => (heard[0] += 1),
    onUpdate: (update) => heard[1].push(update),
  });
  await trainer.stop();
  assert.deepEqual(heard, [300, updates]);
  assert.equal(updates.length, 20);
  assert.ok(updates.filter(({ updated }) => updated).length >= 10);
  const returns = episodes.map(({ episodeReturn }) => episodeReturn);
  assert.ok(mean(returns.slice(-60)) > mean(returns.slice(0, 60)) + 0.1);
});

test("an episode: prompts in turn, at most five mutations, none after stop, rewards that sum to the gain", async () => {
  const server = simulated(1);
  const { episodes } = await new RLTrainer({ server }).train(PROMPTS, { numEpisodes: 40 });
  assert.deepEqual(episodes.slice(0, 3).map(({ task }) => task), [undefined, "emotions", undefined]);
  assert.ok(episodes.some(({ names }) => names.includes("stop")));
  for (const { prompt, improved, names, actions, rewards, steps, episodeReturn } of episodes) {
    assert.ok(steps >= 1 && steps <= 5);
    assert.deepEqual([names.length, actions.length, rewards.length], [steps, steps, steps]);
    assert.ok(!names.slice(0, -1).includes("stop"));
    assert.deepEqual(names, actions.map((action) => ACTIONS[action as number]));
    const score = async (text: string) => (await server.score({ prompt: text })).reward;
    assert.ok(Math.abs(episodeReturn - ((await score(improved)) - (await score(prompt)))) < 1e-9);
  }
});

test("functions of one's own are called in order, and their rewards and masks reach the server", async () => {
  const calls: unknown[] = [];
  const sent: Record<string, unknown>[] = [];
  const inner = simulatedFetch();
  const spy: typeof fetch = async (url, init) => {
    const route = new URL(String(url)).pathname;
    assert.ok(route !== "/mutate" && route !== "/score");
    if (init?.body) sent.push({ route, ...(JSON.parse(init.body as string) as object) });
    return inner(url, init);
  };
  // Only expansion (2) is legal after the first mutation, and only stopping after the second.
  const mutate: Mutate = ({ prompt, action, name }) => {
    calls.push(["mutate", prompt, name]);
    const legal = prompt === "a" ? 2 : 5;
    return { prompt: `${prompt}${action}`, mask: ACTIONS.map((_, other) => other === legal) };
  };
  const trainer = new RLTrainer({
    server: { fetch: spy },
    stopName: "stop",
    mutate: async (request) => mutate(request),
    reward: ({ before, prompt, task }) => {
      calls.push(["reward", before, prompt, task]);
      return prompt.length;
    },
  });
  // A first action that is not a stop, no matter what the policy draws.
  const { episodes } = await trainer.train([{ prompt: "a", task: "t" }], { numEpisodes: 12, updateInterval: 100 });
  const played = episodes.filter(({ names }) => names[0] !== "stop");
  assert.ok(played.length > 0);
  for (const { improved, rewards, actions } of played) {
    assert.equal(improved, `a${String(actions[0])}2`);
    assert.deepEqual(rewards, [2, 3]);
  }
  const first = played[0]?.actions[0] as number;
  const begin = calls.findIndex((call) => JSON.stringify(call) === JSON.stringify(["mutate", "a", ACTIONS[first]]));
  assert.deepEqual(calls.slice(begin, begin + 4), [
    ["mutate", "a", ACTIONS[first]],
    ["reward", "a", `a${first}`, "t"],
    ["mutate", `a${first}`, "expansion"],
    ["reward", `a${first}`, `a${first}2`, "t"],
  ]);
  const stored = sent.filter(({ route, reward }) => route === "/store_experience" && reward === 2)[0];
  assert.deepEqual(stored?.["next_mask"], [false, false, true, false, false, false]);
  assert.equal(stored?.["done"], false);
  assert.match(String(stored?.["next_prompt"]), /^a\d$/);
  const last = sent.filter(({ route, reward }) => route === "/store_experience" && reward === 3)[0];
  assert.deepEqual([last?.["done"], last?.["truncated"], last?.["next_prompt"]], [true, false, undefined]);
});

test("an episode of trainEpisode that is cut off has a future; a greedy one is not stored", async () => {
  const server = simulated();
  let steps = 0;
  const environment = {
    reset: () => ({ prompt: "a" }),
    step: () => ({ state: { prompt: `a${++steps}` }, reward: 1, terminated: false }),
  };
  const episode = await server.trainEpisode(environment, { maxSteps: 3 });
  assert.deepEqual([episode.steps, episode.episodeReturn, episode.rewards], [3, 3, [1, 1, 1]]);
  assert.equal((await server.stats()).experiences, 3);
  await server.trainEpisode(environment, { maxSteps: 3, greedy: true });
  assert.equal((await server.stats()).experiences, 3);
});

test("what was trained before an error is kept", async () => {
  let calls = 0;
  const inner = simulatedFetch();
  const slow: typeof fetch = (url, init) =>
    String(url).endsWith("/update") && ++calls === 3
      ? new Promise((_, reject) => init?.signal?.addEventListener("abort", () => reject(new Error("late"))))
      : inner(url, init);
  const trainer = new RLTrainer({ server: new RLInterface({ fetch: slow, timeoutMs: 2_000 }) });
  await assert.rejects(trainer.train(PROMPTS, { updateInterval: 2 }), errorOf("timed_out"));
  assert.deepEqual([trainer.training.episodes.length, trainer.training.updates.length], [6, 2]);
  const again = await trainer.train(PROMPTS, { numEpisodes: 2 });
  assert.equal(again, trainer.training);
});

test("an abort signal, an error of one's own function, and input that cannot be", async () => {
  const abort = new AbortController();
  const reason = new Error("enough");
  const onEpisode = () => abort.abort(reason);
  const aborted = new RLTrainer({ server: simulated() }).train(PROMPTS, { signal: abort.signal, onEpisode });
  await assert.rejects(aborted, (error) => error === reason);
  const mutate: Mutate = () => {
    throw reason;
  };
  await assert.rejects(new RLTrainer({ server: simulated(), mutate }).train(PROMPTS), (error) => error === reason);
  const trainer = new RLTrainer({ server: simulated() });
  await assert.rejects(trainer.train([]), errorOf("invalid_input"));
  await assert.rejects(trainer.train(PROMPTS, { numEpisodes: 0 }), errorOf("invalid_input"));
  await assert.rejects(trainer.train(PROMPTS, { updateInterval: 1.5 }), errorOf("invalid_input"));
  const reward = () => Number.NaN;
  await assert.rejects(new RLTrainer({ server: simulated(), reward }).train(PROMPTS), errorOf("invalid_input"));
});
