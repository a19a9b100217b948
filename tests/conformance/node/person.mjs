// A person in front of a real client: speaks into its microphone in real time, and notes what the client shows.
//
// It does not know the protocol. The same as person.py, for Node.

import { EventEmitter, once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const FRAME_BYTES = 960; // 20 ms of 16-bit samples at 24 kHz, as a microphone gives them
const FRAME_MS = 20;
const BREATH_MS = 500; // nobody speaks at the very moment at which a microphone opens
const PATIENCE_MS = 15_000;

export class Person {
  #folder;
  #pending = [];
  #notes = [];
  #turned = 0;
  #news = new EventEmitter();
  #microphone;

  #read;
  #kind;

  /** `read` gives the frames of 20 ms in a file of this kind: samples as they are, unless a client wants other ones. */
  constructor(read = (path) => framesOf(readFileSync(path)), kind = "pcm") {
    this.#read = read;
    this.#kind = kind;
    [this.url, this.key, this.#folder, this.plot] = process.argv.slice(2);
  }

  /** Tell the test what the client has just shown. */
  note(kind, facts = {}) {
    const note = { saw: kind, ...facts };
    process.stdout.write(JSON.stringify(note) + "\n");
    this.#notes.push(note);
    this.#news.emit("note");
  }

  /** The next note of this kind that matches, counted from the one that was waited for before. */
  async until(kind, matches = () => true) {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    for (;;) {
      const found = this.#notes.findIndex(
        (note, number) => number >= this.#turned && note.saw === kind && matches(note),
      );
      if (found >= 0) {
        this.#turned = found + 1;
        return this.#notes[found];
      }
      await once(this.#news, "note", { signal });
    }
  }

  /** Speak this line from now on. */
  say(name) {
    this.#pending.push(...this.#frames(name));
  }

  /** Keep the microphone open: a frame every 20 ms, speech if there is any, or else the quiet room. */
  hold(send) {
    const room = this.#frames("room");
    const began = performance.now();
    let number = 0;
    this.#microphone = setInterval(() => {
      while (number * FRAME_MS <= performance.now() - began) {
        send(this.#pending.shift() ?? room[number % room.length]);
        number += 1;
      }
    }, FRAME_MS / 2);
  }

  /**
   * Play the plot. The program notes "answered" with the text of every answer that was spoken to its end, "audio" when
   * sound of an answer came, and "interrupted" when its client stopped playing. `pressStop` is what its client offers for
   * a button that ends an answer.
   */
  async converse(typeText, pressStop) {
    if (this.plot === "sum") {
      await sleep(BREATH_MS);
      this.say("sum");
      await this.until("answered");
    } else {
      typeText("hello");
      await this.until("answered");
      this.say("weather");
      await this.until("answered", (note) => note.text.includes("Paris"));
      this.say("story");
      await this.until("audio");
      await sleep(1500);
      this.say("stop");
      await this.until("interrupted");
      await this.until("answered", (note) => note.text.includes("stop"));
      typeText("one more story");
      await this.until("audio");
      await sleep(1000);
      pressStop();
      await this.until("interrupted");
      typeText("goodbye");
      await this.until("answered", (note) => note.text.includes("goodbye"));
    }
    clearInterval(this.#microphone);
  }

  #frames(name) {
    return this.#read(join(this.#folder, `${name}.${this.#kind}`));
  }
}

function framesOf(data) {
  const frames = [];
  for (let start = 0; start + FRAME_BYTES <= data.length; start += FRAME_BYTES) {
    frames.push(data.subarray(start, start + FRAME_BYTES));
  }
  return frames;
}
