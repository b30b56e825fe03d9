/** The routes that a domain of prompts adds to a server, as `paths` of schema.ts would have them. */

type Answer<Body> = { 200: { content: { "application/json": Body } } };
type Post<Body, Result> = {
  post: { requestBody: { content: { "application/json": Body } }; responses: Answer<Result> };
};

export interface DomainPaths {
  "/mutate": Post<
    { prompt: string; action: number; task?: string | null },
    { prompt: string; mask: boolean[] | null; changed: boolean }
  >;
  "/score": Post<{ prompt: string; task?: string | null }, { reward: number }>;
}
