// Whichever kedge runs on this machine can be asked: serve and run as well as guard. And what
// Prometheus and Grafana get to see of it.
import fs from 'node:fs';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { KEDGE, NOBODY, ROOT, main, matches, same, serveNames, start, startKedge, until } from './lib.mjs';
import { daemon, guard, rm, test } from './guarding.mjs';

const DASHBOARD = path.resolve(process.argv[6]);

// Each test has a runtime directory of its own, which serveNames() hands on.
const within = (name, run) =>
	test(name, (dir) => {
		process.env.KEDGE_RUNTIME_DIR = path.join(dir, 'rt');
		return run(dir);
	});

const kedge = (...args) => {
	const r = spawnSync(KEDGE, args, { encoding: 'utf8', timeout: 20000 });
	return { status: r.status, out: r.stdout, err: r.stderr };
};

const status = () => new Map(JSON.parse(kedge('status', '--json').out).map((p) => [p.pid, p.status]));
const eventsOf = (text) => text.trim().split('\n').filter(Boolean).map((line) => JSON.parse(line));

async function running(...args) {
	const p = startKedge(['run', ...args]);
	await until(() => /started, pid/.test(p.err) || p.status !== null, 'the command stands');
	if (p.status !== null) throw new Error(`ended with ${p.status}: ${p.err}`);
	return p;
}

// How often somebody asks is no part of how the paths are.
const steady = (told) => ({ ...told, paths: told.paths.map((p) => ({ ...p, clients: 0, requests: 0 })) });

within('serve, run and guard are all asked, and followed', async (dir) => {
	const at = (name) => path.join(dir, name);
	const s = await serveNames(dir, ['gateway', 'assistant']);
	const r = await running('--listen', at('held'), '--', 'sleep', '1000');
	await daemon(at('foreign'));
	const g = await guard(dir, [at('foreign')]);
	const f = startKedge(['events', '--follow', '--json']);

	let told = kedge('status');
	same(told.status, 0);
	matches(told.out, new RegExp(`^reachable +0 +gateway +${s.child.pid} +.*/gateway.sock$`, 'm'));
	matches(told.out, new RegExp(`^reachable +0 +sleep/\\d+ +${r.pid} +.*/held$`, 'm'));
	matches(told.out, new RegExp(`^reachable +0 +daemon/\\d+ +${g.pid} +.*/foreign$`, 'm'));
	await until(() => eventsOf(f.out).filter((e) => e.event === 'listening').length >= 4, 'a follower');

	for (const socket of [s.gateway, at('held'), at('foreign')]) {
		rm(socket);
		await until(() => eventsOf(f.out).some((e) => e.event === 'recovered' && e.path === socket),
			`${socket} is followed`);
	}
	const pids = [s.child.pid, r.pid, g.pid];
	same(pids.map((pid) => status().get(pid).events.recovered), [1, 1, 1]);
	same(eventsOf(kedge('events', '--json').out).filter((e) => e.event === 'lost').map((e) => e.guard)
		.sort(), [...pids].sort());
	const one = JSON.parse(kedge('status', '--json', at('held')).out).flatMap((p) => p.status.paths);
	same([one.length, one[0].relinks, one[0].losses], [1, 1, 1]);

	same([await s.end(), await r.kill('SIGTERM'), await g.end()], [0, 143, 0]);
	await f.kill();
	same([kedge('status').status, fs.readdirSync(at('rt'))], [1, []]);
});

within('the assistant tells the same as kedge status and kedge events', async (dir) => {
	const s = await serveNames(dir, ['all']);
	rm(s.gateway);
	await until(() => /reachable again/.test(s.log), 'a repair');
	const told = JSON.parse(kedge('call', s.assistant, 'sockets_status').out);
	same(JSON.stringify(steady(told)), JSON.stringify(steady(status().get(s.child.pid))));
	same(told.paths.map((p) => [p.name, p.losses]), [['gateway', 1], ['assistant', 0], ['assistant-skill', 0]]);
	const asked = eventsOf(kedge('events', '--json').out).map(({ guard, ...event }) => {
		same(guard, s.child.pid);
		return event;
	});
	same(JSON.stringify(eventsOf(kedge('call', s.assistant, 'sockets_events').out)), JSON.stringify(asked));
	same(asked.map((e) => e.event).slice(-3), ['lost', 'relinked', 'recovered']);

	// Followers of both kinds see what happens next.
	const f = startKedge(['events', '--follow', '--json']);
	const a = startKedge(['call', s.assistant, 'sockets_events', '{"follow":true}']);
	await until(() => f.out.includes('recovered') && a.out.includes('recovered'), 'two followers');
	rm(s['assistant-skill']);
	const seen = (p) => p.out.split('"recovered"').length === 3;
	await until(() => seen(f) && seen(a), 'both are told');
	await f.kill();
	await a.kill();
	same(await s.end(), 0);
});

within('a server without the assistant describes its paths too', async (dir) => {
	const s = await serveNames(dir, ['gateway']);
	const [p] = status().get(s.child.pid).paths;
	same([p.name, p.generation, p.anchored, p.clients, p.requests], ['gateway', 1, true, 0, 0]);
	same(kedge('call', s.gateway, 'get_global_thresholds').status, 0);
	same(status().get(s.child.pid).paths[0].requests, 1);
	same(await s.end(), 0);
});

within('the events of one path can be asked for', async (dir) => {
	const s = await serveNames(dir, ['all']);
	for (const socket of [s.gateway, s.assistant]) {
		rm(socket);
		await until(() => status().get(s.child.pid).paths.every((p) => p.state === 'reachable') &&
			fs.existsSync(socket), 'a repair');
	}
	const control = path.join(dir, 'rt', `${s.child.pid}.sock`);
	const asked = (params) => kedge('call', control, 'sockets_events', JSON.stringify(params));
	const events = JSON.parse(asked({ path: s.gateway, most: 3 }).out);
	same(events.map((e) => [e.event, e.path]), ['lost', 'relinked', 'recovered'].map((e) => [e, s.gateway]));
	same(JSON.parse(asked({ path: '/none' }).out), []);
	matches(asked({ path: 7 }).err, /Invalid params: path: /);
	same(await s.end(), 0);
});

within('what killed ones have left is swept by the next that starts', async (dir) => {
	const there = () => fs.readdirSync(path.join(dir, 'rt'), { recursive: true }).sort();
	const socket = path.join(dir, 's');
	await daemon(socket);
	let g;
	for (let i = 0; i < 4; i++) {
		if (g) await g.kill('SIGKILL');
		g = await guard(dir, [socket]);
	}
	const anchors = `.kedge-${process.getuid()}`;
	same(there(), [anchors, ...['sock.1', 'sock.lock'].map((n) => `${anchors}/${g.pid}.${n}`), `${g.pid}.sock`].sort());
	const alive = g;
	g = await guard(dir, ['--wait', path.join(dir, 'other')]);
	same([...status().keys()].sort(), [alive.pid, g.pid].sort());
	same([await g.end(), await alive.end(), there()], [0, 0, []]);
});

within('restarts change whom kedge status names', async (dir) => {
	const socket = path.join(dir, 's');
	const r = await running('--listen', socket, '--', 'sleep', '1000');
	const owner = () => status().get(r.pid).paths[0].owner?.pid;
	const first = owner();
	r.child.kill('SIGHUP');
	await until(() => owner() && owner() !== first, 'another owner');
	same(await r.kill('SIGTERM'), 143);
	// Nothing is held, nothing to be asked about.
	const bare = startKedge(['run', '--', 'sleep', '1000']);
	await until(() => /started, pid/.test(bare.err), 'a start');
	same(kedge('status').status, 1);
	await bare.kill('SIGTERM');
});

within('where no runtime directory can be made that is said once, and all else goes on', async (dir) => {
	process.env.KEDGE_RUNTIME_DIR = '/proc/kedge';
	const once = (text) => same([text, text.split('cannot ask us').length], [text, 2]);
	const s = await serveNames(dir, ['gateway']);
	const r = await running('--listen', path.join(dir, 's'), '--', 'sleep', '1000');
	for (const socket of [s.gateway, path.join(dir, 's')]) {
		rm(socket);
		await until(() => fs.existsSync(socket), 'a repair');
	}
	r.child.kill('SIGHUP');
	await until(() => r.err.split('started, pid').length === 3, 'a restart');
	same([await s.end(), await r.kill('SIGTERM')], [0, 143]);
	once(s.log);
	once(r.err);
	matches(r.err, /warning .*cannot ask us: .*\/proc\/kedge/);
});

within('an ordinary user without $XDG_RUNTIME_DIR is told, no more', async (dir) => {
	const { KEDGE_RUNTIME_DIR, XDG_RUNTIME_DIR, ...env } = process.env;
	fs.chmodSync(dir, 0o777);
	const r = start(KEDGE, ['run', '--listen', path.join(dir, 's'), '--', 'sleep', '1000'],
		{ env, ...(ROOT ? NOBODY : {}) });
	await until(() => /started, pid/.test(r.err), 'a start');
	matches(r.err, /info .*cannot ask us: neither root nor \$XDG_RUNTIME_DIR/);
	await r.kill('SIGTERM');
});

// Names and labels of samples, as a scraper would read them.
function exported(text) {
	const names = new Map();
	for (const line of text.trim().split('\n')) {
		const [, name, labels] = /^(?:# .*|(\w+)(?:\{(.*)\})? \S+)$/.exec(line);
		if (name) names.set(name, [...(labels ?? '').matchAll(/(\w+)="/g)].map((m) => m[1]));
	}
	return names;
}

within('metrics: the same for the assistant, its file and the control socket', async (dir) => {
	const file = path.join(dir, 'serve.prom'), ran = path.join(dir, 'run.prom');
	const s = await serveNames(dir, ['all'], '--metrics-textfile', file);
	const names = (text) => [...exported(text).keys()];
	const wanted = names(fs.readFileSync(file, 'utf8'));
	same(wanted.includes('kedge_server_requests_total'), true);
	same(names(kedge('call', s.assistant, 'metrics').out), wanted);
	same(names(JSON.parse(kedge('call', path.join(dir, 'rt', `${s.child.pid}.sock`), 'metrics').out)), wanted);
	same(await s.end(), 0);
	matches(fs.readFileSync(file, 'utf8'), /^kedge_paths\{state="reachable"\} 0$/m);
	same(kedge('run', '--metrics-textfile', ran, '--listen', path.join(dir, 's'), '--', 'true').status, 0);
	matches(fs.readFileSync(ran, 'utf8'), /^kedge_events_total\{event="listening"\} 1$/m);
	same(kedge('run', '--metrics-textfile', 'run.prom', '--', 'true').status, 2);
});

within('the dashboard shows what is exported, and nothing else', async (dir) => {
	const file = path.join(dir, 'serve.prom');
	const s = await serveNames(dir, ['all'], '--metrics-textfile', file);
	const known = exported(fs.readFileSync(file, 'utf8'));
	await s.end();
	const board = JSON.parse(fs.readFileSync(DASHBOARD, 'utf8'));
	const targets = board.panels.flatMap((p) => p.targets);
	const queries = [...targets.map((t) => t.expr), ...board.templating.list.map((v) => v.query)];
	const used = new Set(queries.flatMap((q) => q.match(/\bkedge_\w+/g) ?? []));
	same([...used].filter((name) => !known.has(name)), []);
	// Whatever the issue of a guard is about is shown.
	for (const name of ['paths', 'losses_total', 'repairs_total', 'outage_seconds_bucket', 'events_total'])
		same([name, used.has(`kedge_${name}`)], [name, true]);
	for (const { expr } of targets) {
		const labels = known.get(/\bkedge_\w+/.exec(expr)[0]);
		const named = [...expr.matchAll(/(\w+)=~?"/g), ...expr.matchAll(/by \((\w+)\)/g)].map((m) => m[1]);
		same([expr, named.filter((l) => l !== 'instance' && !labels.includes(l))], [expr, []]);
		same([expr, (expr.match(/\(/g) ?? []).length], [expr, (expr.match(/\)/g) ?? []).length]);
	}
	same(new Set(board.panels.map((p) => p.id)).size, board.panels.length);
	const tool = spawnSync('promtool', ['check', 'metrics'], { input: fs.readFileSync(file), encoding: 'utf8' });
	if (!tool.error) same([tool.status, tool.stderr], [0, '']);
});

await main();
