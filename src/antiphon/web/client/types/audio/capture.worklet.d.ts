/** The microphone's side of the audio thread: any rate and any number of channels in, 20 ms of 24 kHz mono out. */
export {};
