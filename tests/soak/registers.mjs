// What the gateway must have stored: conversations as registers, one request at a time each. An
// answered write is what is read from then on, after kill -9 and a power cut too; one that was
// not answered may have been done or not, until a read tells.
import { Conn, once } from './conn.mjs';

const VALUES = ['none', 'low', 'medium', 'high'];
// So it says where it certainly did nothing.
const UNDONE = /database or disk is full|database is locked/;

const valueOf = (answer) => answer.result?.threshold ?? null;

class Register {
	constructor(id) {
		this.id = id;
		this.may = new Set([null]); // what a read may find
		this.busy = false;
		this.unsure = false;
		this.marked = null; // what a snapshot that is taken from now on may hold
	}

	read() {
		return { method: 'get_conversation_threshold', params: { conversationId: this.id } };
	}

	// What is wrong with what was read.
	found(answer) {
		if ('error' in answer) return null;
		const value = valueOf(answer);
		if (!this.may.has(value))
			return `${this.id} is ${value}, may be ${[...this.may].map(String).join(' or ')}`;
		this.may = new Set([value]);
		this.unsure = false;
		return null;
	}

	write(value) {
		this.may.add(value);
		this.marked?.add(value);
		return value === null
			? { method: 'clear_conversation_threshold', params: { conversationId: this.id } }
			: { method: 'set_conversation_threshold', params: { conversationId: this.id, threshold: value } };
	}

	wrote(value, answer, before) {
		if (answer && !('error' in answer)) this.may = new Set([value]);
		else if (answer && UNDONE.test(answer.error)) this.may = before;
		else this.unsure = true;
	}
}

export class Writer {
	constructor(ledger, { name, path, lines, registers }) {
		Object.assign(this, { ledger, name, path });
		this.lines = Array.from({ length: lines }, (_, i) =>
			new Conn(ledger, `${name}.${i}`, path, 'lines').start());
		this.registers = Array.from({ length: registers }, (_, i) => new Register(`${name} ${i}`));
		this.turn = 0;
	}

	tick() {
		const line = this.lines[this.turn++ % this.lines.length];
		const register = this.registers[Math.floor(Math.random() * this.registers.length)];
		if (!line.free || register.busy) return;
		register.busy = true;
		if (register.unsure || Math.random() < 0.3) {
			line.ask(register.read(), (answer) => register.found(answer), () => (register.busy = false));
			return;
		}
		const value = Math.random() < 0.15 ? null : VALUES[Math.floor(Math.random() * VALUES.length)];
		const before = new Set(register.may);
		line.ask(register.write(value), null, (answer) => {
			register.busy = false;
			register.wrote(value, answer, before);
			if (answer && !('error' in answer)) this.ledger.count(this.ledger.events, 'writes answered');
		});
	}

	// All registers, by connections of their own.
	async verify() {
		let checked = 0;
		for (const register of this.registers) {
			if (register.busy) continue;
			register.busy = true;
			const answer = await once(this.ledger, `${this.name}.verify`, this.path, 'lines', register.read(),
				(a) => register.found(a));
			register.busy = false;
			if (answer && !('error' in answer)) checked++;
		}
		this.ledger.count(this.ledger.events, 'registers verified', checked);
		return checked;
	}

	mark() {
		for (const register of this.registers) register.marked = new Set(register.may);
	}

	marked() {
		const all = {};
		for (const register of this.registers) {
			all[register.id] = [...(register.marked ?? [])];
			register.marked = null;
		}
		return all;
	}
}
