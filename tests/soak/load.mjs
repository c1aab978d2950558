// A process of clients: what it is told comes over its channel, what it has seen goes back.
import { Ledger } from './ledger.mjs';
import { ROLES } from './roles.mjs';
import { overdue, waiting } from './conn.mjs';

const TICK_MS = 10;
const DRAIN_MS = 30000;

const specs = JSON.parse(process.argv[2]);
const ledger = new Ledger();
const roles = specs.map((spec) => ({ spec, owed: 0, role: new ROLES[spec.role](ledger, spec) }));
let resting = false;

// As many requests as the rate allows, however late the tick comes; what was missed while the
// machine had no time for us is not made good for.
let last = Date.now();
setInterval(() => {
	const passed = Math.min(Date.now() - last, 100);
	last = Date.now();
	for (const r of roles) {
		for (r.owed += (r.spec.rate * passed) / 1000; r.owed >= 1; r.owed--) if (!resting) r.role.tick();
	}
}, TICK_MS);
setInterval(overdue, 1000);

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

async function drained() {
	resting = true;
	for (const end = Date.now() + DRAIN_MS; waiting() && Date.now() < end;) await sleep(10);
	if (waiting()) ledger.violation(`${waiting()} requests have no answer and no failure at the end`);
}

const COMMANDS = {
	report: () => ledger.report(),
	verify: async (name) => {
		const r = roles.find(({ spec }) => spec.name === name);
		return r.role.verify();
	},
	mark: (name) => roles.find(({ spec }) => spec.name === name).role.mark(),
	marked: (name) => roles.find(({ spec }) => spec.name === name).role.marked(),
	end: async () => {
		await drained();
		return { ...ledger.report(), open: waiting() };
	},
};

process.on('message', async ({ n, command, argument }) => {
	const value = (await COMMANDS[command](argument)) ?? null;
	// An answer that is still on its way when the process ends is lost.
	process.send({ n, value }, () => command === 'end' && process.exit(0));
});
// The channel closes when whoever started us is gone.
process.on('disconnect', () => process.exit(0));
