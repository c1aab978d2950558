// Clients that mean no good. Each test shows that the server's memory is bounded and that a
// well-behaved client is answered all the while; its times are printed, never asserted.
import fs from 'node:fs';
import net from 'node:net';
import { spawnSync } from 'node:child_process';
import { Client, call, frame, main, message, same, serveNames, test, until } from './lib.mjs';

const MIB = 1024;
// The address sanitizer keeps what was freed for a while.
const FACTOR = process.env.SANITIZE ? 20 : 1;
const ATTACK_MB = Number(process.env.KEDGE_ATTACK_MB ?? 256);

const rssKiB = (pid) =>
	Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);

// The most that the server takes while @run runs, in KiB beyond what it took before.
async function growth(pid, run) {
	const before = rssKiB(pid);
	let most = before;
	const timer = setInterval(() => (most = Math.max(most, rssKiB(pid))), 20);
	await run();
	clearInterval(timer);
	return Math.max(most, rssKiB(pid)) - before;
}

// A client that asks one thing after another, for as long as @run takes.
async function wellBehaved(socket, run) {
	const c = await Client.connect(socket);
	const times = [];
	let over = false, n = 0;
	const loop = (async () => {
		while (!over || n < 100) {
			const from = process.hrtime.bigint();
			c.write(message({ id: `${n}`, method: 'echo', params: { value: n } }));
			const done = () => c.got.length > n;
			while (!done() && !c.over) await new Promise((go) => setImmediate(go));
			same(c.got[n].envelope.result, { echoed: n });
			times.push(Number(process.hrtime.bigint() - from) / 1000);
			n++;
		}
	})();
	await run();
	over = true;
	await loop;
	c.destroy();
	times.sort((a, b) => a - b);
	return { n, p99: Math.round(times[Math.floor(times.length * 0.99)]) };
}

function attack(name, limitKiB, run, ...args) {
	test(name, async (dir) => {
		const server = await serveNames(dir, ['assistant'], '--log-level', 'error', ...args);
		try {
			const before = await wellBehaved(server.socket, async () => {});
			let during;
			const grown = await growth(server.child.pid, async () => {
				during = await wellBehaved(server.socket, () => run(server));
			});
			console.log(`# ${name}: ${grown} KiB more, p99 ${before.p99} us before, ` +
				`${during.p99} us during ${during.n} calls (both ends share the processors)`);
			same([grown < limitKiB * FACTOR || grown, during.n >= 100], [true, true]);
			same((await call(server.socket, 'healthz')).result.status, 'healthy');
			same(await server.end(), 0);
		} catch (e) {
			e.stack += `\n${server.log}`;
			throw e;
		} finally {
			if (server.status === null) await server.stop();
		}
	});
}

const open = (socket) =>
	new Promise((done, fail) => {
		const c = net.createConnection(socket, () => done(c));
		c.once('error', fail);
		c.failures = 0;
		c.on('error', () => c.failures++);
	});

const write = (c, bytes) =>
	new Promise((done) => (c.destroyed ? done() : c.write(bytes, () => done())));

const descriptors = Number(spawnSync('sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }).stdout) || 1000000;
const IDLE = Math.min(10000, Math.floor(descriptors * 0.9) - 200);

attack(`${IDLE} idle connections`, 64 * MIB, async ({ socket }) => {
	const all = [];
	for (let i = 0; i < IDLE; i += 100)
		all.push(...(await Promise.all(Array.from({ length: 100 }, () => open(socket)))));
	for (const c of all) c.destroy();
}, '--clients-max', '20000');

attack('bytes that come one by one', 8 * MIB, async ({ socket }) => {
	const all = await Promise.all(Array.from({ length: 200 }, () => open(socket)));
	const bytes = message({ id: '1', method: 'echo', params: { value: 'x'.repeat(200) } });
	for (const byte of bytes.subarray(0, 150)) {
		for (const c of all) c.write(Buffer.from([byte]));
		await new Promise((done) => setTimeout(done, 2));
	}
	for (const c of all) c.destroy();
});

attack('one that never reads', 16 * MIB, async ({ socket }) => {
	const c = await open(socket);
	c.pause();
	const one = message({ id: '1', method: 'echo', params: { value: 'x'.repeat(1000) } });
	const many = Buffer.concat(Array.from({ length: 100 }, () => one));
	for (let i = 0; i < 500; i++) c.write(many);
	await new Promise((done) => setTimeout(done, 500));
	same(c.writableLength > 0, true);
	c.destroy();
});

attack('one that opens 100,000 streams', 32 * MIB, async ({ socket }) => {
	const c = await open(socket);
	const one = message({ id: '1', method: 'echo_stream', params: { chunks: ['x', 'y'], delayMs: 60000 } });
	const many = Buffer.concat(Array.from({ length: 1000 }, () => one));
	for (let i = 0; i < 100; i++) c.write(many);
	await new Promise((done) => setTimeout(done, 500));
	same(c.writableLength > 0, true);
	c.destroy();
});

for (const [kind, head] of [['frame', Buffer.from([0x40, 0, 0, 0])], ['line', Buffer.from('{"id":')]])
	attack(`a ${kind} of ${ATTACK_MB} MB`, 40 * MIB, async ({ socket }) => {
		const c = await open(socket);
		const piece = Buffer.alloc(1 << 20, 0x20);
		await write(c, head);
		for (let i = 0; i < ATTACK_MB; i++) await write(c, piece);
		c.destroy();
	});

attack('nesting of a million', 16 * MIB, async ({ socket }) => {
	const c = await Client.connect(socket);
	for (let i = 0; i < 20; i++) {
		c.write(frame('{"id":"1","method":"echo","params":' + '['.repeat(1e6) + ']'.repeat(1e6) + '}'));
		same((await c.whole(i)).envelope.error, 'Invalid JSON');
	}
	c.destroy();
});

attack('half frames', 32 * MIB, async ({ socket }) => {
	const half = message({ id: '1', method: 'echo', params: { value: 'x'.repeat(10000) } }).subarray(0, 5000);
	for (let round = 0; round < 10; round++) {
		const all = await Promise.all(Array.from({ length: 200 }, () => open(socket)));
		await Promise.all(all.map((c) => write(c, half)));
		for (const [i, c] of all.entries()) if (i % 2) c.destroy();
			else c.end();
		await until(() => all.every((c) => c.destroyed || c.readableEnded || c.resume()), 'they are let go');
	}
});

attack('more bodies than fit, in chunks', 48 * MIB, async ({ socket }) => {
	const c = await Client.connect(socket);
	for (let n = 0; n < 4; n++) {
		c.write(message({ id: 'u', method: 'echo_binary', headers: { 'transfer-encoding': 'chunked' } }));
		for (let i = 0; i < 32; i++) await write(c.socket, frame(Buffer.alloc(1 << 20)));
		await write(c.socket, Buffer.alloc(4));
		same((await c.whole(n)).envelope.statusCode, 413);
	}
	c.destroy();
});

main();
