/*
 * udp-server echo | receive | send | segments PORT SIZE SECONDS WARMUP: datagrams by recvmmsg(2) and sendmmsg(2), up to 32 in a call.
 *
 * With segments, many in one datagram that the kernel cuts. A server prints its port, answers with its count to a datagram of one byte, and ends when its input closes. A sender
 * prints how many it has sent in SECONDS, and the CPU that this took.
 */
#include "udp.h"

#include <netinet/udp.h>

enum { SEGMENTS = 50 };

static struct batch batch;

static void serve(int echoes) {
  uint64_t count = 0;
  int fd = open_udp(1);
  exit_when_stdin_closes();
  for (;;) {
    prepare(&batch, BATCH, DATAGRAM_BYTES, 1);
    int received = recvmmsg(fd, batch.messages, BATCH, MSG_WAITFORONE, NULL);
    if (received < 0) die("receive");
    for (int index = 0; index < received; index++) {
      count++;
      batch.vectors[index].iov_len = batch.messages[index].msg_len;
      if (batch.messages[index].msg_len != 1) continue;
      sendto(fd, &count, sizeof count, 0, (struct sockaddr *)&batch.names[index], sizeof batch.names[index]);
      received = index;
    }
    for (int sent = 0; echoes && sent < received;) {
      int result = sendmmsg(fd, batch.messages + sent, (unsigned)(received - sent), 0);
      if (result < 0) die("send");
      sent += result;
    }
  }
}

static char segments[SEGMENTS * DATAGRAM_BYTES];

static uint64_t send_for(int fd, double seconds, size_t segment) {
  uint64_t packets = 0;
  for (double end = now_seconds(CLOCK_MONOTONIC) + seconds; now_seconds(CLOCK_MONOTONIC) < end;) {
    if (segment > 0) {
      if (send(fd, segments, SEGMENTS * segment, 0) < 0) die("send");
      packets += SEGMENTS;
      continue;
    }
    int result = sendmmsg(fd, batch.messages, BATCH, 0);
    if (result < 0) die("send");
    packets += (uint64_t)result;
  }
  return packets;
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  int cuts = strcmp(argv[1], "segments") == 0;
  if (!cuts && strcmp(argv[1], "send") != 0) {
    serve(strcmp(argv[1], "echo") == 0);
    return 0;
  }
  if (argc < 6) return 2;
  int fd = open_udp(0);
  connect_udp(fd, atoi(argv[2]));
  prepare(&batch, BATCH, (size_t)atoi(argv[3]), 0);
  int segment = cuts ? atoi(argv[3]) : 0;
  if (cuts && setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment) < 0) die("cut");
  send_for(fd, atof(argv[5]), (size_t)segment);
  double start = now_seconds(CLOCK_PROCESS_CPUTIME_ID);
  uint64_t packets = send_for(fd, atof(argv[4]), (size_t)segment);
  double cpu = now_seconds(CLOCK_PROCESS_CPUTIME_ID) - start;
  printf("{\"packets\":%llu,\"cpuNs\":%.0f}\n", (unsigned long long)packets, cpu * 1e9);
  return 0;
}
