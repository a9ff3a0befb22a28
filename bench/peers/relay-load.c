/*
 * relay-load PORT PAIRS SECONDS WARMUP PID: pours bytes into a relay, and takes what comes out.
 *
 * The relay passes what the second of each two connections sends on to the first one. One thread, ready sockets in turn;
 * what is taken is dropped by the kernel, so that a relay is busy before this is. SECONDS and WARMUP are of the processor's time of
 * the relay, the process PID, which is compiled by then however busy the machine is. Prints the bytes that came out, and how long it took.
 */
#include "net.h"
#include "process-cpu.h"

#include <sys/epoll.h>
#include <time.h>

enum { POUR_BYTES = 256 * 1024, TAKE_BYTES = 4 * 1024 * 1024, PAIRS_MAX = 1024, READY_MAX = 64 };

struct end {
  int fd;
  int pours;
};

static const double LOOK_SECONDS = 0.01;
static struct end ends[2 * PAIRS_MAX];
static char poured[POUR_BYTES];
static int epoll_fd;
static uint64_t taken_bytes;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void open_end(struct end *end, int port, int pours) {
  end->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  end->pours = pours;
  if (end->fd < 0) die("open a socket");
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(end->fd, (struct sockaddr *)&address, sizeof address) < 0) die("connect");
  set_no_delay(end->fd);
  struct epoll_event event = {.events = pours ? EPOLLOUT : EPOLLIN, .data.ptr = end};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, end->fd, &event) < 0) die("watch a socket");
}

static void turn(void) {
  struct epoll_event events[READY_MAX];
  int count = epoll_wait(epoll_fd, events, READY_MAX, 100);
  for (int index = 0; index < count; index++) {
    struct end *end = events[index].data.ptr;
    ssize_t result;
    if (end->pours) {
      result = send(end->fd, poured, sizeof poured, MSG_DONTWAIT | MSG_NOSIGNAL);
    } else {
      result = recv(end->fd, NULL, TAKE_BYTES, MSG_DONTWAIT | MSG_TRUNC);
      if (result == 0) errno = ECONNRESET;
    }
    if (result > 0 && !end->pours) taken_bytes += (uint64_t)result;
    if (result <= 0 && errno != EAGAIN) die("go on, as a connection has ended");
  }
}

/* Goes on until the relay has taken so much of the processor; returns when that was, in its time. */
static uint64_t run_until(int pid, uint64_t until_ns) {
  uint64_t cpu_ns = 0;
  double next = now();
  while (cpu_ns < until_ns) {
    turn();
    if (now() < next) continue;
    cpu_ns = read_process_cpu_ns(pid);
    next = now() + LOOK_SECONDS;
  }
  return cpu_ns;
}

int main(int argc, char **argv) {
  if (argc != 6) return 2;
  int port = atoi(argv[1]), pairs = atoi(argv[2]), pid = atoi(argv[5]);
  double seconds = atof(argv[3]), warmup_seconds = atof(argv[4]);
  if (pairs > PAIRS_MAX) return 2;
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd < 0) die("open an epoll");
  for (int index = 0; index < 2 * pairs; index++) open_end(&ends[index], port, index % 2);

  uint64_t from_ns = run_until(pid, read_process_cpu_ns(pid) + (uint64_t)(warmup_seconds * 1e9));
  uint64_t from_bytes = taken_bytes;
  double from = now();
  uint64_t until_ns = run_until(pid, from_ns + (uint64_t)(seconds * 1e9));
  printf("{\"bytes\":%llu,\"seconds\":%f,\"serverCpuNs\":%llu}\n",
         (unsigned long long)(taken_bytes - from_bytes), now() - from,
         (unsigned long long)(until_ns - from_ns));
  return 0;
}
