/*
 * What happened to a path, in a line: as `kedge events` and `kedge top` show it.
 */
#pragma once

#include "base/buf.h"
#include "kedge/conn.h"

enum happened_path {
	HAPPENED_WITH_PATH = 0,
	HAPPENED_WITHOUT_PATH, /* everybody knows of which path it is told */
};

/**
 * happened_append() - "TIME EVENT PATH name=value... by comm=... pid=..."
 * @event: an object as the control socket tells it: valid JSON
 *
 * Return: 0 or -ENOMEM.
 */
int happened_append(struct buf *b, struct kedge_span event, enum happened_path path);
