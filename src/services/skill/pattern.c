#define PCRE2_CODE_UNIT_WIDTH 8

#include "services/skill/pattern.h"

#include <errno.h>
#include <pcre2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* Steps of one match: a URL is short, and honest patterns take some hundred. */
#define MATCH_STEPS_MAX 100000
#define MATCH_DEPTH_MAX 1000

struct pattern {
	pcre2_code *code;
	pcre2_match_data *data;
	pcre2_match_context *context;
};

static const struct {
	char flag;
	uint32_t options;
} flags_known[] = {
	{ 'd', 0 }, /* asks for places, which nobody wants here */
	{ 'g', 0 }, /* where to begin next: every match here is a first one */
	{ 'i', PCRE2_CASELESS },
	{ 'm', PCRE2_MULTILINE },
	{ 's', PCRE2_DOTALL },
	{ 'u', 0 }, /* text is UTF-8 anyhow */
	{ 'v', 0 },
	{ 'y', PCRE2_ANCHORED }, /* sticky: at the first character or not at all */
};

static int read_flags(const char *flags, uint32_t *ret_options)
{
	for (const char *c = flags; *c; c++) {
		size_t i = 0;

		while (i < ARRAY_SIZE(flags_known) && flags_known[i].flag != *c)
			i++;
		if (i == ARRAY_SIZE(flags_known) || strchr(c + 1, *c))
			return -EINVAL;
		*ret_options |= flags_known[i].options;
	}
	return strchr(flags, 'u') && strchr(flags, 'v') ? -EINVAL : 0;
}

static int compile(struct pattern *p, const char *source, size_t size, uint32_t options,
		   char why[PATTERN_WHY_MAX])
{
	PCRE2_SIZE offset;
	int error;

	p->code = pcre2_compile((PCRE2_SPTR)source, size, options, &error, &offset, NULL);
	if (!p->code) {
		char words[120];

		(void)pcre2_get_error_message(error, (PCRE2_UCHAR *)words, sizeof(words));
		(void)snprintf(why, PATTERN_WHY_MAX, "Invalid regular expression: %s at %zu", words,
			       (size_t)offset);
		return -EINVAL;
	}
	p->data = pcre2_match_data_create_from_pattern(p->code, NULL);
	p->context = pcre2_match_context_create(NULL);
	if (!p->data || !p->context) {
		(void)snprintf(why, PATTERN_WHY_MAX, "out of memory");
		return -ENOMEM;
	}
	(void)pcre2_set_match_limit(p->context, MATCH_STEPS_MAX);
	(void)pcre2_set_depth_limit(p->context, MATCH_DEPTH_MAX);
	return 0;
}

int pattern_new(struct pattern **ret, const char *source, size_t size, const char *flags,
		char why[PATTERN_WHY_MAX])
{
	uint32_t options = PCRE2_UTF | PCRE2_ALT_BSUX | PCRE2_ALLOW_EMPTY_CLASS |
			   PCRE2_DOLLAR_ENDONLY | PCRE2_MATCH_UNSET_BACKREF |
			   PCRE2_NEVER_BACKSLASH_C;
	struct pattern *p;
	int r;

	if (read_flags(flags, &options) < 0) {
		(void)snprintf(why, PATTERN_WHY_MAX, "Invalid flags: %.20s", flags);
		return -EINVAL;
	}
	p = calloc(1, sizeof(*p));
	if (!p) {
		(void)snprintf(why, PATTERN_WHY_MAX, "out of memory");
		return -ENOMEM;
	}
	r = compile(p, source, size, options, why);
	if (r < 0) {
		pattern_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

struct pattern *pattern_free(struct pattern *p)
{
	if (!p)
		return NULL;
	pcre2_match_context_free(p->context);
	pcre2_match_data_free(p->data);
	pcre2_code_free(p->code);
	free(p);
	return NULL;
}

bool pattern_matches(const struct pattern *p, const char *text, size_t size)
{
	return pcre2_match(p->code, (PCRE2_SPTR)text, size, 0, 0, p->data, p->context) >= 0;
}
