/* One ring as the loop hook sees it: both queues, and how to enter. */
#ifndef PERCORE_QUEUES_H
#define PERCORE_QUEUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "descriptors.h"
#include "uring.h"

/* ABI: what a ring is to its thread, as src/kernel/kernel.ts says; the same in src/kernel/uring-kernel.ts. */
enum { ROLE_PARK = 0, ROLE_NOTIFY = 1, ROLE_BUSY_POLL = 2 };

struct ring {
  volatile double *enters; /* the count of calls, in the control block */
  int fd;               /* what io_uring_enter takes: a registered index or the descriptor */
  int close_fd;         /* the descriptor itself */
  int role;
  uint32_t enter_flags; /* on every call */
  uint32_t wait_flags;  /* when the call may block */
  uint32_t *sq_head, *sq_tail, *sq_flags, *cq_head, *cq_tail;
  uint32_t sq_mask, cq_mask;
  uint32_t *sqes, *cqes;
  /* Our own mappings, since JavaScript's are gone when the environment is torn down. */
  void *mapping;
  size_t mapping_bytes;
  size_t sqes_bytes;
};

/* ORDER: acquire pairs with the kernel's release of the tail; entries before it are complete. */
static inline bool has_completions(const struct ring *ring) {
  return *ring->cq_head != __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE);
}

/* How many completions there were so far, reaped or not; it wraps. */
static inline uint32_t posted_completions(const struct ring *ring) {
  return __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE);
}

static inline uint32_t unsubmitted(const struct ring *ring) {
  return *ring->sq_tail - __atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE);
}

/*
 * Whether a device has requests whose ends only this thread finds, by asking for them again and again: nothing wakes it for
 * them, no flag tells of them. Each entry of such a ring has one completion, and nobody else posts any.
 */
static inline bool must_poll(const struct ring *ring) {
  return ring->role == ROLE_BUSY_POLL && *ring->sq_tail != __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE);
}

/* Completions that wait for this thread to ask: deferred task work, an overflowed queue, or a device that is polled. */
static inline bool wants_enter(const struct ring *ring) {
  return (__atomic_load_n(ring->sq_flags, __ATOMIC_RELAXED) & (SQ_TASKRUN | SQ_CQ_OVERFLOW)) || must_poll(ring);
}

/* Submits all there is, collects, and waits if asked to. Returns the count consumed or -errno. */
static inline long enter_ring(const struct ring *ring, uint32_t wait_count, double timeout_ns) {
  *ring->enters += 1;
  return uring_enter(ring->fd, unsubmitted(ring), wait_count,
                     ENTER_GETEVENTS | ring->enter_flags | (wait_count ? ring->wait_flags : 0),
                     timeout_ns);
}

/**
 * Ends a ring's use: nothing more is submitted, what is in flight is cancelled and awaited, so that no
 * request outlives its memory.
 *
 * `outstanding` counts the entries submitted whose last completion has not been reaped, `closing` the
 * closes that have not, submitted or not. Descriptors that nobody has taken over, or that were about to be
 * closed, are added to `owned`. Returns how many requests are left all the same, after one second: their
 * memory has to stay. Linux 5.19.
 */
int32_t quiesce(struct ring *ring, int32_t outstanding, int32_t closing, struct descriptors *owned);

/**
 * Maps a ring's queues once more and notes how it is entered, as loopAddRing describes it. Returns 0 or
 * -errno.
 */
int open_ring(struct ring *ring, const int32_t *description);
void unmap_ring(struct ring *ring);

/**
 * Posts a completion into another ring, from one with nothing in flight, and waits until that is done. It is foreign
 * there, and has this token. Returns 0, or -errno; -ETIME where it was not done in time. Linux 5.18.
 */
int32_t send_message(struct ring *ring, int32_t target_fd, uint32_t token, double timeout_ns);

/** Closes a ring, and takes it out of the thread's table of registered ones. */
void close_ring(struct ring *ring);

#endif
