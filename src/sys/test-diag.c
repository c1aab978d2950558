/* sock_diag: real sockets are told as they are; replies of any bytes do no harm. */
#include "sys/diag.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/unix_diag.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cmocka.h>

#include "base/cleanup.h"

/* What a real kernel sends is a few messages; so much is room for the crafted ones. */
#define BYTES_MAX 512

/* One reply, put together by a test. */
struct reply {
	char bytes[BYTES_MAX];
	size_t size, message; /* where the last message begins */
};

static void end_message(struct reply *r)
{
	struct nlmsghdr header;

	memcpy(&header, r->bytes + r->message, sizeof(header));
	header.nlmsg_len = (uint32_t)(r->size - r->message);
	memcpy(r->bytes + r->message, &header, sizeof(header));
}

static void add(struct reply *r, const void *data, size_t size)
{
	assert_true(r->size + NLMSG_ALIGN(size) <= sizeof(r->bytes));
	memcpy(r->bytes + r->size, data, size);
	r->size += NLMSG_ALIGN(size);
	end_message(r);
}

static void begin_message(struct reply *r, uint16_t type, uint16_t flags)
{
	struct nlmsghdr header = { .nlmsg_type = type, .nlmsg_flags = flags };

	r->message = r->size;
	add(r, &header, sizeof(header));
}

static void add_socket(struct reply *r, uint32_t inode, uint8_t state)
{
	struct unix_diag_msg body = { .udiag_type = SOCK_STREAM,
				      .udiag_state = state,
				      .udiag_ino = inode };

	begin_message(r, 20, NLM_F_MULTI);
	add(r, &body, sizeof(body));
}

static void add_attribute(struct reply *r, uint16_t type, const void *data, size_t size)
{
	struct rtattr header = { .rta_type = type, .rta_len = (uint16_t)RTA_LENGTH(size) };

	add(r, &header, sizeof(header));
	add(r, data, size);
	/* An unpadded last attribute is what the kernel sends too. */
}

static struct diag_cursor cursor_of(const struct reply *r)
{
	return (struct diag_cursor){ .data = r->bytes, .size = r->size };
}

static void test_whole_reply(void **state)
{
	struct reply r = { 0 };
	struct diag_cursor cursor;
	struct diag_socket s;
	struct unix_diag_vfs vfs = { .udiag_vfs_ino = 77, .udiag_vfs_dev = 8 << 20 | 1 };
	struct unix_diag_rqlen queue = { 3, 128 };
	uint32_t peer = 9, uid = 1000;

	(void)state;
	add_socket(&r, 5, DIAG_STATE_LISTEN);
	add_attribute(&r, UNIX_DIAG_NAME, "/run/x", 7);
	add_attribute(&r, UNIX_DIAG_VFS, &vfs, sizeof(vfs));
	add_attribute(&r, UNIX_DIAG_PEER, &peer, sizeof(peer));
	add_attribute(&r, UNIX_DIAG_RQLEN, &queue, sizeof(queue));
	add_attribute(&r, UNIX_DIAG_UID, &uid, sizeof(uid));
	add_socket(&r, 6, DIAG_STATE_UNCONNECTED);
	add_attribute(&r, UNIX_DIAG_NAME, "\0a\0b", 4);
	begin_message(&r, NLMSG_DONE, NLM_F_MULTI);
	cursor = cursor_of(&r);
	assert_int_equal(diag_reply_next(&cursor, &s), DIAG_SOCKET);
	assert_true(s.listening && s.has_path && s.has_uid && s.has_queue && !s.shut_down);
	assert_int_equal(s.socket_inode, 5);
	assert_string_equal(s.name, "/run/x");
	assert_int_equal(s.name_size, 6);
	assert_int_equal(s.path_inode, 77);
	assert_int_equal(s.peer_inode, 9);
	assert_int_equal(s.queued, 3);
	assert_int_equal(s.backlog, 128);
	assert_int_equal(s.uid, 1000);
	assert_false(diag_is_abstract(&s));
	assert_int_equal(diag_reply_next(&cursor, &s), DIAG_SOCKET);
	assert_true(diag_is_abstract(&s));
	assert_int_equal(s.name_size, 4);
	assert_memory_equal(s.name, "\0a\0b", 4);
	assert_false(s.listening || s.has_path || s.has_uid || s.has_queue);
	assert_int_equal(diag_reply_next(&cursor, &s), DIAG_END);
	assert_false(cursor.interrupted);
}

static void test_interrupted(void **state)
{
	struct reply r = { 0 };
	struct diag_cursor cursor;
	struct diag_socket s;

	(void)state;
	begin_message(&r, NLMSG_DONE, NLM_F_MULTI | NLM_F_DUMP_INTR);
	cursor = cursor_of(&r);
	assert_int_equal(diag_reply_next(&cursor, &s), DIAG_END);
	assert_true(cursor.interrupted);
}

static void test_errors(void **state)
{
	static const struct {
		int said, result;
	} rows[] = { { -ENOENT, -ENOENT }, { 0, -EPROTO }, { 5, -EPROTO }, { -5000, -EPROTO } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct reply r = { 0 };
		struct diag_cursor cursor;
		struct diag_socket s;

		begin_message(&r, NLMSG_ERROR, 0);
		add(&r, &rows[i].said, sizeof(int));
		cursor = cursor_of(&r);
		assert_int_equal(diag_reply_next(&cursor, &s), rows[i].result);
	}
}

/* Cut anywhere, a reply is either wanting more or refused; never read beyond its end. */
static void test_cut_anywhere(void **state)
{
	struct reply r = { 0 };
	struct unix_diag_vfs vfs = { 1, 2 };

	(void)state;
	add_socket(&r, 5, DIAG_STATE_LISTEN);
	add_attribute(&r, UNIX_DIAG_NAME, "/run/x", 7);
	add_attribute(&r, UNIX_DIAG_VFS, &vfs, sizeof(vfs));
	for (size_t size = 0; size < r.size; size++) {
		/* Of that size exactly, so that a sanitizer sees one byte too many. */
		_cleanup_(freep) char *copy = malloc(size + 1);
		struct diag_cursor cursor = { .data = copy + 1, .size = size };
		struct diag_socket s;

		assert_non_null(copy);
		memcpy(copy + 1, r.bytes, size);
		assert_int_equal(diag_reply_next(&cursor, &s), size ? -EPROTO : DIAG_MORE);
	}
}

/* Every byte of a good reply replaced by every other: no crash, no endless loop. */
static void test_bytes_changed(void **state)
{
	struct reply good = { 0 };

	(void)state;
	add_socket(&good, 5, DIAG_STATE_LISTEN);
	add_attribute(&good, UNIX_DIAG_NAME, "/run/x", 7);
	add_socket(&good, 6, DIAG_STATE_LISTEN);
	begin_message(&good, NLMSG_DONE, NLM_F_MULTI);
	for (size_t at = 0; at < good.size; at++)
		for (unsigned value = 0; value < 256; value++) {
			struct reply r = good;
			struct diag_cursor cursor = cursor_of(&r);
			struct diag_socket s;
			unsigned steps = 0;

			r.bytes[at] = (char)value;
			while (diag_reply_next(&cursor, &s) == DIAG_SOCKET)
				assert_true(++steps <= 2 && s.name_size <= DIAG_NAME_MAX);
		}
}

static void test_names(void **state)
{
	char longest[DIAG_NAME_MAX + 8];
	struct reply r = { 0 };
	struct diag_cursor cursor;
	struct diag_socket s;

	(void)state;
	memset(longest, 'x', sizeof(longest));
	add_socket(&r, 1, DIAG_STATE_LISTEN);
	add_attribute(&r, UNIX_DIAG_NAME, longest, DIAG_NAME_MAX);
	add_socket(&r, 2, DIAG_STATE_LISTEN);
	add_attribute(&r, UNIX_DIAG_NAME, longest, DIAG_NAME_MAX + 1);
	cursor = cursor_of(&r);
	assert_int_equal(diag_reply_next(&cursor, &s), DIAG_SOCKET);
	assert_int_equal(s.name_size, DIAG_NAME_MAX);
	assert_int_equal(strlen(s.name), DIAG_NAME_MAX);
	assert_int_equal(diag_reply_next(&cursor, &s), DIAG_SOCKET);
	assert_int_equal(s.name_size, 0);
}

/* Real sockets. */

static int listen_at(const char *name, size_t size)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	memcpy(address.sun_path, name, size);
	assert_int_equal(bind(fd, (struct sockaddr *)&address,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size)),
			 0);
	assert_int_equal(listen(fd, 7), 0);
	return fd;
}

static uint32_t inode_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (uint32_t)st.st_ino;
}

static const struct diag_socket *in_list(const struct diag_list *list, int fd)
{
	uint32_t inode = inode_of(fd);

	for (size_t i = 0; i < list->count; i++)
		if (list->sockets[i].socket_inode == inode)
			return &list->sockets[i];
	return NULL;
}

static void test_list(void **state)
{
	char dir[] = "/tmp/kedge-diag-XXXXXX", path[64], name[32];
	_cleanup_(diag_list_deinit) struct diag_list list = DIAG_LIST_INIT;
	_cleanup_(fd_closep) int bound = -EBADF, abstract = -EBADF, client = -EBADF;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const struct diag_socket *s;
	struct diag_socket one;
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/s", dir);
	(void)snprintf(name, sizeof(name), "@kedge-diag-%d", getpid());
	bound = listen_at(path, strlen(path) + 1);
	assert_int_equal(stat(path, &st), 0);
	client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	strcpy(address.sun_path, path);
	assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
	name[0] = '\0';
	abstract = listen_at(name, strlen(name + 1) + 1);

	assert_int_equal(diag_list(DIAG_NETNS_OWN, 1u << DIAG_STATE_LISTEN, &list), 0);
	s = in_list(&list, bound);
	assert_non_null(s);
	assert_true(s->listening && s->has_queue && s->has_uid &&
		    diag_is_at(s, st.st_dev, st.st_ino));
	assert_string_equal(s->name, path);
	assert_int_equal(s->queued, 1);
	assert_int_equal(s->backlog, 7);
	assert_int_equal(s->uid, geteuid());
	s = in_list(&list, abstract);
	assert_non_null(s);
	assert_true(diag_is_abstract(s) && !s->has_path);
	assert_string_equal(s->name + 1, name + 1);
	assert_null(in_list(&list, client));

	assert_int_equal(diag_by_path(st.st_dev, st.st_ino, &one), 1);
	assert_int_equal(one.socket_inode, inode_of(bound));
	assert_int_equal(diag_by_path(st.st_dev, st.st_ino + 1000000, &one), 0);
	assert_int_equal(diag_by_socket(inode_of(bound), &one), 0);
	assert_int_equal(one.path_inode, (uint32_t)st.st_ino);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

/* Into a namespace by its file: our own, so that the answer is known. Without the right
 * to, one is told so and stays where one is. */
static void test_other_namespace(void **state)
{
	_cleanup_(diag_list_deinit) struct diag_list list = DIAG_LIST_INIT;
	_cleanup_(fd_closep) int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int r = diag_list(own, UINT32_MAX, &list);

	(void)state;
	assert_true(r == 0 || r == -EPERM);
	assert_true((list.count > 0) == (r == 0));
	diag_list_deinit(&list);
	assert_int_equal(diag_list(DIAG_NETNS_OWN, UINT32_MAX, &list), 0);
	assert_true(list.count > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_reply),   cmocka_unit_test(test_interrupted),
		cmocka_unit_test(test_errors),        cmocka_unit_test(test_cut_anywhere),
		cmocka_unit_test(test_bytes_changed), cmocka_unit_test(test_names),
		cmocka_unit_test(test_list),          cmocka_unit_test(test_other_namespace),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
