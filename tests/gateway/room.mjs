// The gateway on disks without room: SQLite maps the index of its log, and a store to a page that
// has no block, where there is none to be had, would be the server's end by SIGBUS.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { spawn, spawnSync } from 'node:child_process';
import { KEDGE, call, main, same, skip, test, until } from './lib.mjs';

const PYTHON = process.argv[3];
const ENV = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
const SMALL_BLOCKS = ['mkfs.ext4', '-q', '-F', '-m', '0', '-b', '1024'];
// As SQLite tells of what a write(2), and what an fsync(2), found no room for.
const REFUSED = /^The thresholds? cannot be stored: (database or disk is full|disk I\/O error)$/;
const children = [];

function start(...command) {
	const child = spawn(command[0], command.slice(1), { env: ENV });
	Object.assign(child, { log: '', over: false });
	child.stdin.on('error', () => {});
	for (const stream of [child.stdout, child.stderr]) stream.on('data', (d) => (child.log += d));
	child.on('error', (e) => Object.assign(child, { log: `${command[0]}: ${e.code}`, over: e.code }));
	child.on('close', (code, signal) => (child.over = signal ?? `${code}`));
	children.push(child);
	return child;
}

// A file system of its own in a mount namespace that goes with its holder.
class Disk {
	static async make(dir, size, mkfs) {
		if (process.getuid() !== 0) skip('mounting needs root');
		const [major, minor] = os.release().split('.').map(Number);
		if (major < 5 || (major === 5 && minor < 14)) skip(`Linux ${os.release()} cannot be asked for the room`);
		const image = path.join(dir, 'image');
		fs.closeSync(fs.openSync(image, 'w'));
		fs.truncateSync(image, size);
		const made = spawnSync(mkfs[0], [...mkfs.slice(1), image], { encoding: 'utf8', env: ENV });
		if (made.error) skip(`no ${mkfs[0]} here`);
		if (made.status !== 0) throw new Error(`${mkfs.join(' ')}: ${made.stderr}`);
		const disk = new Disk();
		disk.dir = path.join(dir, 'mnt');
		disk.socket = path.join(dir, 'g.sock');
		fs.mkdirSync(disk.dir, { recursive: true });
		disk.holder = start('unshare', '-m', 'sh', '-c', 'mount -o loop "$1" "$2" && echo mounted && exec cat', 'sh',
			image, disk.dir);
		await until(() => disk.holder.log.includes('mounted') || disk.holder.over, 'a mount');
		if (disk.holder.over) skip(`no mount here: ${disk.holder.log.trim()}`);
		return disk;
	}

	// As those outside of the namespace see it.
	file(name) {
		return `/proc/${this.holder.pid}/root${this.dir}/${name}`;
	}

	start(...command) {
		return start('nsenter', `--mount=/proc/${this.holder.pid}/ns/mnt`, ...command);
	}

	async serve() {
		const server = this.start(KEDGE, 'serve', 'gateway', '--workspace', this.dir, '--socket', this.socket);
		await until(() => server.log.includes('listening at') || server.over, 'a start');
		return server;
	}

	// Another program that reads the database, and goes on holding what it has read of it.
	async reader() {
		const reader = this.start(PYTHON, '-c', 'import sqlite3, sys; d = sqlite3.connect(sys.argv[1], isolation_level=None);' +
			'd.execute("begin"); d.execute("select * from sqlite_master").fetchall(); print("reads", flush=True);' +
			'sys.stdin.read()', path.join(this.dir, 'gateway.db'));
		await until(() => reader.log.includes('reads') || reader.over, 'a reader');
		if (reader.over) throw new Error(reader.log);
		return reader;
	}

	// Everything, but for so many bytes.
	fill(but) {
		const fd = fs.openSync(this.file('filler'), 'w');
		const bytes = Buffer.alloc(1 << 20, 1);
		let size = 0;
		for (let n = bytes.length; n >= 512;) {
			try {
				size += fs.writeSync(fd, bytes, 0, n);
			} catch (e) {
				if (e.code !== 'ENOSPC') throw e;
				n >>= 1;
			}
		}
		fs.ftruncateSync(fd, Math.max(0, size - but));
		fs.closeSync(fd);
	}

	// What is held back goes to the device.
	sync() {
		spawnSync('sync', ['-f', this.file('')]);
	}
}

const set = (disk, conversationId, threshold) =>
	call(disk.socket, 'set_conversation_threshold', { conversationId, threshold });
const get = async (disk, conversationId) =>
	(await call(disk.socket, 'get_conversation_threshold', { conversationId })).result;
// One page, which is one frame of the log.
const setGlobals = (disk, i) => call(disk.socket, 'set_global_thresholds', { headless: i % 2 ? 'low' : 'high' });

async function end(child, signal = 'SIGTERM') {
	child.kill(signal);
	await until(() => child.over, 'the end');
	return child.over;
}

// A case with its disk, nothing of which is left also where it fails.
const onDisk = (size, mkfs, run) => async (dir) => {
	try {
		await run(await Disk.make(dir, size, mkfs));
	} finally {
		for (const child of children.splice(0).reverse()) if (!child.over) await end(child, 'SIGKILL');
	}
};

// A write is done, or refused for want of room; then there is room, and all goes on.
async function livesOn(disk, server, answer) {
	if (answer.error && !(answer.statusCode === 500 && REFUSED.test(answer.error)))
		throw new Error(`refused so: ${JSON.stringify(answer)}`);
	fs.unlinkSync(disk.file('filler'));
	same((await set(disk, 'after', 'low')).result, { conversationId: 'after', threshold: 'low' });
	same(await get(disk, 'after'), { threshold: 'low' });
	same(server.over, false);
}

// How much room there is decides where it ends: in the log, which was always told of, or in its index.
test('blocks of 1 KiB: the first write, with room for a part of the index', onDisk(16 << 20, SMALL_BLOCKS, async (disk) => {
	let refused = 0, done = 0;
	for (let room = 0; room <= 40 << 10; room += 4 << 10) {
		// It makes a new index, for the last one went when it ended.
		const server = await disk.serve();
		disk.fill(room);
		const answer = await set(disk, `${room}`, 'high');
		answer.error ? refused++ : done++;
		await livesOn(disk, server, answer);
		same(await get(disk, `${room}`), answer.error ? null : { threshold: 'high' });
		same(await end(server), '0');
	}
	same([refused > 0, done > 0], [true, true]);
}));

test('blocks of 1 KiB: the index was made by another program', onDisk(16 << 20, SMALL_BLOCKS, async (disk) => {
	same(await end(await disk.serve()), '0');
	for (let room = 4 << 10; room <= 28 << 10; room += 8 << 10) {
		const reader = await disk.reader();
		disk.fill(room);
		const server = await disk.serve();
		await livesOn(disk, server, await set(disk, `${room}`, 'high'));
		same(await end(server), '0');
		// Where it is the last to leave, it takes the index along.
		reader.stdin.end();
		await until(() => reader.over, 'the reader ends');
	}
}));

const FRAME = 4096 + 24;
const FRAMES_OF_FIRST_REGION = 4062;

// While somebody reads, the log cannot begin anew, and each 4096 of its frames take 32 KiB of index.
test('blocks of 1 KiB: the index grows, with room for a part of it', onDisk(64 << 20, SMALL_BLOCKS, async (disk) => {
	const server = await disk.serve();
	await disk.reader();
	const frames = () => Math.floor(fs.statSync(disk.file('gateway.db-wal')).size / FRAME);
	for (let i = 0; i < 1000 && frames() < FRAMES_OF_FIRST_REGION - 60; i++)
		same((await set(disk, `${i}`.padEnd(50000, 'x'), 'high')).error, undefined);
	for (let i = 0; i < 100 && frames() < FRAMES_OF_FIRST_REGION - 5; i++)
		same((await setGlobals(disk, i)).error, undefined);
	const left = FRAMES_OF_FIRST_REGION - frames();
	same(left > 0 && left <= 5, true);
	disk.sync();
	disk.fill((left + 1) * FRAME + (20 << 10));
	disk.sync();
	let answer = {};
	for (let i = 0; i < left + 20 && !answer.error; i++) answer = await setGlobals(disk, i);
	// That many fit in the log, so it was not the log that there was no room for.
	same([Boolean(answer.error), frames() - FRAMES_OF_FIRST_REGION], [true, 1]);
	await livesOn(disk, server, answer);
	same(await end(server), '0');
}));

test('what is written goes to a new place: room for the index is needed each time',
	onDisk(160 << 20, ['mkfs.btrfs', '-q', '-f'], async (disk) => {
		const server = await disk.serve();
		for (let i = 0; i < 20; i++) same((await set(disk, `${i}`, 'high')).error, undefined);
		for (let i = 0; i < 3; i++) {
			// All of it is on the disk, which was filled since.
			disk.sync();
			disk.fill(0);
			disk.sync();
			let answer = {};
			for (let n = 0; n < 20 && !answer.error; n++) answer = await set(disk, `${n}`, 'low');
			await livesOn(disk, server, answer);
		}
		same(await end(server), '0');
	}));

main();
