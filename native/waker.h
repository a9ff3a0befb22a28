/* How a thread is woken by one that has no ring, or whose ring does not send. */
#ifndef PERCORE_WAKER_H
#define PERCORE_WAKER_H

#include <stdint.h>

#include "uv-abi.h"

/** By what to wake the thread whose executor has that slot of the directory; NULL for by nothing any more. */
void waker_set(uint32_t slot, uv_handle_t *handle);

/** Wakes the thread whose executor has that slot, if there is one. From any thread; never blocks for long. */
void waker_send(uint32_t slot);

#endif
