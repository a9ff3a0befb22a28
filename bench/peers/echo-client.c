/*
 * echo-client HOST PORT CONNECTIONS SIZE SECONDS [WARMUP] [--rate R] [--spin] [--idle N]
 * [--server PID] [--log]: drives an echo server with epoll and prints one line of JSON.
 *
 * Closed loop: one request outstanding per connection. Open loop (--rate): R requests per second
 * in all, round robin, each timed from when it was meant to leave, so that a server that stalls
 * cannot hide behind a client that waits for it (coordinated omission).
 * --spin polls instead of sleeping: a virtual CPU takes 20 us to wake, which would be ours.
 * --server adds `serverCpuNs`, what the threads of that process ran during the timed window.
 * --log sends records of SIZE bytes, prefix included, to the log of examples/, and expects its answers.
 * --idle N opens N more connections, prints "idle ready", and holds them until stdin closes.
 */
#include "histogram.h"
#include "net.h"
#include "process-cpu.h"

#include <getopt.h>
#include <signal.h>
#include <sys/epoll.h>
#include <time.h>

enum { EVENT_COUNT_MAX = 512, SCRATCH_BYTES = 256 * 1024, IDLE_PER_ADDRESS = 8192,
       PREFIX_BYTES = 5, APPENDED_BYTES = 13 };

struct connection {
  int fd;
  uint32_t id;
  int waiting_to_write;
  uint64_t bytes_to_send;  /* Of the endless repetition of the message. */
  size_t send_position;    /* Within the message. */
  size_t receive_position; /* Within the message. */
  /* When each outstanding request was due, oldest first: a ring that grows. */
  uint64_t *due_ns;
  uint32_t due_capacity, due_head, due_count;
};

static struct {
  const char *host;
  int port, connections;
  size_t size;
  double seconds, warmup;
} plan;
static double rate;
static int spin, idle_count, server_pid, is_log;
static size_t answer_size; /* As the message's, but for the log. */
static const char appended[PREFIX_BYTES] = {9, 0, 0, 0, 1}; /* How its answer begins. */

static int epoll_fd;
static struct connection *connections;
static struct histogram histogram;
static char *message; /* Twice the message, so that a send may cross its end. */
static char scratch[SCRATCH_BYTES];
static uint64_t outstanding, completed;
static uint64_t measure_from_ns; /* Requests due (open) or done (closed) earlier are warm-up. */
static int verifying;

static uint64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000ULL + (uint64_t)time.tv_nsec;
}

static void fail(const char *sentence) {
  fprintf(stderr, "%s\n", sentence);
  exit(1);
}

/* Connects from 127.0.0.2 on, a new address every so many, as one has only 28,000 ports. */
static int open_connection(int index) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) die("open a socket");
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)plan.port)};
  if (inet_pton(AF_INET, plan.host, &address.sin_addr) != 1) {
    fail("Cannot connect as the host must be an IPv4 address");
  }
  if ((ntohl(address.sin_addr.s_addr) >> 24) == 127) {
    int on = 1;
    struct sockaddr_in source = {.sin_family = AF_INET};
    source.sin_addr.s_addr = htonl(0x7f000002u + (uint32_t)(index / IDLE_PER_ADDRESS));
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&source, sizeof source) < 0) die("bind a source address");
  }
  if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) die("connect");
  set_no_delay(fd);
  /* Resets on close: thousands of sockets in TIME_WAIT would burden the next repetition. */
  struct linger linger = {.l_onoff = 1, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
  return fd;
}

static void watch(struct connection *connection, int operation, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = connection};
  if (epoll_ctl(epoll_fd, operation, connection->fd, &event) < 0) die("watch a socket");
}

static void push_due(struct connection *connection, uint64_t due_ns) {
  if (connection->due_count == connection->due_capacity) {
    uint32_t capacity = connection->due_capacity ? connection->due_capacity * 2 : 4;
    uint64_t *grown = malloc(capacity * sizeof *grown);
    if (!grown) die("allocate");
    for (uint32_t index = 0; index < connection->due_count; index++) {
      grown[index] = connection->due_ns[(connection->due_head + index) % connection->due_capacity];
    }
    free(connection->due_ns);
    connection->due_ns = grown;
    connection->due_capacity = capacity;
    connection->due_head = 0;
  }
  uint32_t tail = (connection->due_head + connection->due_count++) % connection->due_capacity;
  connection->due_ns[tail] = due_ns;
}

static void flush_sends(struct connection *connection) {
  while (connection->bytes_to_send > 0) {
    size_t length = plan.size * 2 - connection->send_position;
    if (length > connection->bytes_to_send) length = connection->bytes_to_send;
    ssize_t sent = send(connection->fd, message + connection->send_position, length,
                        MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
      if (errno != EAGAIN) die("send");
      if (!connection->waiting_to_write) watch(connection, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
      connection->waiting_to_write = 1;
      return;
    }
    connection->bytes_to_send -= (uint64_t)sent;
    connection->send_position = (connection->send_position + (size_t)sent) % plan.size;
  }
  if (connection->waiting_to_write) watch(connection, EPOLL_CTL_MOD, EPOLLIN);
  connection->waiting_to_write = 0;
}

static void request(struct connection *connection, uint64_t due_ns) {
  push_due(connection, due_ns);
  outstanding++;
  connection->bytes_to_send += plan.size;
  flush_sends(connection);
}

static void finish_request(struct connection *connection, uint64_t time_ns, int again) {
  uint64_t due_ns = connection->due_ns[connection->due_head];
  connection->due_head = (connection->due_head + 1) % connection->due_capacity;
  connection->due_count--;
  outstanding--;
  if ((rate > 0 ? due_ns : time_ns) >= measure_from_ns) {
    completed++;
    histogram_record(&histogram, time_ns - due_ns);
  }
  if (again) request(connection, time_ns);
}

static void check_bytes(struct connection *connection, size_t length) {
  for (size_t index = 0; index < length; index++) {
    size_t position = (connection->receive_position + index) % answer_size;
    if (is_log && position >= PREFIX_BYTES) continue;
    if (scratch[index] != (is_log ? appended : message)[position]) {
      fail("Cannot trust the server: what it echoed is not what was sent");
    }
  }
}

static void receive(struct connection *connection, int again) {
  ssize_t length = recv(connection->fd, scratch, sizeof scratch, MSG_DONTWAIT);
  if (length == 0) fail("Cannot go on: the server closed a connection");
  if (length < 0) {
    if (errno == EAGAIN || errno == EINTR) return;
    die("receive");
  }
  if (verifying) check_bytes(connection, (size_t)length);
  size_t position = connection->receive_position + (size_t)length;
  if (position / answer_size > connection->due_count) {
    fail("Cannot trust the server: it sent more than it was sent");
  }
  uint64_t time_ns = now_ns();
  for (; position >= answer_size; position -= answer_size) {
    finish_request(connection, time_ns, again);
  }
  connection->receive_position = position;
}

/* Handles what is ready, waiting at most `timeout_ns`; `again` sends the next request at once. */
static void turn(uint64_t timeout_ns, int again) {
  struct epoll_event events[EVENT_COUNT_MAX];
  struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / 1000000000ULL),
                             .tv_nsec = (long)(timeout_ns % 1000000000ULL)};
  int count = spin ? epoll_wait(epoll_fd, events, EVENT_COUNT_MAX, 0)
                   : epoll_pwait2(epoll_fd, events, EVENT_COUNT_MAX, &timeout, NULL);
  if (count < 0 && errno != EINTR) die("wait for events");
  for (int index = 0; index < count; index++) {
    struct connection *connection = events[index].data.ptr;
    if (events[index].events & EPOLLOUT) flush_sends(connection);
    if (events[index].events & ~(uint32_t)EPOLLOUT) receive(connection, again);
  }
}

/* Waits for every reply; false when `seconds` pass first. */
static int drain(double seconds) {
  uint64_t limit_ns = now_ns() + (uint64_t)(seconds * 1e9);
  while (outstanding > 0) {
    if (now_ns() > limit_ns) return 0;
    turn(10000000, 0);
  }
  return 1;
}

static void run_closed(uint64_t until_ns) {
  for (uint64_t time_ns = now_ns(); time_ns < until_ns; time_ns = now_ns()) {
    turn(until_ns - time_ns, 1);
  }
}

/* Sends every request that is due from `*sequence` on, until `until_ns`. */
static void run_open(uint64_t start_ns, uint64_t until_ns, uint64_t *sequence) {
  double interval_ns = 1e9 / rate;
  for (;;) {
    uint64_t due_ns = start_ns + (uint64_t)((double)*sequence * interval_ns);
    if (due_ns >= until_ns) return;
    uint64_t time_ns = now_ns();
    if (time_ns >= due_ns) {
      uint64_t number = (*sequence)++;
      request(&connections[number % (uint64_t)plan.connections], due_ns);
      turn(0, 0);
    } else {
      turn(due_ns - time_ns, 0);
    }
  }
}

static void open_all(void) {
  connections = calloc((size_t)plan.connections, sizeof *connections);
  message = malloc(plan.size * 2);
  if (!connections || !message) die("allocate");
  uint32_t state = 0x9e3779b9;
  for (size_t index = 0; index < plan.size * 2; index++) {
    if (index < plan.size) state = state * 1664525 + 1013904223;
    message[index] = index < plan.size ? (char)(state >> 24) : message[index - plan.size];
  }
  answer_size = is_log ? APPENDED_BYTES : plan.size;
  if (is_log) {
    uint32_t length = (uint32_t)plan.size - 4;
    char prefix[PREFIX_BYTES] = {(char)length, (char)(length >> 8), (char)(length >> 16), 0, 1};
    memcpy(message, prefix, PREFIX_BYTES);
    memcpy(message + plan.size, prefix, PREFIX_BYTES);
  }
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd < 0) die("create an epoll");
  for (int index = 0; index < plan.connections; index++) {
    connections[index].fd = open_connection(index);
    watch(&connections[index], EPOLL_CTL_ADD, EPOLLIN);
  }
}

static void measure(void) {
  measure_from_ns = UINT64_MAX;
  verifying = 1;
  for (int index = 0; index < plan.connections; index++) request(&connections[index], now_ns());
  if (!drain(10)) fail("Cannot start: the server did not echo within 10 s");
  verifying = 0;

  uint64_t sequence = 0;
  uint64_t start_ns = now_ns();
  uint64_t middle_ns = start_ns + (uint64_t)(plan.warmup * 1e9);
  uint64_t end_ns = middle_ns + (uint64_t)(plan.seconds * 1e9);
  measure_from_ns = middle_ns;
  if (rate > 0) run_open(start_ns, middle_ns, &sequence);
  else {
    for (int index = 0; index < plan.connections; index++) request(&connections[index], now_ns());
    run_closed(middle_ns);
  }
  uint64_t cpu_ns = server_pid ? read_process_cpu_ns(server_pid) : 0;
  uint64_t from_ns = now_ns();
  if (rate > 0) run_open(start_ns, end_ns, &sequence);
  else run_closed(end_ns);
  double seconds = (double)(now_ns() - from_ns) / 1e9;
  cpu_ns = server_pid ? read_process_cpu_ns(server_pid) - cpu_ns : 0;
  uint64_t requests = completed;

  /* A request still unanswered counts as long as it waited, or a collapse would look like calm. */
  if (rate > 0 && !drain(5)) {
    for (int index = 0; index < plan.connections; index++) {
      while (connections[index].due_count > 0) finish_request(&connections[index], now_ns(), 0);
    }
  }
  printf("{\"requests\":%llu,\"seconds\":%.6f,\"requestsPerSecond\":%.1f,\"p50us\":%.3f,"
         "\"p99us\":%.3f,\"p999us\":%.3f",
         (unsigned long long)requests, seconds, (double)requests / seconds,
         histogram_quantile(&histogram, 0.5) / 1e3, histogram_quantile(&histogram, 0.99) / 1e3,
         histogram_quantile(&histogram, 0.999) / 1e3);
  if (server_pid) printf(",\"serverCpuNs\":%llu", (unsigned long long)cpu_ns);
  printf("}\n");
  fflush(stdout);
}

/* Opens idle connections; an echo on the last one proves that the server has accepted them all. */
static void open_idle(void) {
  int fd = -1;
  for (int index = 0; index < idle_count; index++) fd = open_connection(index);
  char byte = 'x';
  if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1 || recv(fd, &byte, 1, MSG_WAITALL) != 1) {
    fail("Cannot trust the server: it did not echo on an idle connection");
  }
  printf("idle ready\n");
  fflush(stdout);
}

static void hold_until_stdin_closes(void) {
  while (read(0, scratch, sizeof scratch) > 0) {
  }
}

static void parse(int argc, char **argv) {
  static const struct option options[] = {{"rate", required_argument, NULL, 'r'},
                                          {"idle", required_argument, NULL, 'i'},
                                          {"server", required_argument, NULL, 'p'},
                                          {"spin", no_argument, NULL, 's'},
                                          {"log", no_argument, NULL, 'l'},
                                          {NULL, 0, NULL, 0}};
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    if (option == 'r') rate = atof(optarg);
    else if (option == 'i') idle_count = atoi(optarg);
    else if (option == 'p') server_pid = atoi(optarg);
    else if (option == 's') spin = 1;
    else if (option == 'l') is_log = 1;
    else exit(2);
  }
  int count = argc - optind;
  char **values = argv + optind;
  if (count < 5 || count > 6) {
    fail("usage: echo-client HOST PORT CONNECTIONS SIZE SECONDS [WARMUP] [--rate R] [--spin]"
         " [--idle N] [--server PID] [--log]");
  }
  plan.host = values[0];
  plan.port = atoi(values[1]);
  plan.connections = atoi(values[2]);
  plan.size = (size_t)atol(values[3]);
  plan.seconds = atof(values[4]);
  plan.warmup = count == 6 ? atof(values[5]) : 0.2;
  if (is_log && plan.size <= PREFIX_BYTES) fail("Cannot run as a record must have a byte");
  if (plan.connections < 0 || plan.size < 1 || plan.size > 1 << 20) {
    fail("Cannot run as SIZE must be 1 to 1048576 and CONNECTIONS at least 0");
  }
}

int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN);
  parse(argc, argv);
  raise_descriptor_limit();
  if (idle_count > 0) open_idle();
  if (plan.connections > 0) {
    open_all();
    measure();
  }
  if (idle_count > 0) hold_until_stdin_closes();
  return 0;
}
