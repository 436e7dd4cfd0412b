# needs: gcc
# timeout: 120
mkdir -p $T && cd $T && cat > t.c <<'END'
#include <pthread.h>
#include <stdio.h>
#include <stdatomic.h>
static atomic_long n; static double d[4];
static void *run(void *a) { long i = (long)a; for (int k = 0; k < 1000; k++) { n++; d[i] += k * 0.5; } return a; }
int main(void) { pthread_t t[4]; for (long i = 0; i < 4; i++) pthread_create(&t[i], 0, run, (void *)i);
	for (int i = 0; i < 4; i++) pthread_join(t[i], 0); printf("%ld %.1f\n", n, d[0] + d[3]); return 42; }
END
gcc -O1 -pthread t.c -o t && ./t
