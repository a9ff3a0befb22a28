/*
 * nop BATCH OPS: what a no-op through io_uring costs in lean C, the floor percore is compared with.
 *
 * One enter submits BATCH entries and waits for as many completions; each entry is written whole,
 * and each completion's user_data and result are read, since a real loop cannot do without.
 */
#include "uring.h"

#include <time.h>

static double now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/* Runs `rounds` batches and returns the sum of the user_data reaped, which main verifies. */
static uint64_t run(struct ring *ring, uint32_t batch, uint64_t rounds) {
  uint64_t sum = 0;
  for (uint64_t round = 0; round < rounds; round++) {
    for (uint32_t index = 0; index < batch; index++) {
      struct sqe *sqe = &ring->sqes[ring->sq_local++ & ring->sq_mask];
      *sqe = (struct sqe){.opcode = IORING_OP_NOP, .fd = -1, .user_data = index + 1};
    }
    uint32_t reaped = 0;
    while (reaped < batch) {
      ring_enter(ring, batch - reaped);
      uint32_t head = atomic_load_explicit(ring->cq_head, memory_order_relaxed);
      uint32_t tail = atomic_load_explicit(ring->cq_tail, memory_order_acquire);
      reaped += tail - head;
      for (; head != tail; head++) {
        struct cqe *cqe = &ring->cqes[head & ring->cq_mask];
        if (cqe->result != 0) {
          fprintf(stderr, "Cannot go on: a NOP returned %d\n", cqe->result);
          exit(1);
        }
        sum += cqe->user_data;
      }
      atomic_store_explicit(ring->cq_head, head, memory_order_release);
    }
  }
  return sum;
}

int main(int argc, char **argv) {
  long batch = argc == 3 ? atol(argv[1]) : 0;
  long long ops = argc == 3 ? atoll(argv[2]) : 0;
  if (batch < 1 || batch > 16384 || ops < batch) {
    fprintf(stderr, "usage: nop BATCH(1..16384) OPS(>= BATCH)\n");
    return 2;
  }
  struct ring ring;
  ring_open(&ring, (uint32_t)batch, (uint32_t)batch * 2);

  uint64_t rounds = (uint64_t)ops / (uint64_t)batch;
  run(&ring, (uint32_t)batch, rounds / 20 + 1);
  double start = now_ns();
  uint64_t sum = run(&ring, (uint32_t)batch, rounds);
  double elapsed = now_ns() - start;

  uint64_t expected = rounds * ((uint64_t)batch * (uint64_t)(batch + 1) / 2);
  if (sum != expected) {
    fprintf(stderr, "Cannot trust the run: completions do not match the entries\n");
    return 1;
  }
  printf("{\"nsPerOp\":%.3f}\n", elapsed / (double)(rounds * (uint64_t)batch));
  return 0;
}
