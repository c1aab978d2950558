// Clients of each kind. tick() makes a request, if there is a connection that may carry one.
import { Conn, once } from './conn.mjs';
import { Writer } from './registers.mjs';

const lot = (n) => Math.floor(Math.random() * n);
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const wanted = (value) => (answer) =>
	same(answer.result, value) ? null : `wanted ${JSON.stringify(value)}`;
const refusedAs = (code) => (answer) => (answer.errorCode === code ? null : `wanted ${code}`);

// A word that no other request of any client has: an answer to somebody else shows by it.
let words = 0;
const word = (name) => `${name}-${process.pid}-${++words}`;

// The lines of all roles but the skill's: some connections that stay, and every tenth request on
// one of its own.
class Role {
	constructor(ledger, { name, path, lines, tongue }) {
		Object.assign(this, { ledger, name, path, tongue });
		this.lines = Array.from({ length: lines }, (_, i) => this.line(`${name}.${i}`).start());
		this.turn = 0;
	}

	line(name) {
		return new Conn(this.ledger, name, this.path, this.tongue);
	}

	tick() {
		const { request, check, done } = this.make();
		if (lot(10) === 0) {
			void once(this.ledger, `${this.name}.once`, this.path, this.tongue, request, check).then(done);
			return;
		}
		const line = this.lines[this.turn++ % this.lines.length];
		if (line.free) line.ask(request, check, done);
		else done?.(null);
	}
}

const THRESHOLDS = wanted({ interactive: 'medium', autonomous: 'low', headless: 'none' });

class Gateway extends Role {
	constructor(ledger, spec) {
		super(ledger, { tongue: 'lines', ...spec });
	}

	make() {
		const value = { who: word(this.name), filler: 'x'.repeat(lot(20) ? lot(200) : lot(20000)) };
		switch (lot(8)) {
		case 0:
			// In a directory that nobody may enter there is no database: then it says so.
			return { request: { method: 'get_global_thresholds' },
				check: (answer) => (/^The thresholds cannot be read: /.test(answer.error) ? null : THRESHOLDS(answer)) };
		case 1:
			return { request: { method: `no_${lot(10)}` }, check: refusedAs('UNKNOWN_METHOD') };
		case 2:
			return { request: { method: 'set_conversation_threshold', params: { conversationId: '' } },
				check: refusedAs('BAD_REQUEST') };
		default:
			return { request: { method: 'echo', params: { value } }, check: wanted({ echoed: value }) };
		}
	}
}

class Assistant extends Role {
	constructor(ledger, spec) {
		super(ledger, { tongue: 'frames', ...spec });
	}

	make() {
		const value = word(this.name);
		const bytes = Buffer.alloc(lot(20) ? lot(500) : lot(60000), value);
		const sent = (answer) => (answer.body?.equals(bytes) ? null : `wanted ${bytes.length} bytes of ${value}`);
		switch (lot(8)) {
		case 0:
			return { request: { method: 'echo_binary', body: bytes }, check: sent };
		case 1: {
			const third = Math.floor(bytes.length / 3);
			const chunks = [bytes.subarray(0, third), bytes.subarray(third)].filter((c) => c.length);
			return { request: { method: 'echo_binary', body: chunks }, check: sent };
		}
		case 2: {
			const chunks = [value, ' and ', value];
			const whole = Buffer.from(chunks.join(''));
			return { request: { method: 'echo_stream', params: { chunks, delayMs: lot(3) } },
				check: (answer) => (answer.body?.equals(whole) ? null : `wanted ${whole}`) };
		}
		case 3:
			return { request: { method: 'cache_set', params: { body: { key: `k${lot(50)}`, data: value } } },
				check: (answer) => (answer.result?.key ? null : 'wanted a key') };
		case 4:
			return { request: { method: 'echo_error', params: { error: value, statusCode: 418, errorCode: 'TEAPOT' } },
				check: (answer) => (answer.error === value ? null : `wanted ${value}`) };
		default:
			return { request: { method: 'echo', params: { value } }, check: wanted({ echoed: value }) };
		}
	}
}

// Servers that know nothing of kedge: a word that comes back.
class Foreign extends Role {
	make() {
		const own = word(this.name);
		return { request: { word: own }, check: (answer) => (answer.word === own ? null : `wanted ${own}`) };
	}
}

const TOOL = {
	description: '', input_schema: { type: 'object' }, defaultRiskLevel: 'low', category: 'c',
	ownerSkillId: 'soak',
};

// A skill with a tool, subscribers, a publisher, and the assistant's side of the tool.
class Skill {
	constructor(ledger, { name, path, assistant }) {
		Object.assign(this, { ledger, name, path, assistant, tool: null });
		this.published = []; // { n, answered }, as long as a subscriber may miss it
		this.last = 0;
		this.skill = new Conn(ledger, `${name}.tool`, path, 'lines',
			{ open: () => this.register(), message: (m) => this.asked(m), close: () => (this.tool = null) }).start();
		this.publisher = new Conn(ledger, `${name}.publisher`, path, 'lines').start();
		this.caller = new Conn(ledger, `${name}.caller`, assistant, 'frames').start();
		this.subscribers = [0, 1].map((i) => this.subscriber(`${name}.subscriber${i}`));
	}

	register() {
		const tool = word('tool');
		this.skill.ask({ method: 'host.registries.register_tools', params: { tools: [{ name: tool, ...TOOL }] } },
			wanted({ registered: [tool] }), (answer) => (this.tool = answer?.result ? tool : null));
	}

	asked(message) {
		if (message.method !== 'skill.dispatch_tool') return false;
		this.skill.say({ id: message.id, result: { result: { echoed: message.params.input } } });
		return true;
	}

	subscriber(name) {
		const s = { since: null, seen: 0 };
		s.conn = new Conn(this.ledger, name, this.path, 'lines', {
			open: () => s.conn.ask({ method: 'host.events.subscribe', params: { filter: {} } },
				wanted({ subscribed: true }), (answer) => (s.since = answer ? this.last : null)),
			message: (m) => this.delivered(name, s, m),
			close: () => (s.since = null),
		}).start();
		return s;
	}

	// Each event that was published since the subscription comes once, in order. The stream has
	// the id of its request, so deliveries come as answers that nobody waits for.
	delivered(name, s, { event, payload }) {
		if (event !== 'delivery') return false;
		const n = Number(/^event-(\d+)$/.exec(payload.id)?.[1]);
		if (payload.conversationId !== this.name) return true; // another publisher's
		this.ledger.count(this.ledger.events, 'events delivered');
		if (!(n > s.seen)) this.ledger.violation(`${name}: event ${payload.id} after event ${s.seen}`);
		const lost = this.published.find((p) => p.answered && p.n > Math.max(s.seen, s.since ?? Infinity) && p.n < n);
		if (lost) this.ledger.violation(`${name}: event ${lost.n} was published and not delivered before ${n}`);
		s.seen = n;
		return true;
	}

	publish() {
		if (!this.publisher.free) return;
		const one = { n: ++this.last, answered: false };
		this.published.push(one);
		if (this.published.length > 5000) this.published.shift();
		const event = { id: `event-${one.n}`, emittedAt: new Date().toISOString(), conversationId: this.name,
			message: { type: 'soak' } };
		this.publisher.ask({ method: 'host.events.publish', params: { event } }, wanted({ published: true }),
			(answer) => (one.answered = Boolean(answer?.result)));
	}

	tick() {
		if (lot(3) === 0) return this.publish();
		const input = { who: word(this.name) };
		if (!this.tool || !this.caller.free) return undefined;
		// Where the skill has just gone, its tool has too.
		const check = (answer) =>
			('error' in answer ? [404, 502, 504].includes(answer.statusCode) : same(answer.result?.result, { echoed: input }))
				? null : `wanted ${JSON.stringify(input)}`;
		this.caller.ask({ method: 'skill_dispatch_tool', params: { name: this.tool, input } }, check);
		return undefined;
	}
}

export const ROLES = { gateway: Gateway, writer: Writer, assistant: Assistant, foreign: Foreign, skill: Skill };
