/** The start prompts of the training tasks that come with rl_eval, read from this checkout. */

import { readdirSync, readFileSync } from "node:fs";

import type { TaskPrompt } from "../src/index.js";

const FOLDER = new URL("../../../../rl_eval/domains/prompt/tasks/embedded/", import.meta.url);

interface TaskFile {
  name: string;
  part: string;
  starts: { text: string }[];
}

/** All start prompts of the tasks for training. */
export function embeddedPrompts(): TaskPrompt[] {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith(".json")).sort();
  const tasks = files.map((name) => JSON.parse(readFileSync(new URL(name, FOLDER), "utf8")) as TaskFile);
  return tasks
    .filter(({ part }) => part === "train")
    .flatMap(({ name, starts }) => starts.map(({ text }) => ({ prompt: text, task: name })));
}
