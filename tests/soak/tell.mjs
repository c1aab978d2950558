// What is said: a line a minute, and the table at the end.
import fs from 'node:fs';
import path from 'node:path';
import { counted, total } from './ledger.mjs';

const percentile = (sorted, p) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))];
const ms = (n) => (n === undefined ? '-' : n < 1 ? n.toFixed(3) : n < 10 ? n.toFixed(1) : n.toFixed(0));

export function spread(list) {
	const sorted = [...list].sort((a, b) => a - b);
	return [0.5, 0.99, 1].map((p) => ms(percentile(sorted, p)));
}

const table = (counts) => Object.entries(counts).sort((a, b) => b[1] - a[1]).map(([key, n]) => `${key} ${n}`).join(', ');

export function minute(soak) {
	const sum = total(soak.reports);
	const outages = soak.outages.map((o) => o.ms);
	const [p50, p99, max] = spread(outages);
	return `${soak.elapsed()}: ${soak.round} rounds, ${counted(soak.acts)} acts, ${sum.issued} requests, ` +
		`${sum.answered} answered, ${counted(sum.refused)} answered by an error, ${counted(sum.failed)} failed ` +
		`(${table(sum.failed) || 'none'}); outages p50 ${p50}, p99 ${p99}, max ${max} ms; ${soak.violations.length} violations`;
}

const row = (...cells) => `| ${cells.join(' | ')} |`;

export function ledger(soak) {
	const sum = total(soak.reports);
	const e = sum.events;
	const lines = ['', row('what', 'how many'), row('---', '--:'),
		row('time', soak.elapsed()), row('rounds: act, rest, check', soak.round), row('acts', counted(soak.acts)),
		row('requests', sum.issued), row('answered', sum.answered),
		row('answered by an error', counted(sum.refused)), row('failed for a stated reason', counted(sum.failed)),
		row('neither', soak.open), row('connections made', e.connected ?? 0),
		row('writes answered', e['writes answered'] ?? 0), row('registers read again', e['registers verified'] ?? 0),
		row('events delivered to subscribers', e['events delivered'] ?? 0),
		row('power cuts', soak.cuts), row('registers read after them', soak.registersAfterCuts),
		row('violations', soak.violations.length), '',
		row('requests failed', 'how many'), row('---', '--:')];
	for (const [reason, n] of Object.entries(sum.failed)) lines.push(row(reason, n));
	lines.push('', row('answered by an error', 'how many'), row('---', '--:'));
	for (const [reason, n] of Object.entries(families(sum.refused))) lines.push(row(reason, n));
	lines.push('', row('connections', 'how many'), row('---', '--:'));
	for (const [what, n] of Object.entries(e).filter(([key]) => /connect|stranger/.test(key))) lines.push(row(what, n));
	lines.push('', row('act', 'how often', 'until reachable, ms: p50', 'p99', 'max'), row('---', '--:', '--:', '--:', '--:'));
	for (const [kind, n] of Object.entries(soak.acts))
		lines.push(row(kind, n, ...spread(soak.outages.filter((o) => o.kind === kind).map((o) => o.ms))));
	const own = ownAccount(soak.dir);
	lines.push('', row("repairs by kedge's own account", 'ms: p50', 'p99', 'max'), row('---', '--:', '--:', '--:'),
		row(own.length, ...spread(own)));
	lines.push('', row('never ended: answered', 'by its own count', 'by its clients', 'given up by a probe'),
		row('---', '--:', '--:', '--:'));
	for (const [name, { theirs, ours, unsure }] of Object.entries(soak.compared ?? {}))
		lines.push(row(name, theirs, ours, unsure));
	for (const [what, why] of soak.skips) lines.push(`SKIP ${what}: ${why}`);
	return lines.join('\n');
}

// What the servers and guards say themselves. A stranger's stay, a stop and a mount count as well.
function ownAccount(dir) {
	const unit = { ns: 1e-6, us: 1e-3, ms: 1, s: 1e3, min: 6e4 };
	const logs = fs.readdirSync(path.join(dir, 'logs')).filter((name) => name.endsWith('.log'));
	return logs.flatMap((name) => [...fs.readFileSync(path.join(dir, 'logs', name), 'utf8')
		.matchAll(/ reachable again after ([\d.]+) (\w+)/g)].map(([, n, what]) => Number(n) * unit[what]));
}

// Errors that differ by a name in them only are one.
function families(refused) {
	const all = {};
	for (const [text, n] of Object.entries(refused)) {
		const key = text.replace(/(Unknown method: no_)\d+/, '$1N').replace(/^(TEAPOT: ).*/, '$1what was asked for')
			.replace(/tool-\d+-\d+/, 'NAME');
		all[key] = (all[key] ?? 0) + n;
	}
	return all;
}

export function growth(verdicts, rule, samples) {
	if (!verdicts.length) return '';
	const lines = ['', `Growth: ${rule}.`, '', row('process', 'what', 'first third', 'last third', 'peak', ''),
		row('---', '---', '--:', '--:', '--:', '---')];
	for (const v of verdicts) lines.push(row(v.name, v.column, v.was, v.is, v.peak, v.grew ? 'GREW' : 'well'));
	for (const name of new Set(verdicts.map((v) => v.name)))
		lines.push(`${name}: woken ${samples.wakeups(name).toFixed(2)} times a second`);
	return lines.join('\n');
}
