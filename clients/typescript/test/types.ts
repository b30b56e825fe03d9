/** What the compiler accepts and refuses; nothing here runs. */

import type { Decision, Distributions, RLInterface, RLTrainer } from "../src/index.js";

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <_Same extends true>(): void => undefined;

/** Each line below `@ts-expect-error` must not compile. */
export async function checked(server: RLInterface, trainer: RLTrainer): Promise<void> {
  const one = await server.selectAction({ observation: [0, 1], mask: [true, false], unit: "a" });
  same<Equal<typeof one, Decision>>();
  same<Equal<typeof one.decision_id, string | null>>();
  same<Equal<typeof one.probability, number | null>>();
  const many = await server.selectAction({ embedding: [Float32Array.of(0)], unit: ["a"] });
  same<Equal<typeof many.decision_id, string[] | null>>();
  same<Equal<typeof many.value, number[] | null>>();
  const mutation = await server.selectMutation("a prompt");
  same<Equal<typeof mutation.action, number>>();
  same<Equal<typeof mutation.decision_id, string | null>>();
  const distributions = await server.getDistribution({ observation: [[0], [1]] });
  same<Equal<typeof distributions, Distributions>>();
  await server.storeExperience({ decision_id: "1", reward: 1, done: false, next_observation: Float64Array.of(1) });

  // @ts-expect-error no state
  await server.selectAction({ greedy: true });
  // @ts-expect-error a key that the server does not take
  await server.selectAction({ observation: [0], temperature: 1 });
  // @ts-expect-error text where numbers are due
  await server.selectAction({ observation: ["0"] });
  // @ts-expect-error a unit for each row
  await server.selectAction({ observation: [[0], [1]], unit: "a" });
  // @ts-expect-error whether the episode ended is missing
  await server.storeExperience({ decision_id: "1", reward: 1 });
  // @ts-expect-error a batch where one observation is due
  await server.storeExperience({ decision_id: "1", reward: 1, done: false, next_observation: [[1]] });
  // @ts-expect-error no answer has it
  (await server.health()).password;
  // @ts-expect-error prompts are texts
  await trainer.train([1]);
}
