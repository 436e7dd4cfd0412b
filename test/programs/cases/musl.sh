# needs: musl-gcc
mkdir -p $T && cd $T && printf '#include <stdio.h>\n#include <time.h>\n#include <unistd.h>\nint main(int c, char **v) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); printf("musl %%d %%s %%d\\n", c, v[1], t.tv_sec > 0); return isatty(1) + 3; }\n' > m.c
musl-gcc -static m.c -o m && ./m arg
