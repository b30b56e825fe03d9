/** Every method against the project's own server, which serves a PPO policy of CartPole with its first weights. */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";

import { RLInterface, type Environment } from "../src/index.js";
import { cartpoleRun, errorOf, PYTHON, PYTHON_ENV, ROOT, START_MS } from "./support.js";

const TOKEN = "a-token-for-the-tests";
const OBSERVATION = [0.1, -0.2, 0.3, 0.4];
const TRANSITIONS = 32; // that an update of the run needs
const program = [PYTHON, "-m", "rl_eval.cli"];
const folder = mkdtempSync(path.join(tmpdir(), "rl-eval-client-"));
const server = new RLInterface({ token: TOKEN });

before(async () => {
  const policy = cartpoleRun(path.join(folder, "run"));
  const args = ["--folder", path.join(folder, "served")];
  const options = { policy, program, args, cwd: ROOT, env: PYTHON_ENV, timeoutMs: START_MS };
  assert.equal((await server.startServer(options)).status, "ok");
});

after(async () => {
  await server.stopServer();
  rmSync(folder, { recursive: true });
});

test("health says what is served", async () => {
  const health = await server.health();
  assert.deepEqual([health.env, health.agent, health.learns, health.actions], ["cartpole", "ppo", true, 2]);
  assert.deepEqual(health.observation_shape, [4]);
});

test("a decision about one observation", async () => {
  const decision = await server.selectAction({ observation: Float32Array.from(OBSERVATION) });
  assert.ok(decision.action === 0 || decision.action === 1);
  assert.ok(decision.probability !== null && decision.probability > 0 && decision.probability <= 1);
  assert.equal(typeof decision.value, "number");
  assert.equal(typeof decision.decision_id, "string");
  assert.equal(decision.policy_version, (await server.health()).policy_version);
  assert.equal(await server.selectMutation({ observation: OBSERVATION, mask: [false, true] }).then(({ action }) => action), 1);
});

test("decisions about a batch, in its order", async () => {
  const observation = [OBSERVATION, [1, 1, 1, 1], OBSERVATION];
  const many = await server.selectAction({ observation, greedy: true, unit: ["a", "b", "c"] });
  assert.equal(many.action.length, 3);
  assert.equal(new Set(many.decision_id).size, 3);
  const one = await server.selectAction({ observation: OBSERVATION, greedy: true, record: false });
  assert.equal(one.decision_id, null);
  assert.deepEqual([many.action[0], many.action[2]], [one.action, one.action]);
});

test("a distribution is that which decisions are drawn from", async () => {
  const { probabilities } = await server.getDistribution({ observation: OBSERVATION });
  assert.equal(probabilities?.length, 2);
  const decision = await server.selectAction({ observation: OBSERVATION });
  assert.ok(Math.abs((probabilities?.[decision.action as number] ?? 0) - (decision.probability ?? 1)) < 1e-5);
  const masked = await server.getDistribution({ observation: [OBSERVATION, OBSERVATION], mask: [[true, false], [false, true]] });
  assert.deepEqual(masked.probabilities, [[1, 0], [0, 1]]);
});

test("an experience is stored once; another one for the same decision is refused", async () => {
  const { decision_id } = await server.selectAction({ observation: OBSERVATION });
  const before = (await server.stats()).experiences;
  const experience = { decision_id, reward: 1, done: false, next_observation: Float64Array.from(OBSERVATION) };
  assert.deepEqual(await server.storeExperience(experience), { decision_id, stored: true });
  await server.storeExperience(experience);
  assert.equal((await server.stats()).experiences, before + 1);
  await assert.rejects(server.storeExperience({ ...experience, reward: 2 }), errorOf("refused", 409));
  await assert.rejects(server.storeExperience({ ...experience, decision_id: "none" }), errorOf("refused", 404));
});

test("what does not fit the policy is refused with the server's sentence", async () => {
  await assert.rejects(server.selectAction({ observation: [1, 2] }), errorOf("refused", 422, /\[2\].*\[4\]/));
  await assert.rejects(server.selectAction({ observation: OBSERVATION, mask: [true] }), errorOf("refused", 422, /mask/));
  await assert.rejects(server.selectMutation("a prompt"), errorOf("refused", 422));
  const other = { embedding: OBSERVATION, encoder: "another" };
  await assert.rejects(server.getDistribution(other), errorOf("refused", 409, /encoder/));
  await assert.rejects(server.mutate({ prompt: "a prompt", action: 0 }), errorOf("refused", 404));
});

test("it learns from episodes; versions are saved and loaded by name", async () => {
  const first = (await server.health()).policy_version;
  const missing = await server.update();
  assert.ok(!missing.updated && missing.needed > 0);
  for (let steps = (await server.stats()).waiting; steps < TRANSITIONS; ) {
    steps += (await server.trainEpisode(falling(), { maxSteps: 12 })).steps;
  }
  assert.equal((await server.saveCheckpoint("first")).policy_version, first);
  const update = await server.update();
  assert.ok(update.updated && update.needed === 0 && update.transitions >= TRANSITIONS);
  assert.ok(Number.isFinite(update.losses["value_loss"]));
  assert.notEqual(update.policy_version, first);
  assert.equal((await server.selectAction({ observation: OBSERVATION })).policy_version, update.policy_version);
  assert.equal((await server.loadCheckpoint("first")).policy_version, first);
  const stats = await server.stats();
  assert.equal(stats.policy_version, first);
  assert.equal(typeof stats.mean_return, "number");
  await assert.rejects(server.loadCheckpoint("../first"), errorOf("refused", 422));
  await assert.rejects(server.loadCheckpoint("second"), errorOf("refused", 404));
});

test("a wrong token, and none", async () => {
  for (const token of ["another-token-than-it", ""]) {
    const other = new RLInterface({ baseUrl: server.baseUrl, token });
    assert.equal((await other.health()).status, "ok");
    await assert.rejects(other.update(), errorOf("refused", 401, /RL_EVAL_TOKEN/));
  }
});

test("a server that cannot serve says why", async () => {
  const options = { program, cwd: ROOT, env: PYTHON_ENV, timeoutMs: START_MS };
  const start = new RLInterface().startServer({ policy: path.join(folder, "none"), ...options });
  await assert.rejects(start, errorOf("not_started", undefined, /none/));
});

/** An environment whose observations drift until one is too far away. */
function falling(): Environment {
  let state = [0, 0, 0, 0];
  return {
    reset: () => ({ observation: state }),
    step: (action) => {
      state = state.map((value, i) => value + (action === 1 ? 0.1 : -0.1) * (i + 1));
      return { state: { observation: state }, reward: 1, terminated: Math.abs(state[3] ?? 0) > 2 };
    },
  };
}
