/*
 * How SQLite reaches the gateway's file: as it reaches any, but for the index of its log.
 *
 * That index ("-shm") is mapped by all who have the database open, and a store to a page that
 * the file system has no block for is a SIGBUS: a full disk would end the server. SQLite
 * writes a byte to each 4 KiB before it maps them. That is not enough
 *
 * - where blocks are smaller (ext4 below 512 MiB: 1 KiB): the rest of each 4 KiB is a hole;
 * - where another program made the file, with holes, and we find it long enough;
 * - where what is written goes to a new place (btrfs): each time that a page was written back,
 *   the next store to it needs room again.
 *
 * So the kernel is asked to make pages writable, by madvise(2): when the index grows, and before
 * each exclusive lock, for SQLite stores to it under no other. Where there is no room that is an
 * error of a call, SQLITE_FULL, which undoes the transaction: a write is refused as on any full
 * disk, and the next one works when there is room.
 *
 * Tried, and not taken: locking_mode=EXCLUSIVE keeps the index on the heap, but then nobody
 * else can read the database, and we have two connections ourselves. fallocate(2) needs
 * SQLite's own descriptor (to close another one drops its locks), is not known to each file
 * system, and does nothing for btrfs. Other journals need no index, but their readers wait.
 *
 * What stays: Linux before 5.14 knows no such call, and there it is as SQLite leaves it. On btrfs
 * a page may be written back between the lock and the store, while the disk is full.
 */
#pragma once

/* For sqlite3_open_v2(). From any thread. NULL, which is the system's own: out of memory. */
const char *vfs_name(void);
