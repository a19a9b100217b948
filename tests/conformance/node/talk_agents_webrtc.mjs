// @openai/agents-realtime in Node over its own WebRTC transport, with werift where a browser has its own.
//
// Node has neither microphone nor Opus: what the person says lies encoded in files.

import { readFileSync } from "node:fs";

import { OpenAIRealtimeWebRTC, RealtimeAgent, RealtimeSession } from "@openai/agents-realtime";
import { MediaStreamTrack, RTCPeerConnection, RtpHeader, RtpPacket } from "werift";

import { Person } from "./person.mjs";

const OPUS = 96; // the number by which werift offers it
const FRAME_TICKS = 960; // 20 ms of the RTP clock

const person = new Person((path) => packetsOf(readFileSync(path)), "opus");
const calls = `${person.url.replace(/^ws/, "http")}/calls`;
const microphone = new MediaStreamTrack({ kind: "audio" });
globalThis.RTCPeerConnection = RTCPeerConnection;

const session = new RealtimeSession(new RealtimeAgent({ name: "Guide", instructions: "You are a helpful guide." }), {
  transport: new OpenAIRealtimeWebRTC({
    baseUrl: calls,
    mediaStream: { getAudioTracks: () => [microphone] },
    audioElement: { autoplay: true, srcObject: null },
    useInsecureApiKey: true,
    changePeerConnection(peer) {
      peer.onTrack.subscribe((track) =>
        track.onReceiveRtp.subscribe((packet) => person.note("audio", { bytes: packet.payload.length })),
      );
      return peer;
    },
  }),
  model: "gpt-realtime-2.1",
  config: {
    audio: { input: { transcription: { model: "gpt-4o-mini-transcribe" }, turnDetection: { type: "server_vad" } } },
  },
});

session.on("agent_end", (context, agent, output) => person.note("answered", { text: output }));
session.on("error", ({ error }) => person.note("error", { error: JSON.stringify(error) ?? String(error) }));
session.on("transport_event", (event) => {
  if (event.type === "conversation.item.input_audio_transcription.completed") {
    person.note("heard", { text: event.transcript });
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
