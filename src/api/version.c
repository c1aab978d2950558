#include "kedge/version.h"

const char *kedge_version(void)
{
	return KEDGE_VERSION;
}
