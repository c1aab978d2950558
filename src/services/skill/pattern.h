/*
 * Patterns of routes: regular expressions as JavaScript writes them, matched by
 * PCRE2 with the options that are nearest to it. Matching is bounded: a pattern
 * that runs wild matches nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct pattern;

#define PATTERN_WHY_MAX 160

/**
 * pattern_new() - compile
 * @flags: of JavaScript, each at most once: d g i m s u v y
 * @why:   filled in on failure, for a person
 *
 * Return: 0; -EINVAL: it is no pattern, or a flag is none; -ENOMEM.
 */
int pattern_new(struct pattern **ret, const char *source, size_t size, const char *flags,
		char why[PATTERN_WHY_MAX]);

/* May be NULL. Return: NULL. */
struct pattern *pattern_free(struct pattern *p);

bool pattern_matches(const struct pattern *p, const char *text, size_t size);
