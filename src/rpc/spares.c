#include "rpc/spares.h"

#include <stdlib.h>

#include "kedge/conn.h"

/* What is moved to or from a spare is at most this share of it, so that it costs less
 * than what goes through. */
#define LITTLE 8

struct kedge_conn_spares *kedge_conn_spares_new(void)
{
	return calloc(1, sizeof(struct kedge_conn_spares));
}

struct kedge_conn_spares *kedge_conn_spares_free(struct kedge_conn_spares *spares)
{
	if (!spares)
		return NULL;
	buf_deinit(&spares->in);
	while (spares->out_count)
		buf_deinit(&spares->out[--spares->out_count]);
	free(spares);
	return NULL;
}

/* Put what is in @from into @to, which is empty and has room. */
static void move(struct buf *to, struct buf *from)
{
	size_t size = buf_size(from);

	if (size)
		memcpy(to->data, buf_front(from), size);
	to->start = 0;
	to->end = size;
	buf_deinit(from);
}

void spare_borrow(struct buf *own, struct buf *spare)
{
	struct buf taken = *spare;

	if (own->capacity >= SPARE_BYTES || buf_size(own) > SPARE_BYTES / LITTLE)
		return;
	/* Without memory @own goes on with what it has. */
	if (!taken.capacity && buf_reserve(&taken, SPARE_BYTES) < 0)
		return;
	*spare = (struct buf)BUF_INIT;
	move(&taken, own);
	*own = taken;
}

void spare_give_back(struct buf *own, struct buf *spare)
{
	struct buf rest = BUF_INIT, given = *own;
	size_t size = buf_size(own);

	if (own->capacity < SPARE_BYTES || size > SPARE_BYTES / LITTLE)
		return;
	if (size && buf_append(&rest, buf_front(own), size) < 0)
		return;
	*own = rest;
	given.start = given.end = 0;
	if (spare->capacity || given.capacity > SPARE_BYTES_MAX)
		buf_deinit(&given);
	else
		*spare = given;
}

void spares_borrow_out(struct kedge_conn_spares *spares, struct buf *own)
{
	struct buf none = BUF_INIT;

	spare_borrow(own, spares->out_count ? &spares->out[--spares->out_count] : &none);
}

void spares_give_back_out(struct kedge_conn_spares *spares, struct buf *own)
{
	struct buf given = BUF_INIT;
	size_t kept = 0;

	for (unsigned i = 0; i < spares->out_count; i++)
		kept += spares->out[i].capacity;
	if (spares->out_count == SPARES_OUT || kept + own->capacity > SPARES_OUT_BYTES_MAX)
		return;
	spare_give_back(own, &given);
	if (given.capacity)
		spares->out[spares->out_count++] = given;
}
