// A file system of its own on a loop device, and what is on its device at a moment: what would be
// left if the power went then. What the kernel still holds back is not in it, and a server that
// says "stored" without an fsync is found out.
//
// The server is stopped for the copy (at whatever call it happens to be), and the device's own
// count of writes says whether one came in between: then the copy is torn, and made again.
import fs from 'node:fs';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { sleep } from './things.mjs';

const SIZE_MIB = 48;
const COPIES_MAX = 50;

const run = (...command) => {
	const r = spawnSync(command[0], command.slice(1), { encoding: 'utf8', env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` } });
	if (r.error || r.status !== 0) throw new Error(`${command.join(' ')}: ${r.error?.message ?? r.stderr.trim()}`);
	return r.stdout.trim();
};

export class Disk {
	// In the mount namespace of the soak alone: nothing is left mounted when that ends.
	constructor(base) {
		this.base = base;
		this.image = path.join(base, 'disk.img');
		this.dir = path.join(base, 'disk');
		fs.mkdirSync(this.dir);
		fs.writeFileSync(this.image, '');
		fs.truncateSync(this.image, SIZE_MIB << 20);
		// What it takes of its own accord for so small a disk: less than a page, so that pages
		// of a mapped file can be there in part.
		run('mkfs.ext4', '-q', '-F', '-b', '1024', this.image);
		run('mount', '-o', 'loop', this.image, this.dir);
		this.device = path.basename(run('findmnt', '-n', '-o', 'SOURCE', this.dir));
	}

	// Writes that were begun and completed: the device is at rest if both stay as they are.
	writes() {
		const fields = fs.readFileSync(`/sys/block/${this.device}/stat`, 'utf8').trim().split(/\s+/).map(Number);
		return { done: fields[4], flushes: fields[15], flying: fields[8] };
	}

	// Return: whether a copy was made; false: the device was never at rest for as long as that
	// takes, as on a machine that has much else to do.
	async snapshot(to) {
		for (let i = 0; i < COPIES_MAX; i++, await sleep(20)) {
			const before = this.writes();
			if (before.flying) continue;
			run('cp', '--sparse=always', this.image, to);
			const after = this.writes();
			if (after.done === before.done && after.flushes === before.flushes && !after.flying) return true;
		}
		fs.rmSync(to, { force: true });
		return false;
	}

	// Mount what was left, as after the power came back.
	mounted(image) {
		const dir = `${image}.mnt`;
		fs.mkdirSync(dir);
		run('mount', '-o', 'loop', image, dir);
		return {
			dir,
			end: () => {
				run('umount', dir);
				fs.rmdirSync(dir);
				fs.unlinkSync(image);
			},
		};
	}

	fill() {
		const file = path.join(this.dir, 'filler');
		const fd = fs.openSync(file, 'w');
		const bytes = Buffer.alloc(1 << 20, 1);
		try {
			for (let n = bytes.length; n >= 1024;) {
				try {
					fs.writeSync(fd, bytes, 0, n);
				} catch (e) {
					if (e.code !== 'ENOSPC') throw e;
					n >>= 1;
				}
			}
		} finally {
			fs.closeSync(fd);
		}
		return () => fs.unlinkSync(file);
	}

	end() {
		run('umount', this.dir);
		fs.unlinkSync(this.image);
	}
}
