/** A server as a child process: started, waited for, and ended with this process. */

import { spawn, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";

import { RLError } from "./errors.js";
import { printable, reason } from "./http.js";

/** How a server is started: `rl-eval serve` with a policy, or a command of your own. */
export interface StartServerOptions {
  /** A run directory, or `onnx:FILE`: what `rl-eval serve` takes. */
  policy?: string | undefined;
  /** The program and its first arguments; default: `["rl-eval"]`. */
  program?: readonly string[] | undefined;
  /** The port; default: any free one. */
  port?: number | undefined;
  /** Further options of `rl-eval serve`, such as `["--update-after", "64"]`. */
  args?: readonly string[] | undefined;
  /** In place of all the above: a whole command. It prints the URL of its server at the start of a line. */
  command?: readonly string[] | undefined;
  /** The working directory; default: that of this process. */
  cwd?: string | undefined;
  /** Environment variables in addition to those of this process. */
  env?: Readonly<Record<string, string>> | undefined;
  /** Called with each line that the server prints. */
  onOutput?: ((line: string) => void) | undefined;
  /** Milliseconds until it must be ready; default: 60,000. */
  timeoutMs?: number | undefined;
  /** Ends the server while it is being started. */
  signal?: AbortSignal | undefined;
}

const KEPT_LINES = 50; // of what a server writes to stderr
const END_MS = 10_000; // for a server to end by itself
const OUTPUT_MS = 500; // after its end: for what it wrote, which a process of its own may keep open
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** The command that options ask for. */
export function commandOf(options: StartServerOptions): readonly string[] {
  const { policy, command, program = ["rl-eval"], port = 0, args = [] } = options;
  if (command !== undefined && command.length > 0 && policy === undefined) return command;
  if (policy === undefined || command !== undefined) {
    throw new RLError("invalid_input", "startServer needs one of policy and command: name a run directory, or a command");
  }
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new RLError("invalid_input", `port=${port} is not allowed: give a whole number from 0 to 65535`);
  }
  return [...program, "serve", policy, "--port", String(port), ...args];
}

/** A running server. */
export class ServerProcess {
  readonly #child: ChildProcess;
  readonly #errors: string[] = [];
  readonly #ended: Promise<void>;
  readonly #url: Promise<string>;
  #stopped = false;
  #failure: Error | undefined;

  constructor(options: StartServerOptions, token: string | undefined) {
    const [program, ...args] = commandOf(options);
    const env = { ...process.env, ...options.env, ...(token === undefined ? {} : { RL_EVAL_TOKEN: token }) };
    const cwd = options.cwd === undefined ? {} : { cwd: options.cwd };
    try {
      this.#child = spawn(program as string, args, { env, stdio: ["ignore", "pipe", "pipe"], ...cwd });
    } catch (error) {
      throw new RLError("invalid_input", `the command cannot be run: ${reason(error)}`, undefined, { cause: error });
    }
    this.#ended = new Promise((resolve) => {
      this.#child.once("error", (error) => {
        this.#failure = error;
        resolve();
      });
      this.#child.once("close", () => resolve());
      this.#child.once("exit", () => setTimeout(resolve, OUTPUT_MS).unref());
    });
    this.#url = new Promise((resolve) => {
      createInterface({ input: this.#child.stdout! }).on("line", (line) => {
        const url = /^(https?:\/\/[^\s/]+)/.exec(line)?.[1];
        if (url !== undefined) resolve(url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:"));
        options.onOutput?.(line);
      });
    });
    createInterface({ input: this.#child.stderr! }).on("line", (line) => {
      this.#errors.push(line);
      if (this.#errors.length > KEPT_LINES) this.#errors.shift();
      options.onOutput?.(line);
    });
    this.#endWithThisProcess();
  }

  /** Whether it has ended. */
  get ended(): boolean {
    return this.#failure !== undefined || this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Its base URL, once it has printed it; rejects where it ends before. */
  async url(): Promise<string> {
    const url = await Promise.race([this.#url, this.#ended]);
    if (url === undefined) throw new RLError("not_started", this.sentence());
    return url;
  }

  /** Why it ended: its own sentence where it wrote one. */
  sentence(): string {
    const { exitCode, signalCode, spawnfile } = this.#child;
    if (this.#failure !== undefined) {
      const why = (this.#failure as NodeJS.ErrnoException).code ?? this.#failure.message;
      return `${spawnfile} cannot be started (${why}): install rl_eval with its extra serve, or check program and cwd`;
    }
    const written = this.#errors.map(printable).filter((line) => line !== "");
    const last = written.findLast((line) => line.startsWith("error: ")) ?? written.at(-1);
    if (last !== undefined) return last.replace(/^error: /, "");
    return `${spawnfile} ended with ${signalCode ?? `status ${exitCode}`} and wrote no reason: run the command by hand`;
  }

  /** End it: with SIGTERM, and with SIGKILL where that does not help. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#child.kill("SIGTERM");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), END_MS);
    await this.#ended;
    clearTimeout(timer);
  }

  /** Whether `stop` was called. */
  get stopped(): boolean {
    return this.#stopped;
  }

  #endWithThisProcess(): void {
    const kill = () => void this.#child.kill("SIGTERM");
    const onSignal = (signal: NodeJS.Signals) => {
      if (process.listenerCount(signal) > 1) return; // somebody else decides what a signal does
      kill();
      forget();
      process.kill(process.pid, signal);
    };
    const forget = () => {
      process.off("exit", kill);
      for (const signal of SIGNALS) process.off(signal, onSignal);
    };
    process.once("exit", kill);
    for (const signal of SIGNALS) process.on(signal, onSignal);
    void this.#ended.then(forget);
  }
}
