/* A ring's mappings, and its end. */
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "queues.h"
#include "uring.h"

/* ABI: bits of the upper half of `user_data`, shared with src/kernel/loop-control.ts. */
#define NAME_DESCRIPTOR (1u << 2)
#define NAME_CLOSE (1u << 3)
/* ABI: the lower half, of completions that another ring has posted; the same there. */
#define SLOT_FOREIGN ((uint32_t)-2)
/* The upper half of the names of messages, which no other entry has. */
#define NAME_MESSAGE ((uint32_t)-1)

enum { SQE_WORDS = 16, CQE_WORDS = 4 };
static const double LIMIT_S = 1;
/* How much of it closes get, which leave their descriptor open when they are cancelled. */
static const double CLOSES_S = 0.5;
/* A request that is just being tried again may escape a cancel: another follows after so long. */
static const double STEP_NS = 50e6;

/* What is still to be awaited. */
struct awaited {
  int32_t requests;
  int32_t closes;
};

static double now_s(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void collect(struct ring *ring, struct awaited *awaited, struct descriptors *owned) {
  uint32_t head = *ring->cq_head;
  /* ORDER: acquire pairs with the kernel's release of the tail; entries before it are complete. */
  uint32_t tail = __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE);
  for (; head != tail; head++) {
    const uint32_t *cqe = ring->cqes + (head & ring->cq_mask) * CQE_WORDS;
    if (cqe[0] == SLOT_FOREIGN) continue; /* of no request of this ring */
    int32_t result = (int32_t)cqe[2];
    if ((cqe[1] & NAME_DESCRIPTOR) && result >= 0) descriptors_set(owned, (uint32_t)result, true);
    if (cqe[1] & NAME_CLOSE) awaited->closes--;
    if (!(cqe[3] & CQE_F_MORE)) awaited->requests--;
  }
  /* ORDER: release, so that the kernel reuses an entry only after we have read it. */
  __atomic_store_n(ring->cq_head, head, __ATOMIC_RELEASE);
}

/* Takes back what the kernel has not been told of; what that would have closed is still to be closed. */
static void withdraw(struct ring *ring, struct awaited *awaited, struct descriptors *owned) {
  uint32_t head = __atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE);
  for (uint32_t index = head; index != *ring->sq_tail; index++) {
    const uint32_t *sqe = ring->sqes + (index & ring->sq_mask) * SQE_WORDS;
    if (!(sqe[9] & NAME_CLOSE)) continue;
    descriptors_set(owned, sqe[1], true);
    awaited->closes--;
  }
  *ring->sq_tail = head;
}

/* By the ring itself: the register call that would do it is of Linux 6.0. */
static void push_cancel(struct ring *ring) {
  uint32_t *sqe = ring->sqes + (*ring->sq_tail & ring->sq_mask) * SQE_WORDS;
  memset(sqe, 0, SQE_WORDS * sizeof *sqe);
  sqe[0] = OP_ASYNC_CANCEL;
  sqe[1] = (uint32_t)-1;
  sqe[7] = CANCEL_ALL | CANCEL_ANY;
  ++*ring->sq_tail;
}

int32_t quiesce(struct ring *ring, int32_t outstanding, int32_t closing, struct descriptors *owned) {
  struct awaited awaited = {outstanding, closing};
  withdraw(ring, &awaited, owned);
  collect(ring, &awaited, owned);
  double start_s = now_s();
  /* No cancel finds what a device has, and a wait for it knows no limit of time: it is polled until that is over. */
  bool is_polled = ring->role == ROLE_BUSY_POLL;
  for (double now = start_s; awaited.requests > 0 && now < start_s + LIMIT_S; now = now_s()) {
    bool is_closing = awaited.closes > 0 && now < start_s + CLOSES_S;
    if (!is_polled && !is_closing && !unsubmitted(ring)) {
      push_cancel(ring);
      awaited.requests++;
    }
    int32_t wait_count = is_polled ? 0 : is_closing ? awaited.closes : awaited.requests;
    long result = uring_enter(ring->fd, unsubmitted(ring), (uint32_t)wait_count,
                              ENTER_GETEVENTS | ring->enter_flags, STEP_NS);
    collect(ring, &awaited, owned);
    if (!may_retry(result)) break;
  }
  return awaited.requests;
}

int32_t send_message(struct ring *ring, int32_t target_fd, uint32_t token, double timeout_ns) {
  /* A number of its own for each, so that the end of one that was not awaited is not taken for the next one's. */
  uint32_t number = *ring->sq_tail;
  uint32_t *sqe = ring->sqes + (number & ring->sq_mask) * SQE_WORDS;
  memset(sqe, 0, SQE_WORDS * sizeof *sqe);
  sqe[0] = OP_MSG_RING;
  sqe[1] = (uint32_t)target_fd;
  sqe[2] = SLOT_FOREIGN;
  sqe[3] = token;
  sqe[8] = number;
  sqe[9] = NAME_MESSAGE;
  __atomic_store_n(ring->sq_tail, number + 1, __ATOMIC_RELEASE);
  long result = uring_enter(ring->fd, 1, 1, ENTER_GETEVENTS | ring->enter_flags, timeout_ns);
  /* What the kernel did not take is taken back. */
  if (result < 0 && unsubmitted(ring)) *ring->sq_tail = number;
  if (result < 0 && result != -ETIME && result != -EINTR) return (int32_t)result;
  int32_t sent = -ETIME;
  uint32_t head = *ring->cq_head, tail = __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE);
  for (; head != tail; head++) {
    const uint32_t *cqe = ring->cqes + (head & ring->cq_mask) * CQE_WORDS;
    if (cqe[0] == number && cqe[1] == NAME_MESSAGE) sent = (int32_t)cqe[2];
  }
  __atomic_store_n(ring->cq_head, head, __ATOMIC_RELEASE);
  return sent;
}

int open_ring(struct ring *ring, const int32_t *description) {
  ring->mapping_bytes = (size_t)description[11];
  ring->mapping = mmap(NULL, ring->mapping_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                       description[0], IORING_OFF_SQ_RING);
  if (ring->mapping == MAP_FAILED) return -errno;
  ring->sqes_bytes = (size_t)description[12] * 64;
  ring->sqes = mmap(NULL, ring->sqes_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, description[0],
                    IORING_OFF_SQES);
  if (ring->sqes == MAP_FAILED) {
    int status = errno;
    munmap(ring->mapping, ring->mapping_bytes);
    return -status;
  }
  uint32_t *memory = ring->mapping;
  ring->close_fd = description[0];
  ring->fd = description[1];
  ring->enter_flags = (uint32_t)description[2];
  ring->wait_flags = (uint32_t)description[3];
  ring->sq_head = memory + description[4];
  ring->sq_tail = memory + description[5];
  ring->sq_flags = memory + description[6];
  ring->cq_head = memory + description[7];
  ring->cq_tail = memory + description[8];
  ring->sq_mask = (uint32_t)description[12] - 1;
  ring->cq_mask = (uint32_t)description[9];
  ring->cqes = memory + description[10];
  ring->role = description[13];
  return 0;
}

void unmap_ring(struct ring *ring) {
  munmap(ring->mapping, ring->mapping_bytes);
  munmap(ring->sqes, ring->sqes_bytes);
}

void close_ring(struct ring *ring) {
  if (ring->enter_flags & ENTER_REGISTERED_RING) {
    /* The thread's table of rings would keep it alive, and has room for sixteen. */
    struct ring_update update = {(uint32_t)ring->fd, 0, 0};
    syscall(__NR_io_uring_register, ring->close_fd, UNREGISTER_RING_FDS, &update, 1);
  }
  close(ring->close_fd);
  unmap_ring(ring);
}
