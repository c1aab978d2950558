// A client's connection, made again whenever it breaks, and its requests' fate.
import net from 'node:net';
import { STRANGER, TONGUES } from './tongues.mjs';

const RECONNECT_MS = 20;
// More than any server is stopped for, on a machine that is busy with other things.
const ANSWER_MS = 60000;
const IN_FLIGHT_MAX = 64;

const lines = new Set();

export class Conn {
	// @on.open: the connection stands; @on.message: what is no answer to a request.
	constructor(ledger, name, path, tongue, on = {}) {
		Object.assign(this, { ledger, name, path, on, tongueName: tongue, socket: null, up: false });
		this.open = new Map(); // id -> { check, done, sent_ms }
		this.seen = 0;
		this.reconnects = true;
		lines.add(this);
	}

	start() {
		this.tongue = new TONGUES[this.tongueName]((id, answer) => this.took(id, answer));
		this.stranger = false;
		this.young = true;
		this.ours = false;
		const socket = (this.socket = net.createConnection({ path: this.path }));
		let why = null;
		socket.on('connect', () => {
			this.up = true;
			this.ledger.count(this.ledger.events, 'connected');
			this.on.open?.();
		});
		socket.on('data', (data) => this.data(data));
		socket.on('error', (e) => (why = e.code ?? e.message));
		socket.on('close', () => this.closed(why ?? 'EOF'));
		return this;
	}

	data(data) {
		if (this.stranger) return;
		if (this.young && data.toString('latin1').startsWith(STRANGER)) {
			this.stranger = true;
			return;
		}
		this.young = false;
		try {
			this.tongue.take(data);
		} catch (e) {
			this.ledger.violation(`${this.name}: not to be understood: ${e.message}: ${data.toString('latin1', 0, 200)}`);
			this.socket.destroy();
		}
	}

	took(id, answer) {
		// Protocols without ids answer in order.
		const key = id === undefined ? this.open.keys().next().value : id;
		const one = this.open.get(key);
		if (!one) {
			if (this.on.message?.(answer)) return;
			// Twice, or somebody else's.
			this.ledger.violation(`${this.name}: an answer that nobody waits for: ${JSON.stringify(answer).slice(0, 300)}`);
			return;
		}
		this.open.delete(key);
		this.ledger.count(this.ledger.whole, this.path);
		if ('error' in answer) this.ledger.count(this.ledger.refused, `${answer.errorCode}: ${answer.error}`.slice(0, 80));
		else this.ledger.answered++;
		const wrong = one.check?.(answer);
		if (wrong) this.ledger.violation(`${this.name}: ${wrong}: ${JSON.stringify(answer).slice(0, 300)}`);
		one.done?.(answer);
	}

	// @check: says what is wrong with an answer, if anything. @done: gets it, or null.
	ask(request, check, done) {
		const id = `${++this.seen}`;
		this.ledger.issued++;
		this.ledger.count(this.ledger.sent, this.path);
		this.open.set(id, { check, done, sent_ms: Date.now() });
		this.socket.write(this.tongue.request(id, request));
		return id;
	}

	say(message) {
		if (this.up) this.socket.write(JSON.stringify(message) + '\n');
	}

	get free() {
		return this.up && !this.stranger && this.open.size < IN_FLIGHT_MAX;
	}

	fail(reason) {
		for (const [id, one] of [...this.open]) {
			this.open.delete(id);
			this.ledger.count(this.ledger.failed, reason);
			one.done?.(null);
		}
	}

	closed(why) {
		if (!this.up) this.ledger.count(this.ledger.events, `not connected: ${why}`);
		else if (this.stranger) this.ledger.count(this.ledger.events, 'met a stranger');
		else if (!this.ours)
			this.ledger.cuts.push({ at: Date.now(), path: this.path, young: this.young, why });
		this.fail(this.stranger ? 'a stranger answered' : `connection closed: ${why}`);
		this.up = false;
		this.on.close?.();
		if (this.reconnects) setTimeout(() => this.reconnects && this.start(), RECONNECT_MS);
		else lines.delete(this);
	}

	// For good, once all is answered.
	end() {
		this.reconnects = false;
		this.ours = true;
		if (this.socket) this.socket.destroy();
	}
}

export const waiting = () => [...lines].reduce((n, line) => n + line.open.size, 0);

// Requests that nobody answers although the connection stands: never by time alone in a test,
// but a minute is no delay any more.
export function overdue() {
	const before = Date.now() - ANSWER_MS;
	for (const line of lines)
		for (const [id, one] of line.open)
			if (one.sent_ms < before) {
				line.ledger.violation(`${line.name}: request ${id} not answered in ${ANSWER_MS} ms`);
				line.socket.destroy();
				break;
			}
}

// A call on a connection of its own, as the one-shot clients make it.
export function once(ledger, name, path, tongue, request, check) {
	return new Promise((done) => {
		const line = new Conn(ledger, name, path, tongue);
		line.reconnects = false;
		line.on.open = () => line.ask(request, check, (answer) => {
			line.ours = answer !== null;
			done(answer);
			line.socket.destroy();
		});
		line.on.close = () => done(null);
		line.start();
	});
}
