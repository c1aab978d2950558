// The power goes: what stands on the device is mounted, a new server reads it, and every answered
// write must be in it.
import fs from 'node:fs';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { leftovers, until } from './things.mjs';
import { isOurs } from './world.mjs';
import { Ledger } from './ledger.mjs';
import { Conn } from './conn.mjs';

async function served(soak, dir) {
	const socket = path.join(dir, 'run', 'gateway.sock');
	// The machine has been started anew, and says so.
	const boot = path.join(soak.dir, 'boot_id');
	fs.writeFileSync(boot, `${randomUUID()}\n`);
	const child = spawn('unshare', ['-m', 'sh', '-c', 'mount --bind "$1" /proc/sys/kernel/random/boot_id && shift && exec "$@"',
		'sh', boot, soak.kedge, 'serve', 'gateway', '--workspace', path.join(dir, 'data'), '--socket', socket]);
	const server = { socket, log: '', status: null };
	for (const stream of [child.stdout, child.stderr]) stream.on('data', (d) => (server.log += d));
	child.on('close', (code, signal) => (server.status = signal ?? code));
	await until(() => server.status !== null || server.log.includes('listening at'), 'a server after a power cut');
	if (server.status !== null) throw new Error(`it does not start after a power cut: ${server.log}`);
	server.end = async () => {
		child.kill('SIGTERM');
		await until(() => server.status !== null, 'the server after a power cut ends');
		return server.status;
	};
	return server;
}

// Ask for all of @may: id -> what it may be. Return: what is not so.
function compared(socket, may) {
	const wrong = [];
	return new Promise((done) => {
		const line = new Conn(new Ledger(), 'after a power cut', socket, 'lines');
		let left = Object.keys(may).length;
		line.reconnects = false;
		line.on.close = () => done(left ? [...wrong, `${left} registers were not read`] : wrong);
		line.on.open = () => {
			for (const [id, values] of Object.entries(may))
				line.ask({ method: 'get_conversation_threshold', params: { conversationId: id } }, null, (answer) => {
					if (!answer) return;
					const value = answer.result?.threshold ?? null;
					if ('error' in answer || !values.includes(value))
						wrong.push(`${id} is ${answer.error ?? value}, may be ${values.map(String).join(' or ')}`);
					if (--left === 0) line.end();
				});
		};
		line.start();
	});
}

// What the adversary has removed since may stand there again, as the disk has it.
function sweep(dir) {
	const at = path.join(dir, 'run', 'gateway.sock');
	fs.rmSync(path.join(dir, 'filler'), { force: true });
	if (!fs.lstatSync(at, { throwIfNoEntry: false })?.isSocket()) fs.rmSync(at, { recursive: true, force: true });
}

export async function powerCut(soak, act, thing) {
	const writer = soak.crewOf('disk-w');
	const image = path.join(soak.dir, `cut-${soak.cuts + 1}.img`);
	await writer.ask('mark', 'disk-w');
	let taken;
	thing.signal('SIGSTOP');
	try {
		taken = await soak.disk.snapshot(image);
	} finally {
		thing.signal('SIGCONT');
	}
	const may = await writer.ask('marked', 'disk-w');
	if (!taken) {
		soak.skip('a power cut', 'the device was never at rest');
		act.since = performance.now();
		return;
	}
	const left = soak.disk.mounted(image);
	sweep(left.dir);
	const server = await served(soak, left.dir);
	const wrong = await compared(server.socket, may);
	const status = await server.end();
	if (status !== 0) wrong.push(`the server ended with ${status}`);
	wrong.push(...leftovers(path.join(left.dir, 'run')).filter((name) => !isOurs(name)).map((name) => `${name} is left`));
	left.end();
	act.since = performance.now();
	soak.cuts++;
	soak.registersAfterCuts += Object.keys(may).length;
	for (const w of wrong) soak.violation(`after a power cut: ${w}`);
	if (wrong.length) fs.writeFileSync(path.join(soak.dir, 'logs', `cut-${soak.cuts}.log`), server.log);
}
