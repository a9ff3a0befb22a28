/* Names for what threads of the process hand to each other. */
#ifndef PERCORE_PLACES_H
#define PERCORE_PLACES_H

#include <stdbool.h>

/* What a name stands for. */
enum place_use { PLACE_FREE, PLACE_PASSED, PLACE_SHARED, PLACE_LENT };

/* In all that follows the lock is held, for a few instructions or one system call. */
void places_lock(void);
void places_unlock(void);

/* A new name for `what`: no other use of the table, nor any other process, has the same. Negative if there are too many. */
double place_take(enum place_use use, void *what);

/* What has that name, or NULL if it is of another use, or is no more. */
void *place_find(double name, enum place_use use);

/* From now on nobody finds it. */
void place_free(double name);

/* One of those that a loop has handed over, or was: it begins what is in such a list. */
struct link {
  struct link *next;
  struct link **at; /* what points to this one; NULL while it is in no list */
};

void link_add(struct link **list, struct link *link);

/* Again is nothing. */
void link_remove(struct link *link);

#endif
