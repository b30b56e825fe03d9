/** Servers for tests: a scripted one in this process, and the project's own. */

import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { RLError, type ErrorCode } from "../src/index.js";

/** For a server to start on a busy machine: a guard. */
export const START_MS = 600_000;
/** The checkout. */
export const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));
const VENV = path.join(ROOT, ".venv/bin/python");
/** A Python that has the project with its extras `serve` and `train`. */
export const PYTHON = process.env["PYTHON"] ?? (existsSync(VENV) ? VENV : "python3");
export const PYTHON_ENV = { PYTHONPATH: ROOT };

/** The run of a policy of CartPole with its first weights: that of RL_EVAL_TEST_RUN, or one that is written now. */
export function cartpoleRun(folder: string): string {
  const given = process.env["RL_EVAL_TEST_RUN"];
  if (given !== undefined) return given;
  const env = { ...process.env, ...PYTHON_ENV };
  execFileSync(PYTHON, ["-m", "tests.clients.written_run", "ppo", folder], { cwd: ROOT, env });
  return folder;
}

/** A server in this process that answers by a function; `await using` is not in Node 20, so close it. */
export async function scriptedServer(
  answer: (request: IncomingMessage & { text: string }, response: ServerResponse, count: number) => void,
): Promise<{ url: string; requests: () => number; close: () => Promise<void> }> {
  let count = 0;
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    answer(Object.assign(request, { text: Buffer.concat(chunks).toString() }), response, ++count);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: () => count,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

/** Answer with JSON. */
export function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

/** What `assert.rejects` takes: an error of this client with one sentence. */
export function errorOf(code: ErrorCode, status?: number, sentence = /./): (error: unknown) => boolean {
  return (error) => {
    if (!(error instanceof RLError)) throw error;
    if (error.code !== code || error.status !== status || !sentence.test(error.message) || /\n/.test(error.message)) {
      throw new Error(`expected ${code} ${status} ${sentence}, not ${error.code} ${error.status}: ${error.message}`);
    }
    return true;
  };
}
