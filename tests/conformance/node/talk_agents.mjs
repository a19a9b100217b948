// @openai/agents-realtime in Node over WebSocket: a RealtimeSession with a function tool.

import { OpenAIRealtimeWebSocket, RealtimeSession } from "@openai/agents-realtime";

import { guide } from "./guide.mjs";
import { Person } from "./person.mjs";

const person = new Person();

const session = new RealtimeSession(guide(person), {
  transport: new OpenAIRealtimeWebSocket({ url: `${person.url}?model=gpt-realtime-2.1` }),
  model: "gpt-realtime-2.1",
  config: {
    audio: {
      input: {
        transcription: { model: "gpt-4o-mini-transcribe" },
        turnDetection: { type: "server_vad", interruptResponse: true },
      },
    },
  },
});

session.on("audio", (event) => person.note("audio", { bytes: event.data.byteLength }));
session.on("audio_interrupted", () => person.note("interrupted"));
session.on("agent_end", (context, agent, output) => person.note("answered", { text: output }));
session.on("history_updated", (history) =>
  person.note("history", { roles: history.map((item) => item.role ?? item.type) }),
);
session.on("error", ({ error }) => person.note("error", { error: JSON.stringify(error) ?? String(error) }));
session.on("transport_event", (event) => {
  if (event.type === "conversation.item.input_audio_transcription.completed") {
    person.note("heard", { text: event.transcript });
  }
});

await session.connect({ apiKey: person.key });
person.hold((frame) => session.sendAudio(frame.buffer.slice(frame.byteOffset, frame.byteOffset + frame.byteLength)));
await person.converse(
  (text) => session.sendMessage(text),
  () => session.interrupt(),
);
session.close();
person.note("end");
