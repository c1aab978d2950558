// What processes need, every ten seconds, and the rule by which it does not grow.
import fs from 'node:fs';
import path from 'node:path';

const SAMPLE_MS = 10000;
const COLUMNS = ['rss_kib', 'fds', 'watches', 'anchors'];
// Of the samples, so many at the beginning are warming up, as a share.
const WARM_UP = 0.1;
// Fewer than that say nothing.
const SAMPLES_MIN = 30;

// Where an adversary is at work, listeners are retired, sixteen a path at most, and kept while a client
// may be on them: with three or four descriptors each, of which the number wanders.
const SLACK = 2;
const SLACK_DISTURBED = 24;

export const RULE = 'without the first tenth, the median of the last third is at most that of the first third ' +
	`plus 5 % and 512 KiB of memory, plus ${SLACK} descriptors, watches and anchors (${SLACK_DISTURBED} of ` +
	'the process whose paths are taken away)';

const mostOf = (was, column, thing) =>
	(column === 'rss_kib' ? was * 1.05 + 512 : was + (thing.disturbed ? SLACK_DISTURBED : SLACK));

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

export class Samples {
	constructor(dir, things) {
		this.things = things;
		this.rows = [];
		this.file = path.join(dir, 'samples.csv');
		fs.writeFileSync(this.file, `seconds,name,ends,${COLUMNS.join(',')},wakeups\n`);
		this.began = Date.now();
		this.timer = setInterval(() => this.take(), SAMPLE_MS);
	}

	take() {
		const seconds = Math.round((Date.now() - this.began) / 1000);
		for (const thing of this.things) {
			if (thing.child.over !== null || !thing.wanted) continue;
			const row = { seconds, name: thing.name, ends: thing.ends, ...thing.measure() };
			this.rows.push(row);
			fs.appendFileSync(this.file, `${Object.values(row).join(',')}\n`);
		}
	}

	// Of a process that was never ended, a second.
	wakeups(name) {
		const rows = this.rows.filter((row) => row.name === name);
		const [first, last] = [rows[0], rows.at(-1)];
		return first && last.seconds > first.seconds ? (last.wakeups - first.wakeups) / (last.seconds - first.seconds) : 0;
	}

	// For each process that was never ended: both thirds, and what grew.
	judge() {
		clearInterval(this.timer);
		const verdicts = [];
		for (const thing of this.things) {
			const { name, ends } = thing;
			const rows = this.rows.filter((row) => row.name === name);
			if (ends || rows.length < SAMPLES_MIN) continue;
			const warm = rows.slice(Math.ceil(rows.length * WARM_UP));
			const third = Math.floor(warm.length / 3);
			for (const column of COLUMNS) {
				const [was, is] = [warm.slice(0, third), warm.slice(-third)].map((r) => median(r.map((row) => row[column])));
				const peak = Math.max(...rows.map((row) => row[column]));
				verdicts.push({ name, column, was, is, peak, grew: is > mostOf(was, column, thing) });
			}
		}
		return verdicts;
	}
}
