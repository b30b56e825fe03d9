/** Requests: what is sent, which errors come back, what is repeated, and what ends a call. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { RLError, RLInterface } from "../src/index.js";
import { errorOf, json, scriptedServer } from "./support.js";

const STATE = { observation: [0.5, -1] };
const ANSWER = { status: "ok", action_names: [], policy_version: "1" };
const EXPERIENCE = { decision_id: "7", reward: 1, done: true };

test("a body has the server's names, typed arrays as lists, and the token in its header", async () => {
  const seen: unknown[] = [];
  const server = await scriptedServer((request, response) => {
    seen.push([request.method, request.url, request.headers.authorization, JSON.parse(request.text)]);
    json(response, 200, { action: 1, decision_id: "1", policy_version: "1" });
  });
  try {
    const client = new RLInterface({ baseUrl: `${server.url}/behind/a/proxy/`, token: "a-long-secret-token" });
    await client.selectAction({ embedding: Float32Array.of(0.5, -1), mask: [true, false], greedy: undefined });
    const body = { embedding: [0.5, -1], mask: [true, false] };
    assert.deepEqual(seen, [["POST", "/behind/a/proxy/select_action", "Bearer a-long-secret-token", body]]);
  } finally {
    await server.close();
  }
});

for (const [name, status, body, sentence] of [
  ["the server's sentence", 422, { detail: "observation has the shape [2]" }, /^observation has the shape \[2\]$/],
  ["control characters of a sentence are not shown", 409, { detail: "a\u001b[31m\nb" }, /^a \[31m b$/],
  ["another server's answer", 404, "<html>", /status 404/],
  ["another server's JSON", 500, { detail: [{ msg: "?" }] }, /status 500/],
  ["a redirect is not followed", 307, {}, /status 307/],
] as const) {
  test(`refused: ${name}`, async () => {
    const server = await scriptedServer((_, response) => {
      response.setHeader("location", "http://127.0.0.1:1/");
      json(response, status, body);
    });
    try {
      const client = new RLInterface({ baseUrl: server.url });
      await assert.rejects(client.selectAction(STATE), errorOf("refused", status, sentence));
      assert.equal(server.requests(), 1);
    } finally {
      await server.close();
    }
  });
}

test("an answer that is not a JSON object is not from this server", async () => {
  const server = await scriptedServer((_, response) => void response.end("<html>hello</html>"));
  try {
    await assert.rejects(new RLInterface({ baseUrl: server.url }).health(), errorOf("invalid_answer"));
  } finally {
    await server.close();
  }
});

test("an endless answer is cut off", async () => {
  const endless = new ReadableStream<Uint8Array>({ pull: (stream) => stream.enqueue(new Uint8Array(2 ** 22)) });
  const client = new RLInterface({ fetch: async () => new Response(endless) });
  await assert.rejects(client.health(), errorOf("invalid_answer"));
});

test("nobody listens", async () => {
  const server = await scriptedServer(() => undefined);
  await server.close();
  const client = new RLInterface({ baseUrl: server.url, retries: 0 });
  await assert.rejects(client.stats(), errorOf("unreachable", undefined, /ECONNREFUSED/));
});

test("a host that does not exist", async () => {
  const client = new RLInterface({ baseUrl: "http://no-such-host.invalid", retries: 0 });
  await assert.rejects(client.stats(), errorOf("unreachable"));
});

for (const [name, answerOnce] of [
  ["a broken connection", (response: { destroy: () => void }) => response.destroy()],
  ["status 503", (response: Parameters<typeof json>[0]) => json(response, 503, { detail: "the store cannot be written" })],
] as const) {
  test(`${name} is tried again where that does no harm`, async () => {
    const server = await scriptedServer((_, response, count) => {
      if (count % 2 === 1) answerOnce(response);
      else json(response, 200, { ...ANSWER, decision_id: "7", stored: true, probabilities: [1], action: 0 });
    });
    try {
      const client = new RLInterface({ baseUrl: server.url });
      await client.storeExperience(EXPERIENCE);
      await client.getDistribution(STATE);
      await client.selectAction({ ...STATE, record: false });
      assert.equal(server.requests(), 6);
      const { decision_id, ...whole } = { ...EXPERIENCE, ...STATE, action: 1 };
      for (const call of [
        () => client.selectAction(STATE),
        () => client.update(),
        () => client.saveCheckpoint("best"),
        () => client.loadCheckpoint("best"),
        () => client.storeExperience(whole),
      ]) {
        const before = server.requests();
        await assert.rejects(call(), RLError);
        assert.equal(server.requests(), before + 1);
        await client.health();
      }
    } finally {
      await server.close();
    }
  });
}

test("retries end, and the last error is the call's", async () => {
  const server = await scriptedServer((_, response) => json(response, 503, { detail: "no policy is loaded yet" }));
  try {
    await assert.rejects(new RLInterface({ baseUrl: server.url, retries: 1 }).health(), errorOf("refused", 503));
    assert.equal(server.requests(), 2);
  } finally {
    await server.close();
  }
});

test("a time-out ends a call, also one whose body does not end", async () => {
  const server = await scriptedServer((request, response) => {
    if (request.url === "/stats") response.write("{");
  });
  try {
    const client = new RLInterface({ baseUrl: server.url, timeoutMs: 50 });
    await assert.rejects(client.health(), errorOf("timed_out"));
    await assert.rejects(client.stats(), errorOf("timed_out"));
    await assert.rejects(client.update({ timeoutMs: 20 }), errorOf("timed_out"));
  } finally {
    await server.close();
  }
});

test("an abort signal ends a call with its reason: before it, while it waits, and between attempts", async () => {
  const reason = new Error("enough");
  const early = new AbortController();
  early.abort(reason);
  let abort = new AbortController();
  const server = await scriptedServer((request, response) => {
    if (request.url === "/health") json(response, 503, {});
    setImmediate(() => abort.abort(reason));
  });
  try {
    const client = new RLInterface({ baseUrl: server.url, retries: 10 });
    const isReason = (error: unknown) => error === reason;
    await assert.rejects(client.selectAction(STATE, { signal: early.signal }), isReason);
    assert.equal(server.requests(), 0);
    await assert.rejects(client.selectAction(STATE, { signal: abort.signal }), isReason);
    abort = new AbortController();
    await assert.rejects(client.health({ signal: abort.signal }), isReason);
  } finally {
    await server.close();
  }
});

test("what cannot be sent is refused before it is", async () => {
  const server = await scriptedServer((_, response) => json(response, 200, {}));
  try {
    const client = new RLInterface({ baseUrl: server.url });
    const invalid = errorOf("invalid_input");
    await assert.rejects(client.selectAction({ observation: [0, Number.NaN] }), invalid);
    await assert.rejects(client.selectAction({ observation: [[0], [Infinity]] }), invalid);
    await assert.rejects(client.selectAction({ embedding: Float32Array.of(-Infinity) }), invalid);
    await assert.rejects(client.storeExperience({ ...EXPERIENCE, reward: Number.NaN }), invalid);
    await assert.rejects(client.health({ timeoutMs: 0 }), invalid);
    const circular: unknown[] = [];
    circular.push(circular);
    for (const value of [null, undefined, 3, "x", [], { observation: [10n] }, { observation: circular }, { observation: () => 1 }]) {
      await assert.rejects(client.selectAction(value as never), invalid);
      await assert.rejects(client.storeExperience(value as never), invalid);
      await assert.rejects(client.getDistribution(value as never), invalid);
      await assert.rejects(client.mutate(value as never), invalid);
      await assert.rejects(client.score(value as never), invalid);
    }
    const inner: { self?: unknown } = {};
    inner.self = inner;
    await assert.rejects(client.selectAction(inner as never), invalid);
    await assert.rejects(client.saveCheckpoint(10n as never), invalid);
    await assert.rejects(client.trainEpisode(null as never), invalid);
    assert.equal(server.requests(), 0);
  } finally {
    await server.close();
  }
});

for (const [name, answer] of [
  ["an empty object", {}],
  ["fields of other types", { ...ANSWER, action: "zero", decision_id: 5, stored: "yes", policy_version: null }],
  ["what was not stored, of another decision", { ...ANSWER, decision_id: "8", stored: false, action: 0, policy_version: 1, status: 1 }],
] as const) {
  test(`an answer that is none of this call: ${name}`, async () => {
    const server = await scriptedServer((_, response) => json(response, 200, answer));
    try {
      const client = new RLInterface({ baseUrl: server.url });
      for (const call of [
        () => client.health(),
        () => client.stats(),
        () => client.selectAction(STATE),
        () => client.getDistribution(STATE),
        () => client.storeExperience(EXPERIENCE),
        () => client.update(),
        () => client.saveCheckpoint("best"),
        () => client.loadCheckpoint("best"),
        () => client.score({ prompt: "a" }),
      ]) {
        await assert.rejects(call(), errorOf("invalid_answer"));
      }
    } finally {
      await server.close();
    }
  });
}

test("decisions that the server does not record have a null id, and an episode stores none of them", async () => {
  const answer = { ...ANSWER, decision_id: null, action: 0 };
  const server = await scriptedServer((request, response) => {
    assert.equal(request.url, "/select_action");
    const { observation } = JSON.parse(request.text) as { observation?: unknown[] };
    const batch = Array.isArray(observation?.[0]);
    json(response, 200, batch ? { ...answer, action: [0, 1] } : answer);
  });
  try {
    const client = new RLInterface({ baseUrl: server.url });
    for (const record of [undefined, true, false]) {
      assert.deepEqual(await client.selectAction({ ...STATE, record }), answer);
    }
    const batch = await client.selectAction({ observation: [[0], [1]] });
    assert.deepEqual([batch.action, batch.decision_id], [[0, 1], null]);
    const { action, decision_id } = await client.selectMutation("a prompt");
    assert.deepEqual([action, decision_id], [0, null]);
    const environment = { reset: () => STATE, step: () => ({ state: STATE, reward: 1, terminated: false }) };
    const episode = await client.trainEpisode(environment, { maxSteps: 2 });
    assert.deepEqual([episode.steps, episode.episodeReturn], [2, 2]);
  } finally {
    await server.close();
  }
});

test("a decision without the field decision_id and an experience of another decision are not taken", async () => {
  const answer = { ...ANSWER, decision_id: "8", stored: true, action: 0 };
  const server = await scriptedServer((request, response) =>
    json(response, 200, request.url === "/select_action" ? { ...answer, decision_id: undefined } : answer),
  );
  try {
    const client = new RLInterface({ baseUrl: server.url });
    await assert.rejects(client.selectAction(STATE), errorOf("invalid_answer"));
    await assert.rejects(client.storeExperience(EXPERIENCE), errorOf("invalid_answer"));
  } finally {
    await server.close();
  }
});

test("options that no client can have", () => {
  for (const options of [
    { baseUrl: "127.0.0.1:8000" },
    { baseUrl: "ftp://127.0.0.1" },
    { baseUrl: "http://user:secret@127.0.0.1" },
    { baseUrl: "http://127.0.0.1/?a=1" },
    { token: "two\nlines" },
    { timeoutMs: Number.NaN },
    { retries: -1 },
    { retries: 0.5 },
  ]) {
    assert.throws(() => new RLInterface(options), errorOf("invalid_input"), JSON.stringify(options));
  }
});
