// A soak: who takes part, and its rounds: acts, rest, checks. The acts on one thing come one after
// the other, those on different things at once.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { KINDS } from './acts.mjs';
import { cast, crewsOf, things } from './cast.mjs';
import { Disk } from './disk.mjs';
import { RULE, Samples } from './growth.mjs';
import { total } from './ledger.mjs';
import { powerCut } from './power.mjs';
import * as tell from './tell.mjs';
import { CAP_MS, leftovers, probe, sleep, until } from './things.mjs';
import { Planted, mounts, removeAll } from './world.mjs';

// Of a process, whenever the adversary rests.
const MOST = { rss_kib: 64 * 1024, fds: 400, watches: 200 };
// Of a path: the one that is reachable, and sixteen that were and may still have clients.
const ANCHORS_MAX = 17;
// So long the adversary leaves alone what it has moved.
const MOVED_ROUNDS = 5;
const CALM_MS = 5000;
const MINUTE_MS = 60000;

export class Soak {
	constructor({ kedge, seed, rate, out, tap }) {
		this.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'kedge soak-'));
		Object.assign(this, {
			kedge, seed, rate: Number(rate), out: out ? path.resolve(out) : null, tap, root: process.getuid() === 0,
			round: 0, acts: {}, outages: [], skips: new Map(), violations: [], reports: [], open: 0,
			cuts: 0, registersAfterCuts: 0, planted: new Planted(), moved: [], queues: new Map(), probes: {},
			ended: new Map(), strange: new Map(),
			crews: [], began: Date.now(), told: Date.now(),
		});
		this.powerCut = (act, thing) => powerCut(this, act, thing);
		for (const name of ['logs', 'rt']) fs.mkdirSync(path.join(this.dir, name), { mode: 0o700 });
		process.env.KEDGE_RUNTIME_DIR = path.join(this.dir, 'rt');
	}

	say(text) {
		console.log(this.tap ? text.replace(/^/gm, '# ') : text);
	}

	violation(text) {
		this.violations.push(text);
		this.say(`VIOLATION (seed ${this.seed}, round ${this.round}, ${new Date().toISOString()}) ${text}`);
	}

	skip(what, why) {
		if (!this.skips.has(what)) this.say(`skipped: ${what}: ${why}`);
		this.skips.set(what, why);
		return null;
	}

	elapsed() {
		const s = Math.round((Date.now() - this.began) / 1000);
		return `${Math.floor(s / 60)} min ${s % 60} s`;
	}

	crewOf(role) {
		return this.crews.find((crew) => crew.specs.some((spec) => spec.name === role));
	}

	async start() {
		if (!this.root) this.skip('disk', 'mounting needs root');
		else
			try {
				this.disk = new Disk(this.dir);
			} catch (e) {
				this.skip('disk', e.message);
			}
		this.cast = cast(this);
		for (const thing of things(this.cast)) await thing.start();
		this.crews = crewsOf(this.cast, this.rate);
		if (this.out) fs.mkdirSync(this.out, { recursive: true });
		this.samples = new Samples(this.out ?? this.dir, things(this.cast));
		this.began = Date.now();
	}

	// The thing or path that an act is drawn for; null where it takes no part here.
	target({ of }, name) {
		const all = things(this.cast);
		return (of === 'thing' ? all : all.flatMap((t) => t.paths)).find((x) => x.name === name) ?? null;
	}

	async play(acts) {
		this.round++;
		const doing = [];
		for (const act of acts) {
			const kind = KINDS.find((k) => k.name === act.kind);
			const target = this.target(kind, act.at);
			const why = target && kind.needs?.(this);
			if (why) this.skip(act.kind, why);
			// Who is not here has said why.
			if (!target || why) continue;
			doing.push(this.queued(act, kind, target));
			await sleep(act.pause_ms);
		}
		if (!acts.length) await sleep(CALM_MS);
		await Promise.all(doing);
		await this.check();
	}

	queued(act, kind, target) {
		const thing = target.thing ?? target;
		// The guard has its hands in what happens to its daemons.
		const queue = this.cast.foreign.includes(thing) ? this.cast.guard : thing;
		const turn = (this.queues.get(queue) ?? Promise.resolve()).then(() => this.act(act, kind, target, thing));
		const safe = turn.catch((e) => this.violation(`${act.kind} at ${act.at}: ${e.stack}`));
		this.queues.set(queue, safe);
		return safe;
	}

	async act(act, kind, target, thing) {
		fs.appendFileSync(path.join(this.dir, 'logs', 'acts'), `${new Date().toISOString()} ${JSON.stringify(act)}\n`);
		this.acts[act.kind] = (this.acts[act.kind] ?? 0) + 1;
		if (kind.ends) this.ended.set(thing, this.round);
		if (kind.strangers) this.strange.set(target.path, this.round);
		const before = this.outages.length;
		act.since = performance.now();
		await kind.run(this, act, target);
		if (!this.outages.slice(before).some((o) => o.act === act)) await this.outage(act, [target]);
		// Whatever else is near it.
		for (const p of thing.guarded ?? thing.paths) {
			await this.reachable(p, act);
			if (this.cast.foreign.includes(p.thing)) await this.anchored(p);
		}
	}

	// A listener that the guard has not taken up yet cannot be put back: with events that takes
	// a moment, without them (this machine may have no inotify left) a safety look.
	anchored({ path: at, name }) {
		return until(() => fs.lstatSync(at, { throwIfNoEntry: false })?.nlink > 1, `${name} has an anchor`);
	}

	// Of an act that takes something from all paths of a thing: until the last of them is there.
	async outage(act, targets) {
		const paths = targets.flatMap((t) => t.guarded ?? t.paths ?? [t]);
		const ms = await Promise.all(paths.map((p) => this.reachable(p, act)));
		this.outages.push({ act, kind: act.kind, ms: Math.max(...ms) });
	}

	// How long it took from the moment at which the adversary let go.
	async reachable(p, act) {
		let answer;
		for (const end = performance.now() + CAP_MS; performance.now() < end; await sleep(1)) {
			answer = await this.probe(p);
			if (answer === 'answered') return Math.max(0, performance.now() - act.since);
		}
		this.violation(`${p.name} is not reachable ${CAP_MS} ms after ${act.kind} at ${act.at}: ${answer}`);
		return CAP_MS;
	}

	async probe(p) {
		const answer = await probe(p);
		const kept = (this.probes[p.path] ??= { answered: 0, unsure: 0 });
		if (answer === 'answered') kept.answered++;
		else if (answer === 'no answer' || answer === 'closed') kept.unsure++;
		return answer;
	}

	async check() {
		await this.gather();
		for (const role of ['keeper-w', 'disk-w']) await this.crewOf(role)?.ask('verify', role);
		for (const thing of things(this.cast)) this.within(thing);
		for (const at of this.planted.collect()) this.violation(`${at}: a file that was not kedge's is gone`);
		this.forget();
		if (Date.now() - this.told >= MINUTE_MS) {
			this.told += MINUTE_MS;
			this.say(tell.minute(this));
		}
	}

	async gather() {
		await this.hear('report');
		for (const { violations, cuts } of this.reports) {
			for (const v of violations) this.violation(v);
			for (const cut of cuts) this.judge(cut);
		}
	}

	// What each process of clients has seen. One that is gone takes its ledger along.
	async hear(command) {
		const reports = await Promise.all(this.crews.map((crew) => crew.ask(command)));
		const gone = reports.filter((report) => !report).length;
		if (gone) throw new Error(`${gone} processes of clients have ended by themselves`);
		this.reports = reports;
	}

	// No connection ends but with its server; where a stranger was, it may not have said so. What
	// was cut at the end of a round may be told of in the next.
	judge(cut) {
		const thing = things(this.cast).find((t) => t.paths.some((p) => p.path === cut.path));
		const lately = (round) => this.round - round <= 1;
		if (lately(this.ended.get(thing)) || (cut.young && lately(this.strange.get(cut.path)))) return;
		this.violation(`a connection to ${cut.path} was cut (${cut.why}) at ${new Date(cut.at).toISOString()}, ` +
			`${cut.young ? 'before' : 'after'} its first answer, and nobody had ended ${thing.name}`);
	}

	within(thing) {
		if (thing.child.over !== null) return;
		const now = thing.measure();
		for (const [what, most] of Object.entries({ ...MOST, anchors: ANCHORS_MAX * Math.max(thing.paths.length, 4) }))
			if (now[what] > most && !(what === 'rss_kib' && thing.sanitized)) this.violation(`${thing.name}: ${what} ${now[what]}, allowed ${most}`);
	}

	// A directory that was moved away has names of the listener until that ends: they are left
	// alone, as any name but the path. Some rounds later the adversary clears up.
	forget() {
		const old = (one) => one.thing.ends !== one.ends || this.round - one.round >= MOVED_ROUNDS;
		for (const one of this.moved.filter(old)) removeAll(one.dir);
		this.moved = this.moved.filter((one) => !old(one));
	}

	async finish() {
		try {
			await this.settle();
		} catch (e) {
			this.violation(e.stack);
		}
		for (const thing of this.cast ? things(this.cast) : []) if (thing.child?.over === null) await thing.end('SIGKILL');
		for (const crew of this.crews) if (!crew.over) crew.child.kill('SIGKILL');
		this.say(tell.ledger(this));
		const verdicts = this.samples?.judge() ?? [];
		for (const v of verdicts) if (v.grew) this.violation(`${v.name}: ${v.column} grew from ${v.was} to ${v.is}`);
		this.say(tell.growth(verdicts, RULE, this.samples));
		if (this.disk) this.disk.end();
		if (this.violations.length) this.say(`logs are in ${this.dir}/logs; SEED=${this.seed} does the same again`);
		else fs.rmSync(this.dir, { recursive: true, force: true });
	}

	// Everybody ends: requests, servers, and nothing is left of them.
	async settle() {
		await this.gather();
		await this.hear('end');
		for (const { violations, open } of this.reports) {
			this.open += open;
			for (const v of violations) this.violation(v);
		}
		this.compare(this.cast.steady);
		for (const thing of things(this.cast)) {
			if (thing.child?.over === null) await this.endWell(thing);
		}
		// Each that was killed was followed by one that sweeps what it had left here.
		const left = leftovers(process.env.KEDGE_RUNTIME_DIR);
		if (left.length) this.violation(`the runtime directory holds ${left.join(', ')}`);
		for (const at of mounts()) if (at.startsWith(this.dir) && at !== this.disk?.dir) this.violation(`${at} is still a mount`);
	}

	// Asked to end, a thing of kedge's says that all is well and leaves nothing: neither where it
	// was nor in directories that were moved away meanwhile.
	async endWell(thing) {
		const ours = thing.command.includes(this.kedge);
		const { ends } = thing;
		const status = await thing.end('SIGTERM');
		if (ours && status !== 0) this.violation(`${thing.name} ended with ${status}: ${thing.tail()}`);
		const moved = this.moved.filter((one) => one.thing === thing && one.ends === ends).map((one) => one.dir);
		for (const dir of [thing.dir, ...moved]) {
			// What a daemon leaves of its own is its own affair.
			const left = leftovers(dir).filter((name) => ours || !thing.paths.some((p) => p.path.endsWith(`/${name}`)));
			if (left.length) this.violation(`${thing.name} left in ${path.basename(dir)}: ${left.join(', ')}`);
		}
	}

	// The server's ledger against the clients', where neither was ever ended.
	compare(thing) {
		const assistant = thing.paths.find((p) => p.name.endsWith('/assistant'));
		const r = spawnSync(this.kedge, ['call', assistant.path, 'metrics'], { encoding: 'utf8' });
		const { whole } = total(this.reports);
		for (const p of thing.paths) {
			const server = p.name.split('/')[1];
			const figure = (name) => Number(new RegExp(`^kedge_server_${name}_total{server="${server}"} (\\d+)$`, 'm').exec(r.stdout)?.[1]);
			const theirs = figure('answered') + figure('failed');
			const probes = this.probes[p.path] ?? { answered: 0, unsure: 0 };
			const ours = (whole[p.path] ?? 0) + probes.answered;
			this.compared = { ...this.compared, [p.name]: { theirs, ours, unsure: probes.unsure } };
			if (!(theirs >= ours && theirs <= ours + probes.unsure))
				this.violation(`${p.name} says that it answered ${theirs}, its clients got ${ours}`);
		}
	}
}
