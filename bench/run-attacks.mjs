// What clients that mean no good cost one that does: for each attack on each of the three
// sockets the server's memory, and the good client's p99 before and during it.
//
//	node run-attacks.mjs KEDGE ATTACK [--rounds N] [--window MS] [--only WORD] [--tap]
//
// Rounds alternate: measured alone, then under attack, and the ratio that counts is the median
// of the rounds' ratios, so that a machine which is busy with something else now and then
// spoils a round and not the figure. One whose ratio is too high all the same is measured
// again, up to twelve times: an attack that works does so each time.
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';

const [KEDGE, ATTACK, ...rest] = process.argv.slice(2);
const option = (name, standard) =>
	rest.includes(name) ? rest[rest.indexOf(name) + 1] : standard;
const TAP = rest.includes('--tap');
const ROUNDS = Number(option('--rounds', 7));
const WINDOW_MS = Number(option('--window', 300));
const ONLY = option('--only', '');
const TRIES = 12;
// Instrumented code is slow where an uninstrumented one copies: then only memory is judged.
const RATIO_MAX = process.env.SANITIZE ? Infinity : 3;
// Memory that a server may take beyond what it has: a message of 16 MiB is held while it comes.
const GROWTH_MAX_KIB = (64 << 10) * (process.env.SANITIZE ? 20 : 1);
const NAMES = ['gateway', 'assistant', 'assistant-skill'];
const TITLES = {
	idle: '10,000 idle connections', slow: 'one byte a second, 1,000 clients',
	deaf: 'one that never reads', streams: '100,000 streams', long: 'lines, frames of 1 GiB',
	nested: 'nesting of a million', half: 'half a message, then gone', open: '`{"id":` for ever',
};
const kinds = spawnSync(ATTACK, [], { encoding: 'utf8' }).stdout.trim().split('\n');
const running = new Set();

process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

// A child whose lines can be waited for, one by one.
function start(file, args) {
	const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] });
	const lines = readline.createInterface(child.stdout)[Symbol.asyncIterator]();
	running.add(child);
	child.stdin.on('error', () => {});
	child.closed = new Promise((done) => child.on('close', done));
	child.line = async () => {
		const { value, done } = await lines.next();
		if (done) throw new Error(`${path.basename(file)} ${args[0]} has ended`);
		return value;
	};
	child.end = async (signal) => {
		if (signal) child.kill(signal);
		child.stdin.end();
		await child.closed;
		running.delete(child);
	};
	return child;
}

const rssKiB = (pid) =>
	Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

async function measure(good) {
	good.stdin.write(`${WINDOW_MS}\n`);
	const [count, p50, p99] = (await good.line()).split(' ').map(Number);
	return { count, p50, p99 };
}

// One attack on one socket, in rounds.
async function rounds(server, socket, name, kind) {
	const good = start(ATTACK, ['good', socket, name]);
	const got = { before: [], during: [], ratios: [], rss: rssKiB(server.pid), peak: 0 };
	const timer = setInterval(() => (got.peak = Math.max(got.peak, rssKiB(server.pid))), 10);
	try {
		await measure(good);
		for (let i = 0; i < ROUNDS; i++) {
			const before = await measure(good);
			const attacker = start(ATTACK, [kind, socket, name]);
			if ((await attacker.line()) !== 'ready') throw new Error(`${kind} does not begin`);
			const during = await measure(good);
			await attacker.end();
			await sleep(50);
			got.before.push(before.p99);
			got.during.push(during.p99);
			got.ratios.push(during.p99 / before.p99);
		}
	} finally {
		clearInterval(timer);
		await good.end();
	}
	return got;
}

async function attack(name, kind) {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'kedge attack-'));
	const socket = path.join(dir, `${name}.sock`);
	const server = start(KEDGE, ['serve', name, '--workspace', dir, '--log-level', 'error',
		'--clients-max', '20000']);
	try {
		while (!fs.existsSync(socket)) await sleep(5);
		return await rounds(server, socket, name, kind);
	} finally {
		await server.end('SIGTERM');
		fs.rmSync(dir, { recursive: true, force: true });
	}
}

const us = (ns) => (ns / 1000).toFixed(ns < 100000 ? 1 : 0);
const mib = (kib) => (kib / 1024).toFixed(1);
const numbers = (got) => `ratio ${median(got.ratios).toFixed(2)} (of ` +
	`${got.ratios.map((r) => r.toFixed(2)).join(' ')}), p99 ${us(median(got.before))} -> ` +
	`${us(median(got.during))} us, memory ${mib(got.rss)} -> ${mib(got.peak)} MiB`;

const good = (got) =>
	median(got.ratios) <= RATIO_MAX && got.peak - got.rss < GROWTH_MAX_KIB;

// Attack until it is good, or often enough to say that it is not.
async function attempts(name, kind, tell) {
	for (let n = 1; ; n++) {
		const got = await attack(name, kind);
		tell(got);
		if (good(got) || n === TRIES) return { ...got, runs: n };
	}
}

async function table(cases) {
	console.log('| attack | socket | memory before, peak MiB | p99 before, during us | ratio | runs |');
	console.log('|---|---|---|---|---|---|');
	for (const { name, kind } of cases) {
		const got = await attempts(name, kind, () => {});
		console.log(`| ${TITLES[kind]} | ${name} | ${mib(got.rss)}, ${mib(got.peak)} | ` +
			`${us(median(got.before))}, ${us(median(got.during))} | ` +
			`${median(got.ratios).toFixed(2)} | ${got.runs} |`);
	}
}

async function test(cases) {
	let failed = 0;
	console.log(`1..${cases.length}`);
	for (const [i, { name, kind }] of cases.entries()) {
		const got = await attempts(name, kind,
			(got) => console.log(`# ${kind} on ${name}: ${numbers(got)}`));
		failed += !good(got);
		console.log(`${good(got) ? 'ok' : 'not ok'} ${i + 1} - ${TITLES[kind]}, ${name}`);
	}
	process.exit(failed ? 1 : 0);
}

const cases = NAMES.flatMap((name) => kinds.map((kind) => ({ name, kind })))
	.filter(({ name, kind }) => `${kind} on ${name}`.includes(ONLY));
await (TAP ? test : table)(cases);
