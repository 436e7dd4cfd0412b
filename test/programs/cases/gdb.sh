# gdb: breakpoints, steps, watchpoints, threads, a forked child, a core file; strace of a process tree
# needs: gdb strace gcc
# platforms: ptrace (hardware watchpoints: KVM has none yet)
# timeout: 120
set -e
dir=$(mktemp -d)
cd "$dir"
cat >p.c <<'C'
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
#include <sys/wait.h>
volatile int counter, *nowhere;
int leaf(int n) { counter += n; return counter; }
int child(int n) { return leaf(n) * 2; }
void *thread(void *arg) { for (;;) pause(); return 0; }
int main(int argc, char **argv)
{
	pthread_t t;
	int status;

	pthread_create(&t, 0, thread, 0);
	leaf(10);
	leaf(20);
	if (!fork())
		_exit(child(5));
	wait(&status);
	printf("%d\n", WEXITSTATUS(status));
	if (argc > 1)
		*nowhere = 1;
	return 3;
}
C
gcc -g -O0 -o p p.c -lpthread
debug() {
	gdb -batch -nx -ex 'set debuginfod enabled off' -ex 'set confirm off' "$@" 2>/dev/null |
		sed -E "s/0x[0-9a-f]+/0x/g; s/(LWP|process) [0-9]+/\1/g; s#xstate/[0-9]+#xstate#; s/ +/ /g; s#$dir#DIR#g" | grep -v '^\[\|^Using\|^Download\|^Temporary\|^$'
}
debug -ex 'break leaf' -ex run -ex bt -ex step -ex next -ex finish -ex 'info threads' -ex delete -ex continue p
debug -ex 'break main' -ex run -ex 'watch counter' -ex continue -ex continue -ex 'info watchpoints' -ex delete -ex continue p
debug -ex 'set follow-fork-mode child' -ex 'break child' -ex run -ex 'print n' -ex 'set var n = 6' -ex finish -ex continue p
ulimit -c unlimited
./p crash || echo "status $?"
debug -ex bt -ex 'print counter' -ex 'thread apply all bt 1' p core
strace -f -e trace=exit_group -e signal=none -o trace ./p || true
sed -E 's/^[0-9]+ +//' trace | sort
strace -c -f -o counts ./p || true
awk '$NF == "clone3" || $NF == "wait4" { print $4, $NF }' counts | sort
cd /
rm -r "$dir"
