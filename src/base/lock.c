#include "base/lock.h"

#include "hostcall.h"

/* Long enough for a short critical section on another CPU, short enough when its holder lost its host CPU. */
#define SPINS_BEFORE_YIELD 200

void spin_lock_slow(spinlock_t *l)
{
	for (;;) {
		for (u32 i = 0; i < SPINS_BEFORE_YIELD; i++) {
			if (!spin_is_locked(l) && spin_trylock(l))
				return;
			__builtin_ia32_pause();
		}
		hostcall(HC_YIELD, NULL, 0);
	}
}
