// Who asked what, and what became of it. Each request ends in exactly one way: answered, answered
// with an error, or failed for a reason. Whatever fits nowhere is a violation.
const LISTED_MAX = 50;

export class Ledger {
	constructor() {
		this.issued = 0;
		this.answered = 0;
		this.refused = {}; // error code -> count
		this.failed = {}; // reason -> count
		this.events = {}; // deliveries, reconnects and the like
		this.sent = {}; // path -> requests that it was sent
		this.whole = {}; // path -> ... of which so many ended by an answer
		this.cuts = []; // connections that ended without our doing: { at, path, young, why }
		this.violations = [];
	}

	count(what, key, by = 1) {
		what[key] = (what[key] ?? 0) + by;
	}

	violation(text) {
		if (this.violations.length < LISTED_MAX) this.violations.push(`${new Date().toISOString()} ${text}`);
		else this.more = (this.more ?? 0) + 1;
	}

	// What has been noted since the last time; numbers go on.
	report() {
		const { cuts, violations, ...counts } = this;
		this.cuts = [];
		this.violations = [];
		return { ...counts, cuts, violations };
	}
}

const add = (into, from) => {
	for (const [key, n] of Object.entries(from ?? {})) into[key] = (into[key] ?? 0) + n;
};

// Of several ledgers: one.
export function total(reports) {
	const sum = { issued: 0, answered: 0, refused: {}, failed: {}, events: {}, sent: {}, whole: {} };
	for (const r of reports) {
		sum.issued += r.issued;
		sum.answered += r.answered;
		for (const table of ['refused', 'failed', 'events', 'sent', 'whole']) add(sum[table], r[table]);
	}
	return sum;
}

export const counted = (table) => Object.values(table).reduce((a, b) => a + b, 0);
