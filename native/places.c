/*
 * One table for the process, behind one lock. A name is a place in it, and a generation that no use of the table repeats, so that
 * who comes late with a name finds nothing, whatever the place holds by then. Generations begin anywhere, so that the names of
 * another process, or of another copy of this library in the process, are not taken for ours.
 */
#include "places.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

enum { PLACE_BITS = 21, PLACES_MAX = 1 << PLACE_BITS, GENERATION_MASK = 0x7fffffff };

struct place {
  enum place_use use;
  uint32_t generation;
  uint32_t next_free;
  void *what;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct place *places;
static uint32_t place_count;
static uint32_t free_place = PLACES_MAX; /* the first, or none */
static uint32_t generation;

void places_lock(void) { pthread_mutex_lock(&lock); }

void places_unlock(void) { pthread_mutex_unlock(&lock); }

static struct place *at(double name) {
  if (!(name >= 0 && name < 9007199254740992.0)) return NULL;
  uint64_t bits = (uint64_t)name;
  uint32_t index = (uint32_t)(bits & (PLACES_MAX - 1));
  if (index >= place_count) return NULL;
  struct place *place = &places[index];
  return place->use != PLACE_FREE && place->generation == bits >> PLACE_BITS ? place : NULL;
}

double place_take(enum place_use use, void *what) {
  if (free_place == PLACES_MAX) {
    if (place_count == PLACES_MAX) return -ENOSPC;
    if (!places && getrandom(&generation, sizeof generation, GRND_NONBLOCK) < 0) generation = (uint32_t)getpid();
    uint32_t count = place_count ? place_count * 2 : 16;
    places = realloc(places, count * sizeof *places);
    if (!places) abort();
    for (uint32_t i = place_count; i < count; i++)
      places[i] = (struct place){.use = PLACE_FREE, .next_free = i + 1 < count ? i + 1 : PLACES_MAX};
    free_place = place_count;
    place_count = count;
  }
  struct place *place = &places[free_place];
  free_place = place->next_free;
  place->use = use;
  place->generation = generation++ & GENERATION_MASK;
  place->what = what;
  return (double)place->generation * PLACES_MAX + (double)(place - places);
}

void *place_find(double name, enum place_use use) {
  struct place *place = at(name);
  return place && place->use == use ? place->what : NULL;
}

void place_free(double name) {
  struct place *place = at(name);
  if (!place) return;
  place->use = PLACE_FREE;
  place->next_free = free_place;
  free_place = (uint32_t)(place - places);
}

void link_add(struct link **list, struct link *link) {
  link->next = *list;
  link->at = list;
  if (*list) (*list)->at = &link->next;
  *list = link;
}

void link_remove(struct link *link) {
  if (!link->at) return;
  *link->at = link->next;
  if (link->next) link->next->at = link->at;
  link->at = NULL;
}
