/* Parts of arenas that other threads look at for a while. */
#ifndef PERCORE_LOANS_H
#define PERCORE_LOANS_H

#include "loop.h"

/* Called as a loop ends: nobody can take what it offers any more, and what others have is theirs until they let go of it. */
void loans_end(struct loop *loop);

/* Called as the last view of a borrowed part goes; `arena` stands for that part. */
void loan_over(struct arena *arena);

#endif
