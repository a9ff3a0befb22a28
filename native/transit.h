/* Descriptors that several threads of the process deal with. */
#ifndef PERCORE_TRANSIT_H
#define PERCORE_TRANSIT_H

#include "loop.h"

/* Called as a loop ends, before its descriptors are closed: what it had passed on and nobody has taken is closed. */
void transit_end(struct loop *loop);

#endif
