/** Starting and ending a server: commands that fail, hang or end, and nothing that stays behind. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { test } from "node:test";

import { RLInterface } from "../src/index.js";
import { errorOf } from "./support.js";

const HEALTH = JSON.stringify({ status: "ok", policy_version: "1", action_names: [] });
/** Prints its process id and its URL, and answers everything with `status` and HEALTH. */
function serving(status = 200, also = ""): string[] {
  const code = `
    const server = require("node:http").createServer((_, response) => {
      response.writeHead(${status}); response.end(${JSON.stringify(HEALTH)});
    });
    ${also}
    server.listen(0, "127.0.0.1", () => {
      console.log("pid", process.pid);
      console.log("http://127.0.0.1:" + server.address().port + "  serves");
    });`;
  return [process.execPath, "-e", code];
}

function node(code: string): string[] {
  return [process.execPath, "-e", code];
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Notes the process id and the URL that a server prints. */
function noteOf(): { pid: number; url: string; onOutput: (line: string) => void } {
  const note = {
    pid: 0,
    url: "",
    onOutput: (line: string) => {
      if (line.startsWith("pid ")) note.pid = Number(line.slice(4));
      else if (line.startsWith("http")) note.url = line.split(" ")[0] as string;
    },
  };
  return note;
}

/** Resolves once nobody listens at a URL. */
async function gone(url: string): Promise<void> {
  const client = new RLInterface({ baseUrl: url, retries: 0 });
  while (await client.health().then(() => true, () => false));
}

test("a server is started on the port that it prints, and ended", async () => {
  const client = new RLInterface();
  const note = noteOf();
  assert.equal((await client.startServer({ command: serving(), onOutput: note.onOutput })).status, "ok");
  assert.notEqual(client.baseUrl, "http://127.0.0.1:8000");
  await assert.rejects(client.startServer({ command: serving() }), errorOf("invalid_input"));
  assert.ok(isAlive(note.pid));
  await client.stopServer();
  assert.ok(!isAlive(note.pid));
  await client.stopServer();
  await client.startServer({ command: serving() });
  await client.stopServer();
});

test("its environment has the client's token", async () => {
  const also = `if (process.env.RL_EVAL_TOKEN !== "a-long-secret-token" || process.env.MORE !== "1") process.exit(3);`;
  const client = new RLInterface({ token: "a-long-secret-token" });
  await client.startServer({ command: serving(200, also), env: { MORE: "1" } });
  await client.stopServer();
});

for (const [name, command, sentence] of [
  ["its sentence", node(`console.error("a line"); console.error("error: no such run"); process.exit(2)`), /^no such run$/],
  ["its last line", node(`console.error("Traceback\\nValueError: x\\n"); process.exit(1)`), /^ValueError: x$/],
  ["its status", node("process.exit(3)"), /status 3/],
  ["no such program", ["/nonexistent/rl-eval"], /ENOENT/],
] as const) {
  test(`a server that does not start: ${name}`, async () => {
    await assert.rejects(new RLInterface().startServer({ command }), errorOf("not_started", undefined, sentence));
  });
}

test("a server that is never ready is ended", async () => {
  for (const command of [node("setInterval(() => {}, 1000); console.log('pid', process.pid)"), serving(503)]) {
    const note = noteOf();
    const client = new RLInterface();
    const start = client.startServer({ command, timeoutMs: 700, onOutput: note.onOutput });
    await assert.rejects(start, errorOf("not_started", undefined, /700 ms/));
    assert.ok(note.pid === 0 || !isAlive(note.pid));
  }
});

test("an abort signal ends a start, and the server with it", async () => {
  const abort = new AbortController();
  const note = noteOf();
  const reason = new Error("enough");
  const onOutput = (line: string) => {
    note.onOutput(line);
    abort.abort(reason);
  };
  const start = new RLInterface().startServer({ command: serving(503), signal: abort.signal, onOutput });
  await assert.rejects(start, (error) => error === reason);
  assert.ok(!isAlive(note.pid));
});

test("calls to a server that has ended have its sentence", async () => {
  const client = new RLInterface({ retries: 0 });
  const ends = `setTimeout(() => { console.error("error: the disk is full"); process.exit(2); }, 300);`;
  await client.startServer({ command: serving(200, ends) });
  for (;;) {
    const error: unknown = await client.health().then(() => undefined, (reason: unknown) => reason);
    if (error === undefined) continue; // it runs still
    assert.ok(errorOf("unreachable")(error));
    if (/the disk is full/.test((error as Error).message)) break;
  }
  await client.stopServer();
});

for (const end of ["SIGTERM", "SIGINT", "exit"] as const) {
  test(`a server ends with its process: ${end}`, { timeout: 60_000 }, async () => {
    const index = new URL("../src/index.js", import.meta.url).href;
    const code = `
      import { RLInterface } from ${JSON.stringify(index)};
      await new RLInterface().startServer({ command: ${JSON.stringify(serving())}, onOutput: console.log });
      ${end === "exit" ? "process.exit(0)" : "console.log('ready')"};`;
    const parent = spawn(process.execPath, ["--input-type=module", "-e", code], { stdio: ["ignore", "pipe", "inherit"] });
    const closed = once(parent, "close");
    const note = noteOf();
    createInterface({ input: parent.stdout }).on("line", (line) => {
      note.onOutput(line);
      if (line === "ready") parent.kill(end === "exit" ? "SIGKILL" : end);
    });
    const [status, signal] = (await closed) as [number | null, string | null];
    assert.deepEqual([status, signal], end === "exit" ? [0, null] : [null, end]);
    await gone(note.url);
  });
}

test("what cannot be started", async () => {
  const invalid = errorOf("invalid_input");
  await assert.rejects(new RLInterface().startServer({}), invalid);
  await assert.rejects(new RLInterface().startServer({ policy: "run", command: ["x"] }), invalid);
  await assert.rejects(new RLInterface().startServer({ policy: "run", port: 70_000 }), invalid);
  await assert.rejects(new RLInterface().startServer({ policy: "a\0b" }), invalid);
  await assert.rejects(new RLInterface().startServer({ command: serving(), timeoutMs: 0 }), invalid);
});
