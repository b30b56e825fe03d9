/** `RLError`, the one error of this client. */

/**
 * What went wrong:
 * - `refused`: the server answered with a status from 300 on; `status` has it, and the message is the server's sentence.
 * - `unreachable`: no server answers at the base URL, or the connection broke.
 * - `timed_out`: the answer took longer than `timeoutMs`.
 * - `not_started`: the server that `startServer` ran ended, or was not ready in time.
 * - `invalid_answer`: something answered, and it is not this server.
 * - `invalid_input`: the call cannot be sent.
 */
export type ErrorCode =
  | "refused"
  | "unreachable"
  | "timed_out"
  | "not_started"
  | "invalid_answer"
  | "invalid_input";

/** An error with one sentence as its message. An aborted call rejects with the reason of its signal instead. */
export class RLError extends Error {
  override readonly name = "RLError";

  constructor(
    readonly code: ErrorCode,
    sentence: string,
    /** The HTTP status, where the server gave one. */
    readonly status?: number,
    options?: ErrorOptions,
  ) {
    super(sentence, options);
  }
}
