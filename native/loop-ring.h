/* A ring as the loop hook sees it: its queues, and how to enter it. */
#ifndef PERCORE_LOOP_RING_H
#define PERCORE_LOOP_RING_H

#include <stdbool.h>
#include <stddef.h>

#include "uring.h"

struct ring {
  volatile double *enters; /* the control block's count */
  int fd;                  /* what io_uring_enter takes: a registered index or the descriptor */
  int close_fd;            /* the descriptor itself */
  uint32_t enter_flags;    /* on every call */
  uint32_t wait_flags;     /* when the call may block */
  uint32_t *sq_head, *sq_tail, *sq_flags, *cq_head, *cq_tail;
  uint32_t cq_mask;
  uint8_t *cqes;
  void *mapping; /* our own, since JavaScript's is gone when the environment is torn down */
  size_t mapping_bytes;
};

/* ORDER: acquire pairs with the kernel's release of the tail; entries before it are complete. */
static inline bool has_completions(const struct ring *ring) {
  return *ring->cq_head != __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE);
}

static inline uint32_t unsubmitted(const struct ring *ring) {
  return *ring->sq_tail - __atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE);
}

/* Completions that wait for this thread to ask: deferred task work, or an overflowed queue. */
static inline bool wants_enter(const struct ring *ring) {
  return __atomic_load_n(ring->sq_flags, __ATOMIC_RELAXED) & (SQ_TASKRUN | SQ_CQ_OVERFLOW);
}

/* Submits all there is, collects, and waits if asked to. Returns the count consumed or -errno. */
static inline long enter_ring(const struct ring *ring, uint32_t wait_count, double timeout_ns) {
  *ring->enters += 1;
  return uring_enter(ring->fd, unsubmitted(ring), wait_count,
                     ENTER_GETEVENTS | ring->enter_flags | (wait_count ? ring->wait_flags : 0),
                     timeout_ns);
}

#endif
