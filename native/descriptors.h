/* The descriptors to close with an environment: a bit for each. */
#ifndef PERCORE_DESCRIPTORS_H
#define PERCORE_DESCRIPTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct descriptors {
  uint8_t *bits;
  size_t bytes;
};

static inline void descriptors_set(struct descriptors *set, uint32_t fd, bool tracked) {
  size_t byte = fd / 8;
  uint8_t bit = (uint8_t)(1 << (fd % 8));
  if (byte >= set->bytes) {
    if (!tracked) return;
    size_t bytes = (byte + 1) * 2;
    uint8_t *grown = realloc(set->bits, bytes);
    if (!grown) abort();
    memset(grown + set->bytes, 0, bytes - set->bytes);
    set->bits = grown;
    set->bytes = bytes;
  }
  if (tracked) set->bits[byte] |= bit;
  else set->bits[byte] &= (uint8_t)~bit;
}

/* Closes them all, each once however often it was added. */
static inline void descriptors_close(struct descriptors *set) {
  for (size_t fd = 0; fd < set->bytes * 8; fd++)
    if (set->bits[fd / 8] & (1 << (fd % 8))) close((int)fd);
  free(set->bits);
  set->bits = NULL;
  set->bytes = 0;
}

#endif
