// Who takes part: things under test with their directories, and the clients of each.
import fs from 'node:fs';
import path from 'node:path';
import { fork, spawnSync } from 'node:child_process';
import { Served, Thing } from './things.mjs';

const HERE = import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname);
const which = (name) => spawnSync('sh', ['-c', `PATH=$PATH:/usr/sbin:/sbin command -v "$1"`, 'sh', name],
	{ encoding: 'utf8' }).stdout.trim();

const servers = (dir, names = ['gateway', 'assistant', 'assistant-skill']) =>
	Object.fromEntries(names.map((name) => [name, path.join(dir, `${name}.sock`)]));

function made(soak, ...parts) {
	const dir = path.join(soak.dir, ...parts);
	fs.mkdirSync(dir, { recursive: true, mode: 0o755 });
	return dir;
}

function everything(soak, name) {
	const dir = made(soak, name);
	return new Served(soak, { name, names: ['all'], args: ['--workspace', dir], sockets: servers(dir), dir });
}

// Its database is none of the adversary's business: what is answered must be there.
function durable(soak, name, base = made(soak, name)) {
	const dir = path.join(base, 'run');
	const data = path.join(base, 'data');
	for (const d of [dir, data]) fs.mkdirSync(d, { recursive: true });
	const socket = path.join(dir, 'gateway.sock');
	return new Served(soak, { name, names: ['gateway'], sockets: { gateway: socket }, dir,
		args: ['--workspace', data, '--socket', socket] });
}

function pair(soak) {
	const dir = made(soak, 'pair');
	const names = ['assistant', 'assistant-skill'];
	return new Served(soak, { name: 'pair', names, args: ['--workspace', dir], sockets: servers(dir, names), dir });
}

// In a user namespace of its own, whose limits of inotify are nobody else's.
function starved(soak) {
	if (spawnSync('unshare', ['-U', '-r', 'true']).status !== 0) {
		soak.skip('starved', 'no user namespace to be had');
		return null;
	}
	const dir = made(soak, 'starved');
	return new Served(soak, { name: 'starved', names: ['gateway'], args: ['--workspace', dir],
		sockets: servers(dir, ['gateway']), dir, wrap: ['unshare', '-U', '-r'] });
}

function redis(soak) {
	const program = which('redis-server');
	if (!program) return soak.skip('redis', 'no redis-server here: scripts/setup soak');
	const dir = made(soak, 'redis');
	const data = made(soak, 'redis-data');
	const at = path.join(dir, 'redis.sock');
	return new Thing(soak, { name: 'redis', dir, paths: [{ name: 'redis', path: at, probe: 'resp' }],
		command: [program, '--port', '0', '--save', '', '--appendonly', 'no', '--dir', data, '--unixsocket', at] });
}

function nginx(soak) {
	const program = which('nginx');
	if (!program) return soak.skip('nginx', 'no nginx here: scripts/setup soak');
	const dir = made(soak, 'nginx');
	const data = made(soak, 'nginx-data');
	const at = path.join(dir, 'nginx.sock');
	const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((t) => `${t}_temp_path "${data}/${t}";`);
	fs.writeFileSync(path.join(data, 'nginx.conf'), `daemon off; worker_processes 1;
		pid "${data}/pid"; error_log stderr crit; events { worker_connections 512; }
		http { access_log off; ${temp.join(' ')} keepalive_requests 1000000000; keepalive_timeout 1d; keepalive_time 1d;
		server { listen "unix:${at}"; location / { return 200 "$request_uri"; } } }`);
	return new Thing(soak, { name: 'nginx', dir, paths: [{ name: 'nginx', path: at, probe: 'http' }],
		command: [program, '-p', data, '-e', 'stderr', '-c', path.join(data, 'nginx.conf')] });
}

function guard(soak, name, guarded) {
	const vault = made(soak, `${name}-vault`);
	fs.chmodSync(vault, 0o700);
	const thing = new Thing(soak, { name, dir: vault,
		command: [soak.kedge, 'guard', '--wait', '--interval', '1000', '--vault', vault, ...guarded.map((p) => p.path)] });
	const said = () => (fs.existsSync(thing.log) ? fs.readFileSync(thing.log, 'utf8').split('\nguarding ').length : 0);
	let before = 0;
	const start = thing.start.bind(thing);
	thing.start = () => ((before = said()), start());
	thing.ready = async () => said() > Math.max(before, 1);
	thing.guarded = guarded;
	thing.anchors = () => fs.readdirSync(vault, { recursive: true }).length;
	return thing;
}

// One that listens and answers, and is nobody's interest.
function idler(soak) {
	const dir = made(soak, 'idler');
	const at = path.join(dir, 'idler.sock');
	const program = `require('net').createServer((c) => c.on('error', () => {}).pipe(c)).listen(process.argv[1])`;
	return new Thing(soak, { name: 'idler', dir, paths: [{ name: 'idler', path: at, probe: 'word' }],
		command: [process.execPath, '-e', program, at] });
}

export function cast(soak) {
	const all = everything(soak, 'all');
	const steady = everything(soak, 'steady');
	steady.disturbed = true;
	const keeper = durable(soak, 'keeper');
	const disk = soak.disk ? durable(soak, 'disk', soak.disk.dir) : null;
	const foreign = [redis(soak), nginx(soak)].filter(Boolean);
	const idle = everything(soak, 'idle');
	const still = idler(soak);
	if (!foreign.length) soak.skip('guard', 'neither redis nor nginx is here');
	return {
		all, steady, keeper, disk, pair: pair(soak), starved: starved(soak), foreign,
		guard: foreign.length ? guard(soak, 'guard', foreign.flatMap((t) => t.paths)) : null,
		idle, idler: still, 'idle-guard': guard(soak, 'idle-guard', still.paths),
	};
}

export const things = (c) =>
	[c.all, c.steady, c.keeper, c.disk, c.pair, c.starved, ...c.foreign, c.guard, c.idle, c.idler, c['idle-guard']]
		.filter(Boolean);

const at = (thing, server) => thing.paths.find((p) => p.name.endsWith(`/${server}`))?.path;

// Processes of clients: each a list of roles. @rate: requests a second, of all together.
function crews(c, rate) {
	const family = (thing) => [
		at(thing, 'gateway') && { role: 'gateway', name: `${thing.name}-g`, path: at(thing, 'gateway'), lines: 4, rate: 3 },
		{ role: 'assistant', name: `${thing.name}-a`, path: at(thing, 'assistant'), lines: 4, rate: 3 },
		{ role: 'skill', name: `${thing.name}-s`, path: at(thing, 'assistant-skill'), assistant: at(thing, 'assistant'), rate: 2 },
	].filter(Boolean);
	const writer = (thing) =>
		thing && { role: 'writer', name: `${thing.name}-w`, path: at(thing, 'gateway'), lines: 4, registers: 100, rate: 2 };
	const foreign = ({ name, paths: [p] }) =>
		({ role: 'foreign', name: `${name}-f`, path: p.path, tongue: p.probe, lines: 4, rate: 3 });
	const all = [
		family(c.all), family(c.steady),
		[writer(c.keeper), writer(c.disk)].filter(Boolean),
		[...family(c.pair), c.starved && { role: 'gateway', name: 'starved-g', path: at(c.starved, 'gateway'), lines: 2, rate: 2 }]
			.filter(Boolean),
		c.foreign.map(foreign),
	].filter((crew) => crew.length);
	const shares = all.flat().reduce((n, spec) => n + spec.rate, 0);
	for (const spec of all.flat()) spec.rate *= rate / shares;
	return all;
}

class Crew {
	constructor(specs) {
		this.specs = specs;
		this.asked = 0;
		this.waiting = new Map();
		this.child = fork(path.join(HERE, 'load.mjs'), [JSON.stringify(specs)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
		this.over = false;
		this.child.on('exit', () => {
			this.over = true;
			for (const done of this.waiting.values()) done(null);
		});
		this.child.on('message', ({ n, value }) => {
			this.waiting.get(n)?.(value);
			this.waiting.delete(n);
		});
	}

	// Return: what the process says, or null where it has ended.
	ask(command, argument) {
		if (this.over) return Promise.resolve(null);
		return new Promise((done) => {
			this.waiting.set(++this.asked, done);
			this.child.send({ n: this.asked, command, argument });
		});
	}
}

export const crewsOf = (c, rate) => crews(c, rate).map((specs) => new Crew(specs));
