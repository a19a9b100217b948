// src/client/transport.ts
var e = class extends Error {
	code;
	constructor(e, t) {
		super(t), this.code = e;
	}
	get mayReturn() {
		return this.code === "away" || this.code === "busy" || this.code === "warming";
	}
};
function t(e) {
	return e === null ? "antiphon=1&resumable=1" : `antiphon=1&resume=${e.token}&after=${encodeURIComponent(e.after)}`;
}
function n() {
	return new e("gone", "The session is over.");
}
async function r({ origin: t, key: n }, r) {
	let a = n ? { Authorization: `Bearer ${n}` } : {}, s = await i(`${t}/v1/models`, {
		headers: a,
		cache: "no-store",
		signal: r ?? null
	});
	if (!s.ok) {
		let { code: t, message: r } = await o(s);
		if (t === "client_secret_expired") throw new e("key", r);
		if (s.status === 401) throw new e("key", n ? "The server does not know this key." : "This server asks for a key.");
		if (t !== "insufficient_permissions") throw new e("refused", r);
	}
	if (!(await i(`${t}/ready`, {
		cache: "no-store",
		signal: r ?? null
	})).ok) throw new e("warming", "The server is still warming up.");
}
async function i(t, n) {
	try {
		return await fetch(t, n);
	} catch (t) {
		throw t instanceof DOMException && t.name === "AbortError" ? t : new e("away", "The server does not answer. Is “antiphon serve” running?");
	}
}
async function a(e) {
	return (await o(e)).message;
}
async function o(e) {
	let t = {
		code: null,
		message: `The server said ${e.status}.`
	};
	try {
		let n = await e.json();
		return {
			...t,
			...n.error
		};
	} catch {
		return t;
	}
}
// src/client/call.ts
var s = 15e3, c = "The call was taken, but no way to the server was found. Choose WebSocket.", l = 2e3, u = 10, d = 60, ee = .001, te = 5e3, f = class t {
	kind = "webrtc";
	peer;
	#e;
	#t;
	#n;
	#r;
	#i = !1;
	constructor(e, t, n, r) {
		this.peer = e, this.#e = t, this.#t = n, this.#n = r, t.onmessage = (e) => r.onMessage(JSON.parse(e.data)), t.onclose = () => this.#o("The server ended the call."), e.onconnectionstatechange = () => this.#a();
	}
	static async open(n, i, a, o, s = null, c) {
		if (typeof RTCPeerConnection > "u") throw new e("unable", "This browser has no WebRTC.");
		await r(n, c);
		let l = new RTCPeerConnection();
		a.muted = !1;
		try {
			let e = l.addTransceiver(i ?? "audio", { direction: "sendrecv" }).sender;
			i === null && await e.replaceTrack(null), l.ontrack = (e) => {
				a.srcObject = e.streams[0] ?? new MediaStream([e.track]), a.play().catch(() => void 0);
			};
			let r = l.createDataChannel("oai-events");
			return await l.setLocalDescription(await l.createOffer()), await l.setRemoteDescription({
				type: "answer",
				sdp: await ne(n, l, s, c)
			}), await re(l, r, c), new t(l, r, a, o);
		} catch (e) {
			throw l.close(), e;
		}
	}
	send(e) {
		this.#e.readyState === "open" && this.#e.send(JSON.stringify(e));
	}
	async use(e) {
		await this.peer.getSenders()[0]?.replaceTrack(e);
	}
	hush() {
		this.#t.muted = !0;
	}
	unhush() {
		this.#t.muted = !1;
	}
	async audible() {
		let e = performance.now() + l;
		for (; performance.now() < e && !this.#i;) {
			let [e] = this.peer.getReceivers()[0]?.getSynchronizationSources() ?? [], t = performance.now();
			if (e !== void 0 && performance.timeOrigin + t - e.timestamp < d && (e.audioLevel ?? 1) > ee) return t;
			await new Promise((e) => setTimeout(e, u));
		}
		return null;
	}
	close() {
		this.#i = !0, clearTimeout(this.#r), this.#e.onclose = this.#e.onmessage = null, this.peer.onconnectionstatechange = null, this.#e.close(), this.peer.close();
	}
	#a() {
		clearTimeout(this.#r);
		let e = this.peer.connectionState;
		(e === "failed" || e === "closed") && this.#o("The connection was lost."), e === "disconnected" && (this.#r = setTimeout(() => this.#o("The connection was lost."), te));
	}
	#o(e) {
		this.#i || (this.close(), this.#n.onClosed({
			message: e,
			mayReturn: !0
		}));
	}
};
async function ne(r, o, s, c) {
	let l = { "Content-Type": "application/sdp" };
	r.key && (l.Authorization = `Bearer ${r.key}`);
	let u = o.localDescription?.sdp ?? "", d = await i(`${r.origin}/v1/realtime/calls?${t(s)}`, {
		method: "POST",
		headers: l,
		body: u,
		signal: c ?? null
	});
	if (s !== null && (d.status === 404 || d.status === 409)) throw n();
	if (d.status === 404) throw new e("unable", "This server has no WebRTC. Choose WebSocket.");
	if (d.status === 503) throw new e("busy", await a(d));
	if (!d.ok) throw new e("refused", await a(d));
	return await d.text();
}
async function re(t, n, r) {
	if (n.readyState === "open") return;
	let i = new AbortController(), a = {
		once: !0,
		signal: i.signal
	};
	try {
		await new Promise((o, l) => {
			let u = () => l(new e("unable", c)), d = setTimeout(u, s);
			i.signal.addEventListener("abort", () => clearTimeout(d)), r?.addEventListener("abort", () => l(new DOMException("given up", "AbortError")), a), t.addEventListener("connectionstatechange", () => t.connectionState === "failed" && u(), { signal: i.signal }), n.addEventListener("open", () => o(), a);
		});
	} finally {
		i.abort();
	}
}
// src/client/audio/capture.worklet.ts?worker&url
var ie = new URL("capture.worklet.js", import.meta.url).href, ae = {
	refused: "The browser does not let this page hear you. Allow the microphone next to the address, then try again. You can type meanwhile.",
	missing: "No microphone was found. Plug one in and try again. You can type meanwhile.",
	busy: "Another program holds the microphone. Close it there and try again. You can type meanwhile.",
	insecure: "Browsers give a microphone only to pages on https or on this same machine. Start the server with --tls-self-signed, and open its https address.",
	lost: "The microphone is gone. Plug it in again, or go on with another one. You can type meanwhile."
}, oe = /* @__PURE__ */ new Set(["default", "communications"]), p = class extends Error {
	fault;
	constructor(e) {
		super(ae[e]), this.fault = e;
	}
}, m = class e {
	stream;
	#e;
	#t;
	constructor(e, t, n) {
		this.stream = e, this.#t = t, this.#e = n;
	}
	static async open(t, n, r, i) {
		let a = await g(n);
		a.getAudioTracks()[0].onended = i, await t.audioWorklet.addModule(ie);
		let o = t.createMediaStreamSource(a), s = new AudioWorkletNode(t, "antiphon-capture", {
			numberOfInputs: 1,
			numberOfOutputs: 0
		});
		return s.port.onmessage = (e) => r(e.data), o.connect(s), new e(a, o, s);
	}
	get deviceId() {
		return this.stream.getAudioTracks()[0]?.getSettings().deviceId ?? null;
	}
	close() {
		for (let e of this.stream.getTracks()) e.onended = null, e.stop();
		this.#e.port.onmessage = null, this.#t.disconnect(), this.#e.disconnect();
	}
};
async function h() {
	return navigator.mediaDevices ? (await navigator.mediaDevices.enumerateDevices()).filter((e) => e.kind === "audioinput" && e.deviceId !== "").map((e, t) => ({
		id: e.deviceId,
		name: e.label || `Microphone ${t + 1}`
	})) : [];
}
function se(e) {
	let t = e.filter((e) => !oe.has(e.id));
	return t.length > 0 ? t : e;
}
function ce(e) {
	let t = navigator.mediaDevices;
	return t?.addEventListener("devicechange", e), () => t?.removeEventListener("devicechange", e);
}
async function g(e) {
	if (!navigator.mediaDevices) throw new p("insecure");
	let t = {
		echoCancellation: !0,
		noiseSuppression: !0,
		autoGainControl: !0,
		channelCount: 1
	};
	e && (t.deviceId = { exact: e });
	try {
		return await navigator.mediaDevices.getUserMedia({ audio: t });
	} catch (t) {
		let n = t instanceof DOMException ? t.name : "";
		if (n === "OverconstrainedError" && e) return await g(null);
		throw new p(le(n));
	}
}
function le(e) {
	return e === "NotFoundError" || e === "OverconstrainedError" ? "missing" : e === "NotReadableError" || e === "AbortError" ? "busy" : "refused";
}
// src/client/socket.ts
var ue = 1e4, de = 96e3, fe = 1e3, pe = 4e3, _ = class i {
	kind = "websocket";
	#e;
	dropped = 0;
	constructor(e, t) {
		this.#e = e, e.onmessage = (e) => t.onMessage(JSON.parse(e.data)), e.onclose = (e) => t.onClosed(he(e));
	}
	static async open(a, o, s = null, c) {
		await r(a, c);
		let l = `${a.origin.replace(/^http/, "ws")}/v1/realtime?${t(s)}`, u = ["realtime", ...a.key ? [`openai-insecure-api-key.${a.key}`] : []];
		try {
			return new i(await v(l, u, c), o);
		} catch (t) {
			throw s !== null && t instanceof e && t.code === "busy" ? n() : t;
		}
	}
	send(e) {
		this.#e.readyState === WebSocket.OPEN && this.#e.send(JSON.stringify(e));
	}
	sendSound(e) {
		return this.#e.readyState === WebSocket.OPEN ? this.#e.bufferedAmount > de ? (this.dropped += 1, !1) : (this.#e.send(e), !0) : !1;
	}
	sendLate(e) {
		for (let t of e) this.#e.send(t);
	}
	close() {
		this.#t(fe);
	}
	abandon() {
		this.#t(pe);
	}
	#t(e) {
		this.#e.onclose = null, this.#e.onmessage = null, this.#e.close(e);
	}
};
async function v(t, n, r) {
	let i = me(t, n);
	return await new Promise((t, n) => {
		let a = (e) => {
			clearTimeout(o), i.onopen = i.onclose = null, i.close(), n(e);
		}, o = setTimeout(() => a(new e("away", "The server does not answer.")), ue);
		r?.addEventListener("abort", () => a(new DOMException("given up", "AbortError")), { once: !0 }), i.onclose = () => a(new e("busy", "The server has no room for another conversation now.")), i.onopen = () => {
			clearTimeout(o), i.onopen = i.onclose = null, t(i);
		};
	});
}
function me(t, n) {
	try {
		return new WebSocket(t, n);
	} catch {
		throw new e("key", "This key has letters that a browser cannot send.");
	}
}
function he(e) {
	switch (e.reason) {
		case "drain": return {
			message: "The server is restarting.",
			mayReturn: !0
		};
		case "idle": return {
			message: "The server hung up because nothing was said for a long time.",
			mayReturn: !1
		};
		case "session_expired": return {
			message: "The longest time for one conversation is over.",
			mayReturn: !1
		};
		case "too_slow": return {
			message: "This browser read too slowly, and the server hung up.",
			mayReturn: !0
		};
		case "limit": return {
			message: "This key has used up what it may send.",
			mayReturn: !1
		};
		default: return {
			message: "The connection was lost.",
			mayReturn: !0
		};
	}
}
// src/client/captions.ts
var y = {
	state: "off",
	lines: [],
	problem: null
}, ge = 100, _e = [
	"audio/webm;codecs=opus",
	"audio/ogg;codecs=opus",
	"audio/mp4"
];
function ve(e, t) {
	switch (t.type) {
		case "transcription": {
			let { id: n, start: r, text: i, partial: a, stable: o = "", tail: s = "" } = t, c = a ? {
				id: n,
				start: r,
				stable: o,
				tail: s,
				isOver: !1
			} : {
				id: n,
				start: r,
				stable: i,
				tail: "",
				isOver: !0
			}, l = e.lines.filter((e) => e.id !== n);
			return {
				...e,
				lines: c.stable || c.tail ? [...l, c] : l
			};
		}
		case "error": return {
			...e,
			problem: `${t.message}. ${t.hint}`
		};
		default: return e;
	}
}
var ye = class {
	state = y;
	#e;
	#t = null;
	#n = null;
	constructor(e) {
		this.#e = e;
	}
	async start(t, n, i = null) {
		if (this.state.state !== "off") return;
		this.#o({
			...y,
			state: "starting"
		});
		let a = null;
		try {
			a = await g(n), await r(t);
			let e = ["realtime", ...t.key ? [`openai-insecure-api-key.${t.key}`] : []];
			this.#t = await v(`${t.origin.replace(/^http/, "ws")}/ws/transcribe`, e), i && this.expect(i), this.#r(a, this.#t);
		} catch (t) {
			for (let e of a?.getTracks() ?? []) e.stop();
			let n = t instanceof p || t instanceof e;
			this.#o({
				...this.state,
				state: "off",
				problem: n ? t.message : "This browser cannot record."
			});
		}
	}
	expect(e) {
		this.#i({
			action: "language",
			language: e
		});
	}
	stop() {
		this.state.state === "listening" && (this.#o({
			...this.state,
			state: "ending"
		}), this.#n?.stop());
	}
	close() {
		this.#o = () => void 0, this.#a(null);
	}
	#r(e, t) {
		let n = _e.find((e) => MediaRecorder.isTypeSupported(e)), r = new MediaRecorder(e, n ? { mimeType: n } : {});
		r.ondataavailable = ({ data: e }) => {
			e.size && t.readyState === WebSocket.OPEN && t.send(e);
		}, r.onstop = () => {
			for (let t of e.getTracks()) t.stop();
			this.#i({ action: "end" });
		}, t.onmessage = (e) => {
			let t = JSON.parse(e.data);
			this.#o(ve(this.state, t)), t.type === "final" && this.#a(this.state.problem);
		}, t.onclose = () => this.#a(this.state.problem ?? "The connection was lost."), r.start(ge), this.#n = r, this.#o({
			...this.state,
			state: "listening"
		});
	}
	#i(e) {
		this.#t?.readyState === WebSocket.OPEN && this.#t.send(JSON.stringify(e));
	}
	#a(e) {
		let [t, n] = [this.#t, this.#n];
		this.#t = this.#n = null, t && (t.onclose = t.onmessage = null, t.close(1e3)), n && n.state !== "inactive" && n.stop(), this.#o({
			...this.state,
			state: "off",
			problem: e
		});
	}
	#o = (e) => {
		this.state = e, this.#e(e);
	};
}, b = {
	state: "off",
	fault: null,
	message: "",
	deviceId: null,
	others: []
}, x = class {
	#e;
	#t;
	#n = b;
	#r = null;
	#i = null;
	#a = !0;
	#o = 0;
	#s = [];
	#c = () => void 0;
	constructor(e, t) {
		this.#e = e, this.#t = t;
	}
	get track() {
		return this.#r?.stream.getAudioTracks()[0] ?? null;
	}
	async open(e) {
		this.#i = e, this.#c(), this.#c = ce(() => void this.#d()), await this.#l(e);
	}
	close() {
		this.#c(), this.#f(), this.#m(b);
	}
	hear(e) {
		this.#a = e, this.track && (this.track.enabled = e);
	}
	async #l(e) {
		this.#f(), this.#m({
			...b,
			state: "asking"
		});
		let t = this.#o;
		try {
			let n = await m.open(this.#e, e, this.#t.onFrame, () => void this.#u());
			if (t !== this.#o) return n.close();
			this.#r = n, this.hear(this.#a), this.#m({
				...b,
				state: "on",
				deviceId: this.#r.deviceId
			}), this.#s = (await h()).map((e) => e.id);
		} catch (e) {
			if (t !== this.#o) return;
			this.#p(e instanceof p ? e : new p("busy"));
		}
		this.#t.onTrack(this.track);
	}
	async #u() {
		this.#f(), this.#p(new p("lost")), this.#t.onLost(), await this.#d();
	}
	async #d() {
		let e = await h(), t = se(e), n = t.filter((e) => !this.#s.includes(e.id));
		if (this.#s = e.map((e) => e.id), this.#n.fault !== "lost" && this.#n.fault !== "missing") return;
		let r = n.find((e) => e.id === this.#i) ?? n[0];
		r ? await this.#l(r.id) : this.#m({
			...this.#n,
			others: t
		});
	}
	#f() {
		this.#o += 1, this.#r?.close(), this.#r = null;
	}
	#p({ fault: e, message: t }) {
		this.#m({
			...b,
			state: "fault",
			fault: e,
			message: t
		});
	}
	#m(e) {
		this.#n = e, this.#t.onState(e);
	}
}, S = {
	roundTripMs: [150, 400],
	jitterMs: [30, 80],
	lost: [.01, .05],
	concealed: [.08, .2]
};
function be(e) {
	if (e === null) return {
		grade: "unknown",
		advice: "Nothing has been measured yet."
	};
	let t = Object.keys(S).filter((t) => e[t] !== null);
	if (t.length === 0) return {
		grade: "unknown",
		advice: "Nothing has been measured yet."
	};
	let n = t.map((t) => ({
		name: t,
		rank: Se(e[t], S[t])
	})).reduce((e, t) => t.rank > e.rank ? t : e), r = [
		"good",
		"fair",
		"poor"
	][n.rank];
	return {
		grade: r,
		advice: r === "good" ? "The connection does not hold the conversation up." : xe[n.name]
	};
}
var xe = {
	roundTripMs: "The way to the server is long: every answer comes later by this much. A server nearer to you would help.",
	jitterMs: "Packets come unevenly, so sound has to be held back. A cable instead of Wi-Fi, or fewer downloads, would help.",
	lost: "Packets are lost. A cable instead of Wi-Fi would help; over WebSocket nothing is lost, but it comes later.",
	concealed: "Some sound came too late and had to be invented. A steadier network would help."
};
function Se(e, [t, n]) {
	return e > n ? 2 : +(e > t);
}
var C = {
	received: 0,
	lost: 0,
	samples: 0,
	concealed: 0,
	bufferedS: 0,
	emitted: 0,
	jitterS: null,
	roundTripS: null,
	path: ""
};
function w(e, t) {
	let n = Math.max(0, t.lost - e.lost), r = t.received - e.received, i = t.emitted - e.emitted;
	return {
		roundTripMs: t.roundTripS === null ? null : t.roundTripS * 1e3,
		jitterMs: t.jitterS === null ? null : t.jitterS * 1e3,
		lost: r + n > 0 ? n / (r + n) : null,
		concealed: Ce(t.concealed - e.concealed, t.samples - e.samples),
		bufferMs: i > 0 ? (t.bufferedS - e.bufferedS) / i * 1e3 : null,
		path: t.path
	};
}
function Ce(e, t) {
	return t > 0 ? Math.max(0, e) / t : null;
}
function T(e) {
	let t = [...e.values()], n = t.find((e) => e.type === "inbound-rtp" && e.kind === "audio") ?? {}, r = t.find((e) => e.type === "transport")?.selectedCandidatePairId, i = t.find((e) => e.type === "candidate-pair" && e.id === r) ?? t.find((e) => e.type === "candidate-pair" && e.nominated === !0 && e.state === "succeeded") ?? {}, a = (e) => t.find((t) => t.id === i[e]);
	return {
		received: E(n.packetsReceived),
		lost: E(n.packetsLost),
		samples: E(n.totalSamplesReceived),
		concealed: E(n.concealedSamples) - E(n.silentConcealedSamples),
		bufferedS: E(n.jitterBufferDelay),
		emitted: E(n.jitterBufferEmittedCount),
		jitterS: typeof n.jitter == "number" ? n.jitter : null,
		roundTripS: typeof i.currentRoundTripTime == "number" ? i.currentRoundTripTime : null,
		path: [a("localCandidateId"), a("remoteCandidateId")].map(we).filter(Boolean).join(" → ")
	};
}
function we(e) {
	return e ? `${String(e.candidateType)} ${String(e.protocol)}` : "";
}
function E(e) {
	return typeof e == "number" ? e : 0;
}
// src/client/calls.ts
function D(e) {
	return {
		kind: "tool",
		output: null,
		progress: "",
		ok: !0,
		endedMs: null,
		tookMs: null,
		permission: null,
		...e
	};
}
function Te(e, t, n) {
	switch (e.type) {
		case "antiphon.approval.requested": {
			let t = {
				state: "asked",
				untilMs: n + 1e3 * e.expires_in_s,
				requestId: null
			};
			return {
				...D({
					...O(e),
					responseId: "",
					beganMs: n
				}),
				permission: t
			};
		}
		case "antiphon.approval.done": return k(t(e.call_id), Oe(e.outcome));
		case "antiphon.tool.started": {
			let r = t(e.call_id)?.permission ?? null;
			return {
				...D({
					...O(e),
					responseId: e.response_id,
					beganMs: n
				}),
				permission: r
			};
		}
		case "antiphon.tool.progress": return A(t(e.call_id), { progress: e.text });
		case "antiphon.tool.done":
		case "antiphon.task.done": return A(t(e.call_id), {
			output: e.output,
			ok: e.ok,
			endedMs: n,
			tookMs: null
		});
		default: return null;
	}
}
function Ee(e, t, n, r) {
	let i = t.filter((e) => e.kind === "tool");
	if (e.type === "mcp_approval_response") return k(i.find((t) => t.permission?.requestId === e.approval_request_id), e.approve ? "allowed" : "refused");
	if (e.type !== "mcp_call" || !e.id) return null;
	let a = i.find((t) => t.id === e.id) ?? D({
		id: e.id,
		responseId: n,
		name: e.name,
		arguments: "",
		place: "mcp",
		beganMs: r
	}), o = e.output !== null || e.error !== null;
	return {
		...a,
		arguments: e.arguments || a.arguments,
		output: e.error === null ? e.output : e.error.message,
		ok: e.error === null,
		endedMs: o ? a.endedMs ?? r : null,
		permission: a.permission ?? De(e.approval_request_id)
	};
}
function De(e) {
	return e === null ? null : {
		state: "asked",
		untilMs: null,
		requestId: e
	};
}
function O(e) {
	return {
		id: e.call_id,
		name: e.name,
		arguments: e.arguments,
		place: "server"
	};
}
function Oe(e) {
	return e === "allowed" || e === "expired" ? e : "refused";
}
function k(e, t) {
	return e?.permission ? {
		...e,
		permission: {
			...e.permission,
			state: t
		}
	} : null;
}
function A(e, t) {
	return e === void 0 ? null : {
		...e,
		...t
	};
}
// src/client/session.ts
var j = {
	session: null,
	own: null,
	hasSpoken: !1,
	entries: [],
	timings: [],
	problem: null,
	isPersonSpeaking: !1,
	responding: null,
	playing: null,
	marks: {},
	brokenAtMs: null
}, ke = 1e3 / 15, Ae = 48;
function M(e, t) {
	switch (t.kind) {
		case "message": return Ne(e, t.message, t.atMs);
		case "audible": return He(e, t.itemId, t.atMs);
		case "played": return K(e, t.itemId, (e) => ({
			...e,
			playedMs: Math.max(e.playedMs, t.playedMs)
		}));
		case "ended": return K(e, t.itemId, (e) => ({
			...e,
			playedMs: e.receivedMs
		}));
		case "cut": return K(e, t.itemId, (e) => B(e, t.playedMs));
		case "answered": return q(e, t.callId, (e) => ({
			...e,
			output: t.output,
			ok: t.ok,
			endedMs: t.atMs
		}));
		case "dismissed": return {
			...e,
			problem: null
		};
		case "broken": return {
			...e,
			brokenAtMs: t.atMs
		};
		case "disconnected": return qe(e);
		case "forgotten": return j;
	}
}
function N(e) {
	let t = P(e);
	return {
		heard: t.slice(0, e.heardLength),
		rest: t.slice(e.heardLength)
	};
}
function P(e) {
	return e.spans.map((e) => e.text).join("");
}
function F(e) {
	let t = P(e).length;
	if (!e.isSpoken) return t;
	if (e.receivedMs === 0) return 0;
	if (e.state === "done" && e.playedMs >= e.receivedMs) return t;
	let n = 0;
	for (let [t, r] of e.spans.entries()) {
		let i = e.spans[t + 1]?.startMs ?? je(e, r), a = i > r.startMs ? (e.playedMs - r.startMs) / (i - r.startMs) : +(e.playedMs >= i);
		if (a < 1) return n + Me(r.text, Math.max(0, a)).length;
		n += r.text.length;
	}
	return n;
}
function je(e, t) {
	let n = e.state === "coming" ? t.text.length * ke : 0;
	return Math.max(e.receivedMs, t.startMs + n);
}
function Me(e, t) {
	let n = Math.floor(e.length * t);
	if (n >= e.length) return e;
	let r = e.lastIndexOf(" ", n);
	return r > 0 ? e.slice(0, r) : "";
}
function Ne(e, t, n) {
	switch (t.type) {
		case "session.created": return {
			...e,
			session: t.session,
			own: t.session.type === "realtime" ? t.session : null,
			hasSpoken: !1
		};
		case "session.updated": return {
			...e,
			session: t.session
		};
		case "error": return {
			...e,
			problem: {
				message: t.error.message,
				code: t.error.code ?? null,
				isPast: !1
			}
		};
		case "input_audio_buffer.speech_started": return {
			...W(e, I(t.item_id), void 0),
			isPersonSpeaking: !0
		};
		case "input_audio_buffer.speech_stopped": return {
			...G(e, t.item_id, (e) => ({
				...e,
				state: "recognising"
			})),
			isPersonSpeaking: !1
		};
		case "input_audio_buffer.cleared": return {
			...e,
			isPersonSpeaking: !1,
			entries: e.entries.filter((e) => e.kind !== "user" || e.state !== "speaking")
		};
		case "conversation.item.added":
		case "conversation.item.done": return Fe(e, t.item, t.previous_item_id, n);
		case "conversation.item.deleted": return {
			...e,
			entries: e.entries.filter((e) => e.id !== t.item_id)
		};
		case "conversation.item.truncated": return K(e, t.item_id, (e) => B(e, t.audio_end_ms));
		case "conversation.item.retrieved": return ze(e, t.item);
		case "conversation.item.input_audio_transcription.delta": return G(L(e, t.item_id), t.item_id, (e) => ({
			...e,
			text: e.text + t.delta,
			tail: ""
		}));
		case "antiphon.transcription.tail": return G(L(e, t.item_id), t.item_id, (e) => ({
			...e,
			tail: t.tail
		}));
		case "conversation.item.input_audio_transcription.completed": return G(e, t.item_id, (e) => ({
			...e,
			text: t.transcript,
			tail: "",
			state: "done"
		}));
		case "conversation.item.input_audio_transcription.failed": return G(e, t.item_id, (e) => ({
			...e,
			tail: "",
			state: "failed"
		}));
		case "response.created": return {
			...e,
			responding: t.response.id,
			problem: e.problem && {
				...e.problem,
				isPast: !0
			}
		};
		case "response.done": return We(e, t.response);
		case "response.output_item.added": return t.item.type === "message" ? Le(e, t.item, t.response_id) : z(e, t.item, t.response_id, n);
		case "response.output_item.done": return Re(e, t.item, t.response_id, n);
		case "response.output_text.delta":
		case "response.output_audio_transcript.delta": return K(e, t.item_id, (e) => ({
			...e,
			isSpoken: t.type === "response.output_audio_transcript.delta",
			spans: [...e.spans, {
				text: t.delta,
				startMs: e.receivedMs
			}]
		}));
		case "response.output_audio.delta": return Ve(e, t.item_id, t.response_id, Pe(t.delta), n);
		case "output_audio_buffer.started": return {
			...H(e, t.response_id, n),
			playing: t.response_id,
			hasSpoken: !0
		};
		case "output_audio_buffer.stopped": return V(e.playing === t.response_id ? {
			...e,
			playing: null
		} : e, t.response_id);
		case "output_audio_buffer.cleared": return e.playing === t.response_id ? {
			...e,
			playing: null
		} : e;
		case "antiphon.output_audio.heard": return K(e, t.item_id, (e) => Be(e, t.played_ms, t.letters));
		case "antiphon.session.resumed": return Ke(e, t.event_id, t.is_complete, n);
		case "antiphon.timeline": return Ue(e, t);
		default: {
			let r = Te(t, (t) => Xe(e, t), n);
			return r === null ? e : W(e, r, void 0);
		}
	}
}
function Pe(e) {
	let t = e.endsWith("==") ? 2 : +!!e.endsWith("=");
	return (e.length * .75 - t) / Ae;
}
function Fe(e, t, n, r) {
	if (t.type !== "message") return z(e, t, "", r);
	if (!t.id) return e;
	if (t.role === "assistant") return e.entries.some((e) => e.id === t.id) || t.status === "in_progress" ? e : W(e, Ie(t.id, R(t)), n);
	if (t.role !== "user") return e;
	let i = t.content.some((e) => e.type === "input_audio"), a = e.entries.find((e) => e.kind === "user" && e.id === t.id);
	if (a && (a.state === "done" || a.state === "failed")) return e;
	let o = R(t), s = i && !o;
	return W(e, {
		kind: "user",
		id: t.id,
		text: o || (a?.text ?? ""),
		tail: s ? a?.tail ?? "" : "",
		isSpoken: i,
		state: s ? "recognising" : "done"
	}, n);
}
function I(e) {
	return {
		kind: "user",
		id: e,
		text: "",
		tail: "",
		isSpoken: !0,
		state: "speaking"
	};
}
function L(e, t) {
	return e.entries.some((e) => e.id === t) ? e : W(e, I(t), void 0);
}
function Ie(e, t) {
	return {
		kind: "assistant",
		id: e,
		responseId: "",
		spans: [{
			text: t,
			startMs: 0
		}],
		isSpoken: !1,
		state: "done",
		receivedMs: 0,
		playedMs: 0,
		heardLength: t.length
	};
}
function R(e) {
	return e.content.map((e) => "text" in e ? e.text : "transcript" in e ? e.transcript ?? "" : "").join(" ").trim();
}
function Le(e, t, n) {
	return W(e, {
		kind: "assistant",
		id: t.id ?? "",
		responseId: n,
		spans: [],
		isSpoken: !1,
		state: "coming",
		receivedMs: 0,
		playedMs: 0,
		heardLength: 0
	}, void 0);
}
function Re(e, t, n, r) {
	if (t.type === "function_call") return W(e, D({
		id: t.call_id ?? "",
		responseId: n,
		name: t.name,
		arguments: t.arguments,
		place: "page",
		beganMs: r
	}), void 0);
	if (t.type !== "message") return z(e, t, n, r);
	if (!t.id) return e;
	let i = t.status === "incomplete";
	return K(e, t.id, (e) => ({
		...e,
		state: e.state === "cut" || i ? "cut" : "done"
	}));
}
function z(e, t, n, r) {
	let i = Ee(t, e.entries, n, r);
	return i === null ? e : W(e, i, void 0);
}
function ze(e, t) {
	return t.type !== "message" || t.role !== "assistant" || !t.id ? e : K(e, t.id, (e) => e.state === "cut" ? {
		...e,
		heardLength: R(t).length
	} : e);
}
function B(e, t) {
	let n = {
		...e,
		state: "cut",
		playedMs: t
	};
	return e.receivedMs === 0 ? n : {
		...n,
		heardLength: F(n)
	};
}
function Be(e, t, n) {
	if (e.state === "cut") return e;
	let r = [...P(e)].slice(0, n).join("").length;
	return {
		...e,
		playedMs: Math.max(e.playedMs, t),
		heardLength: Math.max(e.heardLength, r)
	};
}
function V(e, t) {
	return J(e, (e) => e.kind === "assistant" && e.responseId === t && e.state !== "cut" ? {
		...e,
		heardLength: P(e).length
	} : e);
}
function Ve(e, t, n, r, i) {
	return K({
		...H(e, n, i),
		hasSpoken: !0
	}, t, (e) => ({
		...e,
		receivedMs: e.receivedMs + r
	}));
}
function H(e, t, n) {
	return e.marks[t]?.cameMs == null ? {
		...e,
		marks: {
			...e.marks,
			[t]: {
				cameMs: n,
				audibleMs: null
			}
		}
	} : e;
}
function He(e, t, n) {
	let r = e.entries.find((e) => e.kind === "assistant" && e.id === t), i = r && e.marks[r.responseId];
	if (!r || !i || i.audibleMs !== null) return e;
	let a = {
		...i,
		audibleMs: n
	};
	return {
		...e,
		marks: {
			...e.marks,
			[r.responseId]: a
		},
		timings: e.timings.map((e) => e.responseId === r.responseId ? {
			...e,
			playerMs: U(a)
		} : e)
	};
}
function U(e) {
	return e?.cameMs == null || e.audibleMs == null ? null : Math.max(0, e.audibleMs - e.cameMs);
}
function Ue(e, t) {
	let n = e.entries.filter((e) => e.kind === "user"), r = t.item_id === null ? n.at(-1) : n.find((e) => e.id === t.item_id), i = {
		responseId: t.response_id,
		question: r?.text ?? "",
		status: t.status,
		stages: t.stages,
		waitMs: t.wait_ms,
		playerMs: U(e.marks[t.response_id]),
		wasPrepared: t.was_prepared,
		tools: t.tools
	}, { [t.response_id]: a, ...o } = e.marks, s = i.playerMs === null ? e.marks : o;
	return {
		...t.tools.reduce((e, t) => q(e, t.call_id, (e) => ({
			...e,
			tookMs: t.ms
		})), e),
		marks: s,
		timings: [...e.timings, i].slice(-200)
	};
}
function We(e, t) {
	let n = e.marks[t.id]?.cameMs != null || e.playing === t.id ? e : V(e, t.id), r = e.responding === t.id ? null : e.responding;
	return {
		...n,
		responding: r,
		problem: Ge(e.problem, t)
	};
}
function Ge(e, t) {
	let n = t.status_details?.error?.message;
	return n ? {
		message: n,
		code: "response_failed",
		isPast: !1
	} : e?.isPast && t.status === "completed" ? null : e;
}
function Ke(e, t, n, r) {
	return {
		...W(e, {
			kind: "gap",
			id: t,
			lengthMs: r - (e.brokenAtMs ?? r),
			isComplete: n
		}, void 0),
		brokenAtMs: null
	};
}
function qe(e) {
	return {
		...e,
		own: null,
		hasSpoken: !1,
		isPersonSpeaking: !1,
		responding: null,
		playing: null,
		marks: {},
		brokenAtMs: null,
		entries: e.entries.filter((e) => e.kind !== "user" || e.state !== "speaking").map((e) => e.kind === "assistant" && Je(e) ? {
			...e,
			state: "cut"
		} : e.kind === "user" && e.state === "recognising" ? {
			...e,
			tail: "",
			state: "failed"
		} : e)
	};
}
function Je(e) {
	return e.state === "coming" || e.heardLength < P(e).length;
}
function W(e, t, n) {
	let r = [...e.entries], i = r.findIndex((e) => e.id === t.id);
	if (i >= 0) return r[i] = t, {
		...e,
		entries: r
	};
	let a = n == null ? -1 : r.findIndex((e) => e.id === n);
	return r.splice(a < 0 ? r.length : a + 1, 0, t), {
		...e,
		entries: r
	};
}
function G(e, t, n) {
	return J(e, (e) => e.kind === "user" && e.id === t ? n(e) : e);
}
function K(e, t, n) {
	return J(e, (e) => e.kind === "assistant" && e.id === t ? Ye(n(e)) : e);
}
function Ye(e) {
	return {
		...e,
		heardLength: Math.max(e.heardLength, F(e))
	};
}
function Xe(e, t) {
	return e.entries.find((e) => e.kind === "tool" && e.id === t);
}
function q(e, t, n) {
	return J(e, (e) => e.kind === "tool" && e.id === t ? n(e) : e);
}
function J(e, t) {
	return {
		...e,
		entries: e.entries.map(t)
	};
}
// src/client/restore.ts
function Ze(e) {
	return e.slice(-60).flatMap(Qe);
}
function Qe(e) {
	switch (e.kind) {
		case "user": return e.text.trim() ? [{
			type: "message",
			id: e.id,
			role: "user",
			content: [{
				type: "input_text",
				text: e.text
			}]
		}] : [];
		case "assistant": {
			let { heard: t } = N(e);
			return t.trim() ? [{
				type: "message",
				id: e.id,
				role: "assistant",
				content: [{
					type: "output_text",
					text: t
				}]
			}] : [];
		}
		case "gap": return [];
		case "tool": return e.place !== "page" || e.output === null ? [] : [{
			type: "function_call",
			call_id: e.id,
			name: e.name,
			arguments: e.arguments
		}, {
			type: "function_call_output",
			call_id: e.id,
			output: e.output
		}];
	}
}
// src/client/resumption.ts
var $e = 5e3, Y = 48, X = class {
	sent = new et();
	#e = null;
	#t = 0;
	#n = "";
	#r = Infinity;
	take(e) {
		e.type === "antiphon.session.resumable" && (this.#e = e.token, this.#t = 1e3 * e.within_s), e.type === "antiphon.session.resumed" && (this.#r = Infinity), "event_id" in e && (this.#n = e.event_id);
	}
	broke(e) {
		this.#r === Infinity && (this.#r = e + this.#t);
	}
	wayBack(e) {
		return this.#e === null || e >= this.#r ? null : {
			token: this.#e,
			after: this.#n
		};
	}
}, et = class {
	#e = [];
	#t = 0;
	#n = 0;
	keep(e) {
		for (this.#e.push(e), this.#t += e.byteLength, this.#n += e.byteLength; this.#t > $e * Y;) this.#t -= this.#e.shift().byteLength;
	}
	since(e) {
		let t = Math.min(this.#t, this.#n - e * Y), n = this.#e.length;
		for (; n > 0 && t >= this.#e[n - 1].byteLength;) t -= this.#e[--n].byteLength;
		let r = this.#e.slice(n);
		return this.#n = e * Y + r.reduce((e, t) => e + t.byteLength, 0), r;
	}
}, tt = new URL("playback.worklet.js", import.meta.url).href;
// src/client/audio/pcm.ts
function nt(e) {
	let t = new DataView(e.buffer, e.byteOffset, e.byteLength);
	return Float32Array.from({ length: e.byteLength >> 1 }, (e, n) => t.getInt16(2 * n, !0) / 32768);
}
function rt(e) {
	return Uint8Array.from(atob(e), (e) => e.charCodeAt(0));
}
// src/client/speaker.ts
var it = class e {
	#e;
	#t;
	#n;
	#r = [];
	constructor(e, t, n) {
		this.#e = e, this.#t = t, this.#n = n, t.port.onmessage = (e) => this.#o(e.data);
	}
	static async open(t, n) {
		await t.audioWorklet.addModule(tt);
		let r = new AudioWorkletNode(t, "antiphon-playback", {
			numberOfInputs: 0,
			outputChannelCount: [2]
		});
		return r.connect(t.destination), new e(t, r, n);
	}
	play(e, t, n) {
		let r = nt(rt(t));
		this.#a({
			kind: "sound",
			track: e,
			samples: r,
			sentMs: n
		}, [r.buffer]);
	}
	complete(e) {
		this.#a({
			kind: "complete",
			track: e
		});
	}
	async flush() {
		return await new Promise((e) => {
			this.#r.push(e), this.#a({ kind: "flush" });
		});
	}
	close() {
		this.#t.port.onmessage = null, this.#t.disconnect();
		for (let e of this.#r.splice(0)) e([]);
	}
	get #i() {
		let e = this.#e.outputLatency;
		return 1e3 * (Number.isFinite(e) && e > 0 ? e : this.#e.baseLatency);
	}
	#a(e, t = []) {
		this.#t.port.postMessage(e, t);
	}
	#o(e) {
		switch (e.kind) {
			case "began":
				setTimeout(() => this.#n.onAudible(e.track), this.#i);
				return;
			case "ended":
				setTimeout(() => this.#n.onEnded(e.track), this.#i);
				return;
			case "flushed":
				this.#r.shift()?.(e.cuts.map((e) => ({
					...e,
					playedMs: Math.max(0, e.playedMs - this.#i)
				})));
				return;
			case "state":
				e.state.track !== null && e.state.playedMs > 0 && this.#n.onPlayed(e.state.track, Math.max(0, e.state.playedMs - this.#i)), this.#n.onState(e.state);
				return;
		}
	}
}, at = class {
	tools;
	#e;
	#t;
	#n = /* @__PURE__ */ new Map();
	constructor(e, t, n) {
		this.tools = e, this.#e = t, this.#t = n;
	}
	take(e) {
		if (e.type === "response.output_item.done" && e.item.type === "function_call") {
			let t = e.item;
			t.status === "completed" && t.call_id && this.#r(e.response_id, t.call_id, t.name, t.arguments);
		} else if (e.type === "response.done") {
			let t = this.#n.get(e.response.id);
			t && (t.isDone = !0), this.#a(e.response.id);
		}
	}
	answer(e, t, n = !0) {
		for (let [r, i] of this.#n) if (i.calls.delete(e)) {
			this.#e({
				type: "conversation.item.create",
				item: {
					type: "function_call_output",
					call_id: e,
					output: t
				}
			}), this.#t(e, t, n), this.#a(r);
			return;
		}
	}
	forget() {
		this.#n.clear();
	}
	#r(e, t, n, r) {
		let i = this.#n.get(e) ?? {
			calls: /* @__PURE__ */ new Set(),
			isDone: !1
		};
		i.calls.add(t), this.#n.set(e, i);
		let a = this.tools.find((e) => e.tool.name === n);
		a?.run && this.#i(a.run, t, r);
	}
	async #i(e, t, n) {
		try {
			let r = await e(JSON.parse(n || "{}"));
			this.answer(t, JSON.stringify(r ?? null));
		} catch (e) {
			this.answer(t, JSON.stringify({ error: e instanceof Error ? e.message : String(e) }), !1);
		}
	}
	#a(e) {
		let t = this.#n.get(e);
		!t || !t.isDone || t.calls.size > 0 || (this.#n.delete(e), this.#e({ type: "response.create" }));
	}
}, ot = {
	voice: null,
	speed: 1,
	instructions: null,
	detection: {
		kind: "server_vad",
		threshold: .5,
		silenceMs: 500,
		paddingMs: 300,
		interrupts: !0
	},
	tools: [],
	isSpoken: !0
};
function Z(e, t = j) {
	let n = e.instructions ?? t.own?.instructions, r = st(e, t);
	return {
		type: "realtime",
		...n === void 0 ? {} : { instructions: n },
		output_modalities: [e.isSpoken ? "audio" : "text"],
		tools: e.tools,
		audio: {
			input: {
				transcription: {},
				turn_detection: ct(e.detection)
			},
			output: {
				...r === null ? {} : { voice: r },
				speed: e.speed
			}
		}
	};
}
function st(e, { session: t, own: n, hasSpoken: r }) {
	if (n === null || t?.type !== "realtime") return e.voice;
	let i = e.voice ?? Q(n.audio.output.voice);
	return r || i === Q(t.audio.output.voice) ? null : i;
}
function Q(e) {
	return typeof e == "string" ? e : e.id;
}
function ct(e) {
	switch (e.kind) {
		case "none": return null;
		case "semantic_vad": return {
			type: "semantic_vad",
			eagerness: e.eagerness,
			interrupt_response: e.interrupts
		};
		case "server_vad": return {
			type: "server_vad",
			threshold: e.threshold,
			silence_duration_ms: e.silenceMs,
			prefix_padding_ms: e.paddingMs,
			interrupt_response: e.interrupts
		};
	}
}
// src/client/conversation.ts
var lt = {
	session: j,
	link: { state: "idle" },
	microphone: b,
	isMuted: !1,
	isPressed: !1,
	playback: null,
	quality: null,
	isHeldBack: !1
}, ut = 2e3, dt = 500, ft = 8e3, $ = 4e3, pt = 2, mt = 100, ht = 4800, gt = 10, _t = 100, vt = 100, yt = 2e3, bt = 200, xt = 120, St = class {
	#e;
	#t;
	#n;
	#r;
	#i;
	#a = ot;
	#o = lt;
	#s = null;
	#c = null;
	#l = null;
	#u = null;
	#d = null;
	#f = null;
	#p = 0;
	#m;
	#h = 0;
	#g;
	#_;
	#v = null;
	#y = 0;
	#b = new X();
	#x = [];
	#S = C;
	#C = /* @__PURE__ */ new Set();
	constructor(e, t, n, r) {
		this.#r = e, this.#i = t, this.#e = r, this.#n = new Audio(), this.#t = new at(n, (e) => this.#ee(e), (e, t, n) => this.#Q({
			kind: "answered",
			callId: e,
			output: t,
			ok: n,
			atMs: performance.now()
		}));
	}
	get state() {
		return this.#o;
	}
	async connect(e = this.#r, t = this.#i) {
		this.#r = e, this.#i = t, this.#p = 0, clearTimeout(this.#m), this.#$({ link: { state: "connecting" } }), await this.#V(), await this.#w();
	}
	disconnect() {
		clearTimeout(this.#m), clearTimeout(this.#g), this.#N(), this.#c?.close(), this.#s?.suspend(), this.#$({
			link: { state: "idle" },
			isPressed: !1,
			isHeldBack: !1
		});
	}
	async unhold() {
		await this.#s?.resume();
	}
	async restart() {
		let e = this.#o.link.state === "connected";
		this.#N(), this.#Q({ kind: "forgotten" }), e && await this.connect();
	}
	async #w() {
		this.#f?.abort();
		let e = new AbortController();
		this.#f = e;
		let t = this.#b.wayBack(performance.now());
		t === null && this.#F();
		try {
			let n = await this.#E(t, e.signal);
			if (e.signal.aborted) return n.close();
			this.#d = n, this.#p = 0, this.#v = null, this.#$({ link: { state: "connected" } }), t === null && this.#D(), this.#_ = setInterval(() => void this.#X(), ut), this.#X();
		} catch (t) {
			e.signal.aborted || this.#T(t);
		}
	}
	#T(t) {
		let n = t instanceof e ? t : new e("unable", String(t));
		n.code === "gone" ? (this.#F(), this.#w()) : n.code === "warming" || n.mayReturn && this.#O ? this.#A(n.message) : this.#$({ link: {
			state: "failed",
			message: n.message,
			code: n.code
		} });
	}
	async #E(e, t) {
		let n = {
			onMessage: (e) => this.#L(e),
			onClosed: (e) => this.#k(e)
		};
		if (this.#i === "websocket") return await _.open(this.#r, n, e, t);
		let r = this.#c?.track ?? null;
		return await f.open(this.#r, r, this.#n, n, e, t);
	}
	#D() {
		this.#ee({
			type: "session.update",
			session: Z(this.#a)
		});
		for (let e of Ze(this.#o.session.entries)) this.#ee({
			type: "conversation.item.create",
			item: e
		});
	}
	get #O() {
		return this.#o.session.session !== null;
	}
	#k(e) {
		let t = performance.now();
		this.#b.broke(t), e.mayReturn && this.#b.wayBack(t) !== null ? (this.#P(), this.#j || this.#Q({
			kind: "broken",
			atMs: t
		})) : this.#N(), e.mayReturn ? this.#A(e.message) : this.#$({ link: {
			state: "failed",
			message: e.message,
			code: "ended"
		} });
	}
	#A(e) {
		let t = Math.min(ft, dt * 2 ** this.#p) * (.75 + Math.random() / 2);
		this.#p += 1, this.#$({ link: {
			state: "waiting",
			message: e,
			retryAtMs: performance.now() + t
		} }), this.#m = setTimeout(() => void this.#w(), t);
	}
	get #j() {
		return this.#o.session.brokenAtMs !== null;
	}
	#M(e) {
		for (let e of this.#x.splice(0)) this.#ee(e);
		this.#d instanceof _ && this.#d.sendLate(this.#b.sent.since(e));
	}
	#N() {
		this.#f?.abort(), this.#P(), this.#F();
	}
	#P() {
		clearInterval(this.#_), this.#d?.close(), this.#d = null, this.#S = C, this.#$({ quality: null });
	}
	#F() {
		this.#b = new X(), this.#x = [], this.#t.forget(), this.#u?.flush(), this.#Q({ kind: "disconnected" });
	}
	want(e) {
		this.#a = e, this.#ee({
			type: "session.update",
			session: Z(e, this.#o.session)
		});
	}
	offer(e) {
		this.#t.tools = e;
	}
	write(e) {
		this.interrupt(), this.#ee({
			type: "conversation.item.create",
			item: {
				type: "message",
				role: "user",
				content: [{
					type: "input_text",
					text: e
				}]
			}
		}), this.#ee({ type: "response.create" });
	}
	interrupt() {
		this.#o.session.responding !== null && this.#ee({ type: "response.cancel" }), this.#i === "webrtc" && this.#ee({ type: "output_audio_buffer.clear" }), this.#B();
	}
	dismiss() {
		this.#Q({ kind: "dismissed" });
	}
	mute(e) {
		this.#$({ isMuted: e }), this.#J();
	}
	press() {
		clearTimeout(this.#g), this.#o.isPressed || (this.#h = performance.now(), this.interrupt(), this.#$({ isPressed: !0 }), this.#J(), this.#ee({ type: "input_audio_buffer.clear" }));
	}
	release() {
		if (this.#o.isPressed) {
			if (clearTimeout(this.#g), performance.now() - this.#h < bt) return this.#I({ type: "input_audio_buffer.clear" });
			this.#g = setTimeout(() => this.#I({ type: "input_audio_buffer.commit" }, { type: "response.create" }), xt);
		}
	}
	#I(...e) {
		this.#$({ isPressed: !1 }), this.#J();
		for (let t of e) this.#ee(t);
	}
	async choose(e) {
		this.#l = e, this.#o.link.state !== "idle" && await this.#c?.open(e);
	}
	allow(e, t) {
		let n = this.#o.session.entries.find((t) => t.kind === "tool" && t.id === e);
		if (n?.kind !== "tool" || n.permission?.state !== "asked") return;
		let { requestId: r } = n.permission;
		if (r === null) this.#ee({
			type: "antiphon.approval.answer",
			call_id: e,
			approve: t
		});
		else {
			let e = {
				type: "mcp_approval_response",
				approval_request_id: r,
				approve: t
			};
			this.#ee({
				type: "conversation.item.create",
				item: e
			});
		}
	}
	stopTool(e) {
		this.#ee({
			type: "antiphon.tool.cancel",
			call_id: e
		});
	}
	answer(e, t) {
		this.#t.answer(e, t);
	}
	#L(e) {
		let t = this.#o.session;
		switch (this.#y = performance.now(), this.#b.take(e), this.#Q({
			kind: "message",
			message: e,
			atMs: performance.now()
		}), this.#t.take(e), e.type) {
			case "response.output_audio.delta":
				this.#C.has(e.response_id) || this.#u?.play(e.item_id, e.delta, e.sent_ms ?? null);
				return;
			case "output_audio_buffer.started":
				this.#R(e.response_id);
				return;
			case "response.output_audio.done":
				this.#u?.complete(e.item_id);
				return;
			case "input_audio_buffer.speech_started":
				this.#z && this.#B(t.responding);
				return;
			case "antiphon.session.resumed":
				this.#M(e.heard_ms);
				return;
			case "response.done":
				this.#C.delete(e.response.id);
				return;
			case "conversation.item.truncated":
				this.#i === "webrtc" && this.#ee({
					type: "conversation.item.retrieve",
					item_id: e.item_id
				});
				return;
			default: return;
		}
	}
	async #R(e) {
		if (!(this.#d instanceof f)) return;
		this.#d.unhush();
		let t = await this.#d.audible(), n = this.#o.session.entries.find((t) => t.kind === "assistant" && t.responseId === e);
		t !== null && n && this.#Q({
			kind: "audible",
			itemId: n.id,
			atMs: t
		});
	}
	get #z() {
		let e = this.#o.session.session;
		return e?.type === "realtime" && e.audio.input.turn_detection?.interrupt_response !== !1;
	}
	async #B(e = this.#o.session.responding) {
		e !== null && this.#C.add(e), this.#d instanceof f && this.#d.hush();
		for (let { track: e, playedMs: t } of await this.#u?.flush() ?? []) {
			let n = Math.floor(t);
			this.#Q({
				kind: "cut",
				itemId: e,
				playedMs: t
			}), this.#ee({
				type: "antiphon.playout",
				item_id: e,
				played_ms: n
			}), this.#ee({
				type: "conversation.item.truncate",
				item_id: e,
				content_index: 0,
				audio_end_ms: n
			});
		}
	}
	async #V() {
		let e = this.#s ?? new AudioContext({ latencyHint: "interactive" });
		this.#s = e, e.onstatechange = () => this.#H(e), await Promise.race([e.resume(), new Promise((e) => setTimeout(e, yt))]), this.#H(e), this.#u ??= await it.open(e, {
			onAudible: (e) => this.#Q({
				kind: "audible",
				itemId: e,
				atMs: performance.now()
			}),
			onPlayed: (e, t) => this.#Y(e, t),
			onEnded: (e) => {
				this.#Q({
					kind: "ended",
					itemId: e
				});
				let t = this.#o.session.entries.find((t) => t.kind === "assistant" && t.id === e);
				t?.kind === "assistant" && this.#Y(e, t.receivedMs);
			},
			onState: (e) => {
				(e.track !== null || this.#o.playback?.track !== null) && this.#$({ playback: e });
			}
		}), this.#c ??= new x(e, {
			onState: (e) => this.#$({ microphone: e }),
			onFrame: (e) => this.#G(e),
			onTrack: (e) => void (this.#d instanceof f && this.#d.use(e)),
			onLost: () => this.#U(e)
		}), this.#c.track === null && await this.#c.open(this.#l);
	}
	#H(e) {
		let t = e.state !== "running" && this.#o.link.state !== "idle";
		t !== this.#o.isHeldBack && this.#$({ isHeldBack: t });
	}
	#U(e) {
		this.release(), this.#d instanceof f ? this.#d.use(e.createMediaStreamDestination().stream.getAudioTracks()[0] ?? null) : this.#q && this.#W();
	}
	async #W() {
		for (let e = 0; e < _t && this.#c?.track == null; e++) {
			if (e >= gt && !this.#o.session.isPersonSpeaking) return;
			this.#K(/* @__PURE__ */ new ArrayBuffer(ht)), await new Promise((e) => setTimeout(e, mt));
		}
	}
	#G(e) {
		this.#e.onLevel?.(e.dbfs), (this.#q || this.#o.isPressed) && this.#K(e.pcm);
	}
	#K(e) {
		this.#i === "websocket" && (this.#d instanceof _ && !this.#j && this.#d.sendSound(e) || this.#j) && this.#b.sent.keep(e);
	}
	get #q() {
		return this.#a.detection.kind !== "none";
	}
	#J() {
		this.#c?.hear(this.#q ? !this.#o.isMuted : this.#o.isPressed);
	}
	#Y(e, t) {
		this.#Q({
			kind: "played",
			itemId: e,
			playedMs: t
		}), this.#ee({
			type: "antiphon.playout",
			item_id: e,
			played_ms: Math.floor(t)
		});
	}
	async #X() {
		let e = this.#d;
		if (e instanceof f) {
			let t = T(await e.peer.getStats());
			this.#$({ quality: w(this.#S, t) }), this.#S = t;
		} else if (e !== null) {
			let t = performance.now();
			try {
				await i(`${this.#r.origin}/health`, {
					cache: "no-store",
					signal: AbortSignal.timeout($)
				}), this.#v = 0;
			} catch {
				this.#Z(e);
				return;
			}
			if (e !== this.#d) return;
			let { jitterMs: n = null, targetMs: r = null } = this.#o.playback ?? {};
			this.#$({ quality: {
				roundTripMs: performance.now() - t,
				jitterMs: n,
				lost: null,
				concealed: null,
				bufferMs: r,
				path: "WebSocket (TCP)"
			} });
		}
	}
	#Z(e) {
		if (e !== this.#d || this.#v === null) return;
		this.#v += 1;
		let t = performance.now() - this.#y > $;
		this.#v < pt || !t || (e.abandon(), this.#k({
			message: "The server does not answer.",
			mayReturn: !0
		}));
	}
	#Q(e) {
		this.#$({ session: M(this.#o.session, e) });
	}
	#$(e) {
		this.#o = {
			...this.#o,
			...e
		}, this.#e.onState(this.#o);
	}
	#ee(e) {
		this.#j ? e.type !== "antiphon.playout" && this.#x.length < vt && this.#x.push(e) : this.#d?.send(e);
	}
};
// src/client/voices.ts
async function Ct({ origin: e, key: t }, n) {
	let r = t ? { Authorization: `Bearer ${t}` } : {}, a = await i(`${e}/v1/audio/voices`, {
		headers: r,
		signal: n ?? null
	});
	if (!a.ok) return [];
	let { voices: o } = await a.json();
	return o.map((e) => e.id);
}
export { f as CallTransport, e as ConnectionError, St as Conversation, x as Hearing, ye as LiveCaptions, m as Microphone, p as MicrophoneError, j as NOTHING, y as NO_CAPTIONS, C as NO_COUNTERS, X as Resumption, et as SentSound, _ as SocketTransport, it as Speaker, at as ToolCalls, ot as USUAL, w as between, T as counters, N as heardAndNot, be as judged, h as microphones, Q as nameOf, Z as patchFrom, M as reduce, Ct as voices };
