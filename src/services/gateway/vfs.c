#include "services/gateway/vfs.h"

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* Since Linux 5.14, in headers later than that. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* Of both tables that are copied here: a newer library's may have members that ours have not. */
#define TABLES_VERSION 3

static int known_version(int version)
{
	return version < TABLES_VERSION ? version : TABLES_VERSION;
}

/*
 * What is stored under which exclusive lock is part of the index's format: under the writer's
 * whatever there is, under the others the header alone. So there is less to fail for those who
 * only read, and note how far.
 */
#define WRITER_LOCK  0
#define HEADER_BYTES 136

/* What we keep of a database's file, behind what the system's VFS keeps of it. */
struct file {
	struct sqlite3_io_methods methods; /* theirs, but for two */
	const struct sqlite3_io_methods *theirs;
	int region_size, regions; /* of the index: those that SQLite has got */
};

static struct sqlite3_vfs *system_vfs;
static struct sqlite3_vfs vfs;

static int file_offset(void)
{
	const int align = _Alignof(struct file);

	return (system_vfs->szOsFile + align - 1) / align * align;
}

static struct file *file_of(sqlite3_file *f)
{
	return (struct file *)((char *)f + file_offset());
}

/* Return: SQLITE_FULL: to store there would be a SIGBUS. What else the call may say, such as
 * that a kernel does not know it, is no word about the disk. */
static int make_writable(volatile void *region, int size)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	const uintptr_t start = (uintptr_t)region & ~(page - 1); /* pages may hold two regions */
	const uintptr_t end = (uintptr_t)region + (uintptr_t)size;
	int r = madvise((void *)start, end - start, MADV_POPULATE_WRITE);

	return r < 0 && errno == EFAULT ? SQLITE_FULL : SQLITE_OK;
}

static int make_index_writable(sqlite3_file *f, int regions, int size)
{
	const struct file *file = file_of(f);
	int r = SQLITE_OK;

	for (int i = 0; i < regions && r == SQLITE_OK; i++) {
		volatile void *region = NULL;

		if (file->theirs->xShmMap(f, i, file->region_size, 0, &region) == SQLITE_OK &&
		    region)
			r = make_writable(region, size);
	}
	return r;
}

/* @extend: the writer's lock is held, and what is mapped here is stored to before another. */
static int map_region(sqlite3_file *f, int i, int size, int extend, volatile void **ret)
{
	struct file *file = file_of(f);
	int r = file->theirs->xShmMap(f, i, size, extend, ret);

	if (r != SQLITE_OK || !*ret)
		return r;
	if (extend)
		r = make_writable(*ret, size);
	if (r != SQLITE_OK) {
		*ret = NULL; /* SQLite would keep it, and not ask again */
		return r;
	}
	file->region_size = size;
	if (file->regions <= i)
		file->regions = i + 1;
	return SQLITE_OK;
}

static int lock_index(sqlite3_file *f, int offset, int n, int flags)
{
	const struct file *file = file_of(f);
	int r = SQLITE_OK;

	if (flags == (SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE) && file->regions > 0)
		r = offset == WRITER_LOCK ? make_index_writable(f, file->regions, file->region_size)
					  : make_index_writable(f, 1, HEADER_BYTES);
	return r == SQLITE_OK ? file->theirs->xShmLock(f, offset, n, flags) : r;
}

static int open_file(sqlite3_vfs *self, const char *name, sqlite3_file *f, int flags, int *ret)
{
	struct file *file = file_of(f);
	int r = system_vfs->xOpen(system_vfs, name, f, flags, ret);

	(void)self;
	/* Logs and journals have no index, nor have files where nothing can be shared. */
	if (r != SQLITE_OK || !(flags & SQLITE_OPEN_MAIN_DB) || f->pMethods->iVersion < 2 ||
	    !f->pMethods->xShmMap)
		return r;
	*file = (struct file){ .methods = *f->pMethods, .theirs = f->pMethods };
	file->methods.iVersion = known_version(f->pMethods->iVersion);
	file->methods.xShmMap = map_region;
	file->methods.xShmLock = lock_index;
	f->pMethods = &file->methods;
	return SQLITE_OK;
}

static void set_up(void)
{
	system_vfs = sqlite3_vfs_find(NULL);
	if (!system_vfs)
		return;
	vfs = *system_vfs;
	vfs.iVersion = known_version(system_vfs->iVersion);
	vfs.szOsFile = file_offset() + (int)sizeof(struct file);
	vfs.xOpen = open_file;
	vfs.zName = "kedge";
	if (sqlite3_vfs_register(&vfs, 0) != SQLITE_OK)
		vfs.zName = NULL;
}

const char *vfs_name(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, set_up);
	return vfs.zName;
}
