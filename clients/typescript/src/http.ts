/** Requests to the server: time-outs, abort signals, retries, and errors as one sentence. */

import { setTimeout as sleep } from "node:timers/promises";

import { checkedAnswer } from "./answers.js";
import { RLError } from "./errors.js";
import type { paths } from "./schema.js";

/** Of one call. */
export interface CallOptions {
  /** Aborts the call, which then rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
  /** Milliseconds for the whole call, retries included; in place of the client's own. */
  timeoutMs?: number | undefined;
}

/** How a server is asked. */
export interface Connection {
  baseUrl: string;
  token: string | undefined;
  timeoutMs: number;
  /** Further attempts of calls that may be repeated. */
  retries: number;
  fetch: typeof fetch;
}

type Json<Content> = Content extends { content: { "application/json": infer Body } } ? Body : never;
type Operation<Route> = Route extends { post: infer Post extends object }
  ? Post
  : Route extends { get: infer Get }
    ? Get
    : never;

/** A route of the server. */
export type RouteName = keyof paths;
type Body<Route> = Operation<Route> extends { requestBody?: infer Content } ? Json<NonNullable<Content>> : never;
/** What a route takes; undefined for GET. */
export type BodyOf<Name extends RouteName> = [Body<paths[Name]>] extends [never] ? undefined : Body<paths[Name]>;
/** What a route answers with. */
export type AnswerOf<Name extends RouteName> =
  Operation<paths[Name]> extends { responses: { 200: infer Content } } ? Json<Content> : never;

const MAX_ANSWER = 64 * 2 ** 20; // bytes
const MAX_SENTENCE = 1000; // characters
const RETRIED = new Set([502, 503, 504]);
const SLOW = new Set(["UND_ERR_HEADERS_TIMEOUT", "UND_ERR_BODY_TIMEOUT"]); // limits of Node's fetch, 300 s
const FIRST_DELAY_MS = 100; // before the first retry; doubled for each further one

/**
 * Ask the server.
 *
 * @param idempotent whether asking twice does no more than asking once, so that a failed attempt may be repeated.
 * @throws RLError, or the reason of the signal.
 */
export async function call<Name extends RouteName>(
  connection: Connection,
  route: Name,
  body: BodyOf<Name>,
  idempotent: boolean,
  options: CallOptions = {},
): Promise<AnswerOf<Name>> {
  const url = `${connection.baseUrl}${route}`;
  const content = body === undefined ? undefined : jsonText(body);
  const timeoutMs = checkedMilliseconds(options.timeoutMs ?? connection.timeoutMs);
  const { signal } = options;
  signal?.throwIfAborted();
  const controller = new AbortController();
  const abort = () => controller.abort();
  const timer = setTimeout(abort, timeoutMs);
  signal?.addEventListener("abort", abort, { once: true });
  try {
    for (let attempt = 0; ; attempt++) {
      try {
        return checkedAnswer(route, await ask(connection, url, content, controller.signal), url);
      } catch (error) {
        if (!idempotent || attempt >= connection.retries || !isPassing(error)) throw error;
        await sleep(FIRST_DELAY_MS * 2 ** attempt, undefined, { signal: controller.signal });
      }
    }
  } catch (error) {
    signal?.throwIfAborted();
    if (!controller.signal.aborted) throw error;
    throw new RLError("timed_out", `${url} took longer than ${timeoutMs} ms: raise timeoutMs, or look at the server`);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}

function isPassing(error: unknown): boolean {
  if (!(error instanceof RLError)) return false;
  return error.code === "unreachable" || (error.status !== undefined && RETRIED.has(error.status));
}

/**
 * A body as it is sent.
 *
 * @throws RLError it holds what JSON cannot.
 */
function jsonText(body: unknown): string {
  try {
    return JSON.stringify(body);
  } catch (error) {
    const message = `the body cannot be written as JSON (${reason(error).split("\n")[0]}): give texts, numbers and lists`;
    throw new RLError("invalid_input", message, undefined, { cause: error });
  }
}

async function ask(
  connection: Connection,
  url: string,
  content: string | undefined,
  signal: AbortSignal,
): Promise<object> {
  const headers: Record<string, string> = { accept: "application/json" };
  if (connection.token !== undefined) headers["authorization"] = `Bearer ${connection.token}`;
  const init: RequestInit = { method: "GET", headers, signal, redirect: "manual" };
  if (content !== undefined) {
    headers["content-type"] = "application/json";
    init.method = "POST";
    init.body = content;
  }
  let response: Response;
  let text: string;
  try {
    response = await connection.fetch(url, init);
    text = await boundedText(response);
  } catch (error) {
    if (error instanceof RLError || signal.aborted) throw error;
    const why = reason(error);
    if (SLOW.has(why)) throw new RLError("timed_out", `${url} took longer than Node's fetch waits: look at the server`);
    const message = `${url} cannot be reached (${why}): start the server, or check baseUrl`;
    throw new RLError("unreachable", message, undefined, { cause: error });
  }
  const answer = parsed(text);
  if (response.status >= 300) throw refusal(response, url, answer);
  if (typeof answer !== "object" || answer === null || Array.isArray(answer)) {
    throw new RLError("invalid_answer", `${url} does not answer with JSON: check that baseUrl is that of rl-eval serve`);
  }
  return answer;
}

async function boundedText(response: Response): Promise<string> {
  if (response.body === null) return "";
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body) {
    size += chunk.byteLength;
    if (size > MAX_ANSWER) {
      throw new RLError("invalid_answer", `the answer has more than ${MAX_ANSWER} bytes: send a smaller batch`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The server's own sentence where it has one. */
function refusal(response: Response, url: string, answer: unknown): RLError {
  const { status } = response;
  const sentence = (answer as { detail?: unknown } | null | undefined)?.detail;
  if (typeof sentence === "string" && sentence !== "") {
    return new RLError("refused", printable(sentence).slice(0, MAX_SENTENCE), status);
  }
  const answered = `${url} answers with status ${status} and no sentence`;
  return new RLError("refused", `${answered}: check that baseUrl is that of rl-eval serve`, status);
}

/** A text of another process, without control characters. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]+/gu, " ").trim();
}

/** In a few words, why `fetch` or the operating system did not do something. */
export function reason(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  const code = (cause as { code?: unknown } | undefined)?.code;
  if (typeof code === "string") return code;
  if (cause instanceof Error && cause.message !== "") return printable(cause.message);
  return error instanceof Error ? printable(error.message) : "unknown error";
}

/**
 * A base URL without a slash at its end.
 *
 * @throws RLError not an http or https URL, or one with a password.
 */
export function checkedBaseUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    const message = `baseUrl=${JSON.stringify(text)} is not an http or https URL: give one such as http://127.0.0.1:8000`;
    throw new RLError("invalid_input", message);
  }
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    throw new RLError("invalid_input", "baseUrl holds a password, a query or a fragment: give it without, and a token");
  }
  return url.href.replace(/\/+$/, "");
}

/**
 * A bearer token as it is sent; undefined for none.
 *
 * @throws RLError characters that no header can hold.
 */
export function checkedToken(token: string | undefined): string | undefined {
  if (token === undefined || token === "") return undefined;
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new RLError("invalid_input", "token holds characters other than printable ASCII: give that of RL_EVAL_TOKEN");
  }
  return token;
}

/**
 * A time-out that timers can hold.
 *
 * @throws RLError another number.
 */
export function checkedMilliseconds(value: number): number {
  if (value > 0 && value < 2 ** 31) return value;
  throw new RLError("invalid_input", `timeoutMs=${value} is not allowed: give milliseconds above 0 and below 2 ** 31`);
}
