/*
 * /proc: the first byte chooses a text and the rest is it. Any bytes are taken or left,
 * and what the kernel would write of the names in them is read back as it was.
 */
#include "fuzz/fuzz.h"

#include <inttypes.h>

#include "base/cleanup.h"
#include "guard/anchor.h"
#include "sys/files.h"
#include "sys/procfs.h"

typedef void text_fn(const char *text);

static void take_unix(const char *text)
{
	struct diag_socket s, same;
	char line[256];

	memset(&s, 0xA5, sizeof(s));
	if (!procfs_unix_line(text, &s))
		return;
	FUZZ_ASSERT(s.name[0] == '/' && strlen(s.name) == s.name_size && !strchr(s.name, '\n'));
	(void)snprintf(line, sizeof(line),
		       "0000000000000000: 00000002 00000000 %08X %04X 01 %5u %s\n",
		       s.listening ? 0x10000 : 0, s.type, s.socket_inode, s.name);
	FUZZ_ASSERT(procfs_unix_line(line, &same));
	FUZZ_ASSERT(same.socket_inode == s.socket_inode && same.type == s.type);
	FUZZ_ASSERT(same.listening == s.listening && strcmp(same.name, s.name) == 0);
}

/* The text is a socket's name, as the kernel puts it at the end of its line. */
static void take_unix_name(const char *text)
{
	char line[8400];
	struct diag_socket s;
	size_t n = strcspn(text, "\n");
	bool wanted = text[0] == '/' && n <= DIAG_NAME_MAX;

	(void)snprintf(line, sizeof(line),
		       "0000000000000000: 00000002 00000000 00010000 0001 01 12345 %s\n", text);
	FUZZ_ASSERT(procfs_unix_line(line, &s) == wanted);
	FUZZ_ASSERT(!wanted || (s.name_size == n && memcmp(s.name, text, n) == 0));
	FUZZ_ASSERT(!wanted || (s.listening && s.socket_inode == 12345));
}

static void take_mount(const char *text)
{
	struct mount_line mount, again;
	uint32_t device, same;
	char line[256];

	if (procfs_mount_line(text, &mount)) {
		(void)snprintf(line, sizeof(line), "%u 1 0:2 %s / rw - %s x rw\n", mount.number,
			       mount.root, mount.type);
		FUZZ_ASSERT(procfs_mount_line(line, &again) && again.number == mount.number);
	}
	if (!procfs_mount_device(text, &device))
		return;
	(void)snprintf(line, sizeof(line), "22 1 %u:%u / / rw\n", device >> 20, device & 0xfffff);
	FUZZ_ASSERT(procfs_mount_device(line, &same) && same == device);
}

static void take_lock(const char *text)
{
	uint64_t inode, same_inode;
	pid_t pid, same_pid;
	char line[128];

	if (!procfs_lock_line(text, &pid, &inode))
		return;
	FUZZ_ASSERT(pid > 0);
	(void)snprintf(line, sizeof(line), "1: FLOCK  ADVISORY  WRITE %d 00:1a:%" PRIu64 " 0 EOF\n",
		       pid, inode);
	FUZZ_ASSERT(procfs_lock_line(line, &same_pid, &same_inode));
	FUZZ_ASSERT(same_pid == pid && same_inode == inode);
}

static void take_status(const char *text)
{
	(void)procfs_status_uid(text);
}

/* The text is a name that a process gave itself: it has no say in its state. */
static void take_stat(const char *text)
{
	char line[8400];

	(void)procfs_stat_busy(text);
	(void)snprintf(line, sizeof(line), "7 (%s) R 1 7 7 0 -1", text);
	FUZZ_ASSERT(procfs_stat_busy(line));
	(void)snprintf(line, sizeof(line), "7 (%s) S 1 7 7 0 -1", text);
	FUZZ_ASSERT(!procfs_stat_busy(line));
}

static void take_link(const char *text)
{
	uint32_t inode = procfs_link_socket(text);
	char link[64];

	(void)snprintf(link, sizeof(link), "socket:[%u]", inode);
	FUZZ_ASSERT(inode == 0 || procfs_link_socket(link) == inode);
	/* What else a descriptor may lead to, a file of any name among it. */
	FUZZ_ASSERT(inode == 0 || text[0] == 's');
}

static void take_cgroup(const char *text)
{
	char line[8400];

	(void)procfs_cgroup_is_in(text, "/a.service");
	(void)snprintf(line, sizeof(line), "0::/%.4000s/a.service\n", text);
	FUZZ_ASSERT(procfs_cgroup_is_in(line, "/a.service"));
}

static void take_note(const char *text)
{
	struct lock_note note, same;
	const char *boot = "00000000-0000-0000-0000-000000000000";
	char line[192];

	files_lock_note(text, boot, &note);
	if (!note.known)
		return;
	FUZZ_ASSERT(note.low <= note.high && note.high <= GENERATION_MAX);
	(void)snprintf(line, sizeof(line),
		       "%20" PRIu64 " %20" PRIu64 " %s %20" PRIu64 " %20" PRIu64 "\n", note.low,
		       note.high, boot, note.mount_id, note.mount_point);
	files_lock_note(line, boot, &same);
	FUZZ_ASSERT(same.known && same.low == note.low && same.high == note.high &&
		    same.mount_id == note.mount_id && same.mount_point == note.mount_point);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static text_fn *const texts[] = { take_unix, take_unix_name, take_mount,
					  take_lock, take_status,    take_stat,
					  take_link, take_cgroup,    take_note };
	char *text;

	if (size == 0 || size > 8192)
		return 0;
	text = malloc(size);
	FUZZ_ASSERT(text);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	texts[data[0] % ARRAY_SIZE(texts)](text);
	free(text);
	return 0;
}
