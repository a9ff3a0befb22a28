/*
 * wake HOW(futex|eventfd|msgring|spin) ROUNDTRIPS: there and back between two threads on two CPUs that sleep until the
 * other wakes them: what the kernel, and the host below it, take for that. `spin`: neither sleeps.
 */
#include "uring.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <time.h>

enum { IORING_OP_MSG_RING = 40, IOSQE_CQE_SKIP_SUCCESS = 1 << 6 };

enum how { FUTEX, EVENTFD, MSGRING, SPIN, HOW_COUNT };
static const char *const HOWS[HOW_COUNT] = {"futex", "eventfd", "msgring", "spin"};

/* One of the two threads, as the other reaches it. */
struct side {
  _Alignas(128) _Atomic uint32_t word; /* How often it was woken. */
  _Alignas(128) uint32_t seen;         /* How often it has come back from waiting. */
  int event;
  int cpu;
  struct ring ring;
};

static enum how how;
static struct side sides[2];
static pthread_barrier_t ready;
static long round_count;

static int64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void wake(struct side *self, struct side *other) {
  uint64_t one = 1;
  switch (how) {
    case FUTEX:
      atomic_fetch_add(&other->word, 1);
      if (syscall(SYS_futex, &other->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) < 0) die("wake");
      break;
    case EVENTFD:
      if (write(other->event, &one, sizeof one) != sizeof one) die("write to an eventfd");
      break;
    case MSGRING: {
      /* Goes along with the call that this thread then waits in. */
      struct sqe *sqe = ring_next(&self->ring);
      *sqe = (struct sqe){.opcode = IORING_OP_MSG_RING, .flags = IOSQE_CQE_SKIP_SUCCESS, .fd = other->ring.descriptor};
      break;
    }
    default:
      atomic_store_explicit(&other->word, other->word + 1, memory_order_release);
  }
}

/* Submits what wake() has left for wait(), in a thread that waits no more. */
static void flush(struct side *self) {
  if (how == MSGRING) ring_enter(&self->ring, 0);
}

/* Tells the processor that the thread spins. */
static void relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static void wait(struct side *self) {
  uint64_t count;
  uint32_t seen = self->seen++;
  switch (how) {
    case FUTEX:
      while (atomic_load(&self->word) == seen)
        syscall(SYS_futex, &self->word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
      break;
    case EVENTFD:
      if (read(self->event, &count, sizeof count) != sizeof count) die("read from an eventfd");
      break;
    case MSGRING: {
      uint32_t head = atomic_load_explicit(self->ring.cq_head, memory_order_relaxed);
      do ring_enter(&self->ring, 1);
      while (atomic_load_explicit(self->ring.cq_tail, memory_order_acquire) == head);
      atomic_store_explicit(self->ring.cq_head, head + 1, memory_order_release);
      break;
    }
    default:
      while (atomic_load_explicit(&self->word, memory_order_acquire) == seen) relax();
  }
}

static void begin(struct side *self) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(self->cpu, &set);
  if (pthread_setaffinity_np(pthread_self(), sizeof set, &set) != 0) die("pin a thread");
  self->event = eventfd(0, EFD_CLOEXEC);
  if (self->event < 0) die("make an eventfd");
  if (how == MSGRING) ring_open(&self->ring, 8, 16);
  pthread_barrier_wait(&ready);
}

static void *answer(void *unused) {
  (void)unused;
  begin(&sides[1]);
  for (long round = 0; round < round_count; round++) {
    wait(&sides[1]);
    wake(&sides[1], &sides[0]);
  }
  flush(&sides[1]);
  return NULL;
}

static int by_size(const void *one, const void *other) {
  int64_t difference = *(const int64_t *)one - *(const int64_t *)other;
  return difference < 0 ? -1 : difference > 0;
}

/* The first two CPUs that this process may use. */
static bool pick_cpus(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) die("ask for the CPUs");
  int count = 0;
  for (int cpu = 0; cpu < CPU_SETSIZE && count < 2; cpu++)
    if (CPU_ISSET(cpu, &set)) sides[count++].cpu = cpu;
  return count == 2;
}

int main(int argc, char **argv) {
  round_count = argc == 3 ? atol(argv[2]) : 0;
  while (how < HOW_COUNT && (argc != 3 || strcmp(argv[1], HOWS[how]) != 0)) how++;
  if (how == HOW_COUNT || round_count < 1) {
    fprintf(stderr, "usage: wake futex|eventfd|msgring|spin ROUNDTRIPS(>= 1)\n");
    return 2;
  }
  if (!pick_cpus()) {
    fprintf(stderr, "Cannot measure: two threads need two CPUs\n");
    return 1;
  }
  int64_t *times = malloc((size_t)round_count * sizeof *times);
  if (times == NULL) die("find memory");
  pthread_barrier_init(&ready, NULL, 2);
  pthread_t thread;
  if (pthread_create(&thread, NULL, answer, NULL) != 0) die("start a thread");
  begin(&sides[0]);
  for (long round = 0; round < round_count; round++) {
    int64_t from = now_ns();
    wake(&sides[0], &sides[1]);
    wait(&sides[0]);
    times[round] = now_ns() - from;
  }
  pthread_join(thread, NULL);
  qsort(times, (size_t)round_count, sizeof *times, by_size);
  printf("{\"p50Ns\":%lld}\n", (long long)times[round_count / 2]);
  return 0;
}
