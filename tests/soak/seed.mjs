// What is drawn by a seed: the same seed draws the same, whatever the machine can do of it.

// SplitMix64: small, known, and good enough for lots.
export function lots(seed) {
	let state = BigInt.asUintN(64, BigInt(seed));
	const next = () => {
		state = BigInt.asUintN(64, state + 0x9e3779b97f4a7c15n);
		let z = state;
		z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
		z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
		return z ^ (z >> 31n);
	};
	// From 0 to n - 1.
	const below = (n) => Number(next() % BigInt(n));
	return { below, between: (a, b) => a + below(b - a + 1), of: (list) => list[below(list.length)] };
}

// The acts without end, in rounds: which kind, at whom, for how long, how often. Nothing of the
// world goes into it; an act that cannot be had here is drawn all the same, and said as skipped.
export function* rounds(seed, kinds) {
	const lot = lots(seed);
	const bag = kinds.flatMap((kind) => Array(kind.weight).fill(kind));
	for (let round = 1; ; round++) {
		const acts = [];
		for (let n = lot.between(3, 12); n > 0; n--) {
			const kind = lot.of(bag);
			acts.push({
				round,
				kind: kind.name,
				at: lot.of(kind.targets),
				hold_ms: lot.between(5, 700),
				pause_ms: lot.between(0, 300),
				times: lot.between(1, 20),
			});
		}
		yield acts;
	}
}
