// @openai/agents-realtime in Node over its own WebRTC transport, with werift where a browser has its own.
//
// Node has neither microphone nor Opus: what the person says lies encoded in files.

import { readFileSync } from "node:fs";

import { OpenAIRealtimeWebRTC, RealtimeSession } from "@openai/agents-realtime";
import { MediaStreamTrack, RTCPeerConnection, RtpHeader, RtpPacket } from "werift";

import { guide } from "./guide.mjs";
import { Person } from "./person.mjs";

const OPUS = 96; // the number by which werift offers it
const FRAME_TICKS = 960; // 20 ms of the RTP clock
const SILENT_BYTES = 20; // of a packet in which nothing is heard, at most

const person = new Person((path) => packetsOf(readFileSync(path)), "opus");
const calls = `${person.url.replace(/^ws/, "http")}/calls`;
const microphone = new MediaStreamTrack({ kind: "audio" });
globalThis.RTCPeerConnection = RTCPeerConnection;

let written = ""; // the last answer: its text is there before its sound is over, and a person waits for that
let isPlaying = false; // after an answer, too, packets come for a while

const session = new RealtimeSession(guide(person), {
  transport: new OpenAIRealtimeWebRTC({
    baseUrl: calls,
    mediaStream: { getAudioTracks: () => [microphone] },
    audioElement: { autoplay: true, srcObject: null },
    useInsecureApiKey: true,
    changePeerConnection(peer) {
      peer.onTrack.subscribe((track) =>
        track.onReceiveRtp.subscribe(({ payload }) => {
          if (isPlaying && payload.length > SILENT_BYTES) person.note("audio", { bytes: payload.length });
        }),
      );
      return peer;
    },
  }),
  model: "gpt-realtime-2.1",
  config: {
    audio: { input: { transcription: { model: "gpt-4o-mini-transcribe" }, turnDetection: { type: "server_vad" } } },
  },
});

session.on("agent_end", (context, agent, output) => {
  written = output;
});
session.on("history_updated", (history) =>
  person.note("history", { roles: history.map((item) => item.role ?? item.type) }),
);
session.on("error", ({ error }) => person.note("error", { error: JSON.stringify(error) ?? String(error) }));
session.on("transport_event", (event) => {
  switch (event.type) {
    case "conversation.item.input_audio_transcription.completed":
      person.note("heard", { text: event.transcript });
      break;
    case "output_audio_buffer.started":
      isPlaying = true;
      break;
    case "output_audio_buffer.stopped":
      isPlaying = false;
      person.note("answered", { text: written });
      break;
    case "output_audio_buffer.cleared":
      isPlaying = false;
      person.note("interrupted");
      break;
  }
});

await session.connect({ apiKey: person.key });
let sequenceNumber = 0;
person.hold((payload) => {
  const header = new RtpHeader({
    payloadType: OPUS,
    sequenceNumber: sequenceNumber & 0xffff,
    timestamp: (sequenceNumber * FRAME_TICKS) >>> 0,
  });
  sequenceNumber += 1;
  microphone.writeRtp(new RtpPacket(header, payload));
});
await person.converse(
  (text) => session.sendMessage(text),
  () => session.interrupt(),
);
const { callId } = session.transport;
session.close();
// werift closes without a word to the other side, which would wait for it to come back.
await fetch(`${calls}/${callId}/hangup`, { method: "POST", headers: { Authorization: `Bearer ${person.key}` } });
person.note("end");
process.exit(0); // werift keeps a timer

/** Packets as the test wrote them: each behind its length, 16 bits. */
function packetsOf(data) {
  const packets = [];
  for (let start = 0; start < data.length; ) {
    const end = start + 2 + data.readUInt16LE(start);
    packets.push(data.subarray(start + 2, end));
    start = end;
  }
  return packets;
}
