/* What the unit tests of kedge top share: statuses as a kedge would tell them. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/cleanup.h"
#include "base/time.h"
#include "cmd/top-ui.h"

/* Have @pid say that. @ms: since the beginning, on both clocks. */
static inline void tell(struct top_ui *ui, pid_t pid, int64_t ms, const char *status)
{
	struct top_moment now = { (uint64_t)ms * NSEC_PER_MSEC, 1000000 + ms };

	assert_int_equal(top_model_take(&ui->model, pid, kedge_span(status), now), 0);
	assert_int_equal(top_model_arrange(&ui->model), 0);
}

/* The last components of the paths that are shown: "a b c". */
static inline void assert_shown(const struct top_ui *ui, const char *wanted)
{
	char text[256] = "";

	for (size_t i = 0; i < ui->model.shown_count; i++) {
		const char *name = strrchr(ui->model.shown[i]->path, '/');

		assert_true(strlen(text) + strlen(name) + 1 < sizeof(text));
		strcat(strcat(text, *text ? " " : ""), name + 1);
	}
	assert_string_equal(text, wanted);
}

static inline void assert_chosen(const struct top_ui *ui, const char *path)
{
	const struct top_row *row = top_model_chosen(&ui->model);

	assert_non_null(row);
	assert_string_equal(row->path, path);
}

/* Three daemons of a guard, in three states. */
#define STATUS_THREE                                                                               \
	"{\"paths\":["                                                                             \
	"{\"path\":\"/run/a\",\"state\":\"reachable\",\"sinceMs\":990000,\"losses\":2,"            \
	"\"cause\":\"unlinked\",\"outageLastNs\":45000,\"outageTotalNs\":3000000,"                 \
	"\"leased\":false,\"owner\":{\"pid\":12,\"uid\":0,\"holders\":1,\"comm\":\"redis\"}},"     \
	"{\"path\":\"/run/b\",\"state\":\"blocked\",\"sinceMs\":998000,\"losses\":1,"              \
	"\"cause\":\"replaced\",\"outageLastNs\":0,\"outageTotalNs\":0},"                          \
	"{\"path\":\"/run/c\",\"state\":\"awaited\",\"sinceMs\":990000,\"losses\":0}]}"

/* A server's own path, with so many requests. */
#define STATUS_SERVED(requests)                                                                    \
	"{\"paths\":[{\"path\":\"/run/gateway.sock\",\"state\":\"reachable\",\"sinceMs\":1,"       \
	"\"losses\":0,\"name\":\"gateway\",\"clients\":7,\"requests\":" #requests "}]}"
