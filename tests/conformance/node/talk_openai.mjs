// openai for Node: OpenAIRealtimeWS over TLS. It only passes messages, so this program plays, runs the function and cuts.

import { once } from "node:events";

import OpenAI from "openai";
import { OpenAIRealtimeWS } from "openai/realtime/ws";

import { Person } from "./person.mjs";

const BYTES_PER_MS = 48; // 16-bit samples at 24 kHz

const person = new Person();
const baseURL = person.url.replace("ws", "http").replace(/\/realtime$/, "");
const client = new OpenAI({ apiKey: person.key, baseURL });
const realtime = await OpenAIRealtimeWS.create(client, { model: "gpt-realtime-2.1" });

let playing; // what is being played, until its response is done: { item, began, bytes }

realtime.on("error", (error) => person.note("error", { error: error.message }));
realtime.on("conversation.item.input_audio_transcription.completed", ({ transcript }) =>
  person.note("heard", { text: transcript }),
);
realtime.on("response.output_audio.delta", ({ item_id: item, delta }) => {
  const bytes = Buffer.from(delta, "base64").length;
  if (playing?.item !== item) playing = { item, began: performance.now(), bytes: 0 };
  playing.bytes += bytes;
  person.note("audio", { bytes });
});
realtime.on("input_audio_buffer.speech_started", () => {
  if (playing) cut();
});
realtime.on("response.done", ({ response }) => {
  playing = undefined;
  if (response.status === "completed") response.output.forEach(finish);
});

function cut() {
  const { item, began, bytes } = playing;
  const playedMs = Math.floor(Math.min(bytes / BYTES_PER_MS, performance.now() - began));
  realtime.send({ type: "conversation.item.truncate", item_id: item, content_index: 0, audio_end_ms: playedMs });
  playing = undefined;
  person.note("interrupted");
}

function finish(item) {
  if (item.type === "message") {
    person.note("answered", { text: item.content.map((part) => part.transcript ?? "").join("") });
  } else if (item.type === "function_call") {
    person.note("tool", { city: JSON.parse(item.arguments).city });
    const output = { type: "function_call_output", call_id: item.call_id, output: "sunny" };
    realtime.send({ type: "conversation.item.create", item: output });
    realtime.send({ type: "response.create" });
  }
}

await once(realtime.socket, "open");
realtime.send({
  type: "session.update",
  session: {
    type: "realtime",
    instructions: "You are a helpful guide.",
    audio: {
      input: {
        transcription: { model: "gpt-4o-mini-transcribe" },
        turn_detection: { type: "server_vad", interrupt_response: true },
      },
      output: { voice: "marin" },
    },
    tools: [
      {
        type: "function",
        name: "get_weather",
        description: "What the weather is like in a city.",
        parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
      },
    ],
  },
});
person.hold((frame) => realtime.send({ type: "input_audio_buffer.append", audio: frame.toString("base64") }));
await person.converse(
  (text) => {
    const content = [{ type: "input_text", text }];
    realtime.send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
    realtime.send({ type: "response.create" });
  },
  () => {
    realtime.send({ type: "response.cancel" });
    cut();
  },
);
realtime.close();
person.note("end");
