// Servers, a guard and daemons under load, and an adversary: act, rest, check, until time is up.
//
//     node soak.mjs KEDGE [--minutes N] [--seed S] [--rate N] [--out DIR] [--calm] [--tap]
//
// --rate: requests a second, of all clients; --out: where samples.csv goes; --calm: no adversary.
// The seed decides what is done in which order; how far that gets is the machine's affair. What
// needs root is drawn as well, and said as skipped. Everything that was started is ended, and
// whatever is mounted is so in a mount namespace of its own.
import fs from 'node:fs';
import path from 'node:path';
import { spawn, spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { KINDS } from './acts.mjs';
import { Soak } from './round.mjs';
import { lots, rounds } from './seed.mjs';

const { values: options, positionals } = parseArgs({
	allowPositionals: true,
	options: {
		minutes: { type: 'string', default: '1' }, seed: { type: 'string' }, rate: { type: 'string', default: '2000' },
		out: { type: 'string' }, tap: { type: 'boolean', default: false }, calm: { type: 'boolean', default: false },
	},
});

const NAMESPACE = 'KEDGE_SOAK_NAMESPACE';

// All mounts are made in a namespace that ends with us.
function inNamespace() {
	if (process.getuid() !== 0 || process.env[NAMESPACE]) return true;
	return spawnSync('unshare', ['-m', 'true']).status !== 0;
}

function again() {
	const child = spawn('unshare', ['-m', '--propagation', 'private', process.execPath, ...process.argv.slice(1)],
		{ stdio: 'inherit', env: { ...process.env, [NAMESPACE]: '1' } });
	for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
	child.on('close', (code) => process.exit(code ?? 1));
}

// The first acts of a seed, as text: what another run with it would do.
function drawn(seed) {
	const some = [];
	for (const acts of rounds(seed, KINDS)) if (some.push(JSON.stringify(acts)) === 50) break;
	return some.join('\n');
}

function tap(soak) {
	const { seed } = soak;
	const other = `${BigInt(seed) + 1n}`;
	const rows = [
		['a seed draws the same acts in the same order, another one others', drawn(seed) === drawn(seed) && drawn(seed) !== drawn(other)],
		[`${soak.round} rounds with seed ${seed}: nothing is lost, stolen or left`, soak.violations.length === 0 && soak.round > 0],
	];
	const skips = [...soak.skips];
	console.log(`1..${rows.length + skips.length}`);
	rows.forEach(([what, well], i) => console.log(`${well ? 'ok' : 'not ok'} ${i + 1} - ${what}`));
	skips.forEach(([what, why], i) => console.log(`ok ${rows.length + i + 1} - ${what} # SKIP ${why}`));
	return rows.every(([, well]) => well);
}

async function main() {
	const seed = options.seed || `${lots(Date.now() * 65536 + process.pid).below(2 ** 32)}`;
	const soak = new Soak({ ...options, seed, kedge: path.resolve(positionals[0]) });
	let stop = false;
	for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => (stop = true));
	soak.say(`seed ${seed}, ${options.minutes} minutes, ${options.rate} requests a second at most, in ${soak.dir}`);
	try {
		await soak.start();
		const over = () => stop || Date.now() - soak.began > Number(options.minutes) * 60000;
		for (const acts of rounds(seed, KINDS)) {
			if (over()) break;
			await soak.play(options.calm ? [] : acts);
		}
	} catch (e) {
		soak.violation(e.stack);
	}
	await soak.finish();
	const well = options.tap ? tap(soak) : soak.violations.length === 0;
	process.exit(well ? 0 : 1);
}

if (positionals.length !== 1 || !(Number(options.minutes) > 0) || !(Number(options.rate) > 0)) {
	console.error('soak: node soak.mjs KEDGE [--minutes N] [--seed S] [--rate N] [--out DIR] [--calm] [--tap]');
	process.exit(2);
}
if (inNamespace()) await main();
else again();
