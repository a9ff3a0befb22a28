/*
 * udp-load echo PORT SIZE SECONDS WARMUP PID: keeps 64 requests with a server, and counts its replies.
 * udp-load receive PORT SIZE SECONDS WARMUP PID: floods a server, and asks how many have come.
 * udp-load sink: prints its port, and drops what comes until its input closes.
 *
 * Prints the packets of SECONDS, and the CPU that process PID took for them.
 */
#include "process-cpu.h"
#include "udp.h"

enum { WINDOW = 64, WAIT_MS = 20, QUIET_MS = 100 };

static struct batch out, in;

static void set_wait(int fd, int ms) {
  struct timeval wait = {.tv_usec = ms * 1000};
  if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) < 0) die("limit a wait");
}

/* What is lost is sent anew after a while. */
static uint64_t ask_for(int fd, size_t size, double seconds) {
  uint64_t packets = 0;
  int missing = 0;
  for (double end = now_seconds(CLOCK_MONOTONIC) + seconds; now_seconds(CLOCK_MONOTONIC) < end;) {
    while (missing <= WINDOW - BATCH) {
      prepare(&out, BATCH, size, 0);
      int sent = sendmmsg(fd, out.messages, BATCH, 0);
      if (sent < 0) die("send");
      missing += sent;
    }
    prepare(&in, BATCH, DATAGRAM_BYTES, 0);
    int received = recvmmsg(fd, in.messages, BATCH, MSG_WAITFORONE, NULL);
    if (received < 0 && errno != EAGAIN) die("receive");
    if (received < 0) missing = 0;
    else {
      packets += (uint64_t)received;
      missing -= received < missing ? received : missing;
    }
  }
  return packets;
}

static void flood_for(int fd, size_t size, double seconds) {
  prepare(&out, BATCH, size, 0);
  for (double end = now_seconds(CLOCK_MONOTONIC) + seconds; now_seconds(CLOCK_MONOTONIC) < end;) {
    if (sendmmsg(fd, out.messages, BATCH, 0) < 0) die("send");
  }
}

static uint64_t ask_once(int fd) {
  for (int tries = 0; tries < 500; tries++) {
    uint64_t count;
    if (send(fd, "?", 1, 0) < 0) die("send");
    if (recv(fd, &count, sizeof count, 0) == sizeof count) return count;
  }
  die("ask for a count");
  return 0;
}

/* Asked until it counts nothing but the questions: then all that has come is counted. Late answers to earlier ones go first. */
static uint64_t ask_count(int fd) {
  uint64_t late;
  usleep(QUIET_MS * 1000);
  while (recv(fd, &late, sizeof late, 0) > 0) {
  }
  for (uint64_t last = ask_once(fd);;) {
    uint64_t count = ask_once(fd);
    if (count == last + 1) return count;
    last = count;
  }
}

static void sink(void) {
  int fd = open_udp(1);
  exit_when_stdin_closes();
  for (;;) {
    prepare(&in, BATCH, DATAGRAM_BYTES, 0);
    if (recvmmsg(fd, in.messages, BATCH, MSG_WAITFORONE, NULL) < 0) die("receive");
  }
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "sink") == 0) sink();
  if (argc != 7) return 2;
  int is_echo = strcmp(argv[1], "echo") == 0;
  size_t size = (size_t)atoi(argv[3]);
  double seconds = atof(argv[4]), warmup = atof(argv[5]);
  int pid = atoi(argv[6]);
  int fd = open_udp(0);
  connect_udp(fd, atoi(argv[2]));
  set_wait(fd, WAIT_MS);
  uint64_t packets, start;
  if (is_echo) {
    ask_for(fd, size, warmup);
    start = read_process_cpu_ns(pid);
    packets = ask_for(fd, size, seconds);
  } else {
    flood_for(fd, size, warmup);
    uint64_t before = ask_count(fd);
    start = read_process_cpu_ns(pid);
    flood_for(fd, size, seconds);
    packets = ask_count(fd) - before;
  }
  uint64_t cpu_ns = read_process_cpu_ns(pid) - start;
  printf("{\"packets\":%llu,\"cpuNs\":%llu}\n", (unsigned long long)packets, (unsigned long long)cpu_ns);
  return 0;
}
