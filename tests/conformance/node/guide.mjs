// The agent that the programs for @openai/agents-realtime talk with: it has a function that it runs itself.

import { RealtimeAgent, tool } from "@openai/agents-realtime";
import { z } from "zod";

/** It notes "tool" whenever it looks the weather up, which is always sunny. */
export function guide(person) {
  const getWeather = tool({
    name: "get_weather",
    description: "What the weather is like in a city.",
    parameters: z.object({ city: z.string() }),
    async execute({ city }) {
      person.note("tool", { city });
      return "sunny";
    },
  });
  return new RealtimeAgent({ name: "Guide", instructions: "You are a helpful guide.", tools: [getWeather] });
}
