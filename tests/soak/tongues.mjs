// What is spoken on a connection, from the protocols' document alone. A tongue makes bytes of a
// request, and of bytes answers: take(data) calls answer(id, {...}) for each that is complete.
// Where a protocol has no ids, answers come in the order of the requests.

export const frame = (data) => {
	const bytes = Buffer.from(data);
	const header = Buffer.alloc(4);
	header.writeUInt32BE(bytes.length);
	return Buffer.concat([header, bytes]);
};

// What the adversary's own listeners say to whomever they get, before they hang up.
export const STRANGER = 'STRANGER\n';

class Tongue {
	constructor(answer) {
		this.answer = answer;
		this.rest = Buffer.alloc(0);
	}

	take(data) {
		this.rest = this.rest.length ? Buffer.concat([this.rest, data]) : data;
		for (let used; this.rest.length && (used = this.one(this.rest)) > 0;)
			this.rest = this.rest.subarray(used);
	}
}

// {"id":...} a line. A message without "id" is a push; one with "method" asks us.
export class Lines extends Tongue {
	request(id, { method, params }) {
		return JSON.stringify({ id, method, params }) + '\n';
	}

	one(bytes) {
		const end = bytes.indexOf(10);
		if (end < 0) return 0;
		const message = JSON.parse(bytes.toString('utf8', 0, end));
		this.answer('id' in message ? message.id : null, message);
		return end + 1;
	}
}

export class Frames extends Tongue {
	constructor(answer) {
		super(answer);
		this.open = null; // the answer whose body or chunks are coming
	}

	// @body: one frame, or a list of chunks.
	request(id, { method, params, body }) {
		if (body === undefined) return frame(JSON.stringify({ id, method, params }));
		if (Buffer.isBuffer(body))
			return Buffer.concat([frame(JSON.stringify({ id, method, params,
				headers: { 'content-length': `${body.length}` } })), frame(body)]);
		const headers = { 'transfer-encoding': 'chunked' };
		return Buffer.concat([frame(JSON.stringify({ id, method, params, headers })),
			...body.map((chunk) => frame(chunk)), frame('')]);
	}

	one(bytes) {
		if (bytes.length < 4 || bytes.length < 4 + bytes.readUInt32BE()) return 0;
		const size = bytes.readUInt32BE();
		this.frame(Buffer.from(bytes.subarray(4, 4 + size)));
		return 4 + size;
	}

	frame(bytes) {
		const { open } = this;
		if (!open) {
			const message = JSON.parse(bytes.toString());
			const headers = message.headers ?? {};
			if ('content-length' in headers) this.open = { message, body: null };
			else if ('transfer-encoding' in headers) this.open = { message, chunks: [] };
			else this.answer(message.id ?? null, message);
		} else if (open.chunks && bytes.length) {
			open.chunks.push(bytes);
		} else {
			this.open = null;
			const body = open.chunks ? Buffer.concat(open.chunks) : bytes;
			this.answer(open.message.id, { ...open.message, body });
		}
	}
}

// Redis' own: ECHO, and bulk strings back.
export class Resp extends Tongue {
	request(id, { word }) {
		return `*2\r\n$4\r\nECHO\r\n$${word.length}\r\n${word}\r\n`;
	}

	one(bytes) {
		const end = bytes.indexOf('\r\n');
		if (end < 0) return 0;
		const head = bytes.toString('latin1', 0, end);
		if (head[0] !== '$') {
			this.answer(undefined, { error: head, errorCode: head.split(' ')[0] });
			return end + 2;
		}
		const size = Number(head.slice(1));
		if (bytes.length < end + 4 + size) return 0;
		this.answer(undefined, { word: bytes.toString('latin1', end + 2, end + 2 + size) });
		return end + 4 + size;
	}
}

export class Http extends Tongue {
	request(id, { word }) {
		return `GET /${word} HTTP/1.1\r\nHost: soak\r\n\r\n`;
	}

	one(bytes) {
		const end = bytes.indexOf('\r\n\r\n');
		if (end < 0) return 0;
		const head = bytes.toString('latin1', 0, end);
		const size = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
		if (bytes.length < end + 4 + size) return 0;
		const status = Number(head.split(' ')[1]);
		const word = bytes.toString('latin1', end + 4, end + 4 + size).slice(1);
		this.answer(undefined, status === 200 ? { word } : { error: head, errorCode: `HTTP ${status}` });
		return end + 4 + size;
	}
}

export const TONGUES = { lines: Lines, frames: Frames, resp: Resp, http: Http };
