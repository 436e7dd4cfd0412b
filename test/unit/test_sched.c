/*
 * The scheduler, sleeping locks and timers on real threads as vCPUs. Everything runs in sentry tasks, so this is no cmocka program:
 * each check is a kernel task that panics when something is wrong.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/log.h"
#include "hostcall.h"
#include "sentry/kernel/boot.h"
#include "sentry/kernel/events.h"
#include "sentry/kernel/keys.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/pid_ns.h"
#include "sentry/kernel/sched.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/vfs/vfs.h"

#define VCPUS 2u
#define MEM_SIZE (8ul << 20)

char *direct_map;
const struct platform_ops *platform;
struct boot_params *boot_params;
struct nsproxy init_nsproxy;
_Atomic u64 stat_counters[8];
u32 trace_flags;

/* ---- the surroundings ---- */

struct kmem_cache {
	size_t size;
};
void *kmalloc(size_t n) { return malloc(n); }
void *kzalloc(size_t n) { return calloc(1, n); }
void kfree(void *p) { free(p); }
struct kmem_cache *kmem_cache_create(const char *name, size_t size, size_t align)
{
	struct kmem_cache *c = malloc(sizeof(*c));

	(void)name;
	c->size = ALIGN_UP(size, MAX(align, 16ul));
	return c;
}
void *kmem_cache_alloc(struct kmem_cache *c)
{
	void *p = aligned_alloc(64, ALIGN_UP(c->size, 64ul));

	memset(p, 0, c->size);
	return p;
}
void kmem_cache_free(struct kmem_cache *c, void *p) { (void)c; free(p); }
void nsproxy_init(void) { refcount_set(&init_nsproxy.ref, 1); }
void nsproxy_put(struct nsproxy *ns) { (void)ns; }
void sigpending_init(struct sigpending *p) { (void)p; }
void sigpending_flush(struct sigpending *p) { (void)p; }
void sighand_put(struct sighand *s) { (void)s; }
void files_put(struct files *f) { (void)f; }
void fs_state_put(struct fs_state *f) { (void)f; }
void mm_users_get(struct mm *mm) { (void)mm; }
void mm_users_put(struct mm *mm) { (void)mm; }
struct pid *pid_get(struct pid *p) { return p; }
void keys_task_free(struct task *t) { (void)t; }
void keys_process_free(struct process *p) { (void)p; }
void pid_put(struct pid *p) { (void)p; }
s32 pid_nr_own(const struct pid *p) { return p->nr; }
s32 pid_nr_slow(const struct pid *p) { return p->nr; }
void pid_ns_count(const struct pid *p, s32 change) { (void)p; (void)change; }
struct pid *pid_find_get(s32 nr) { (void)nr; return NULL; }
void cred_put(struct cred *c) { (void)c; }
struct cred *cred_get(struct cred *c) { return c; }
struct cred *cred_alloc_init(u32 uid, u32 gid) { (void)uid; (void)gid; return calloc(1, sizeof(struct cred)); }
void events_poll(void) {}
void seccomp_exit(struct task *t) { (void)t; }
void sem_exit(struct task *t) { (void)t; }

void panic(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	abort();
}

static u64 host_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * NSEC_PER_SEC + (u64)ts.tv_nsec;
}

s64 hostcall(u32 nr, void *req, size_t len)
{
	(void)req;
	(void)len;
	if (nr == HC_YIELD)
		sched_yield();
	return 0;
}

static struct vcpu {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool kicked;
	pthread_t thread;
} vcpus[VCPUS];
static _Atomic u64 kicks;

static void kick(u32 cpu)
{
	atomic_fetch_add(&kicks, 1);
	pthread_mutex_lock(&vcpus[cpu].lock);
	vcpus[cpu].kicked = true;
	pthread_cond_signal(&vcpus[cpu].cond);
	pthread_mutex_unlock(&vcpus[cpu].lock);
}

static void idle(u32 cpu, u64 deadline)
{
	struct timespec ts = { (time_t)(deadline / NSEC_PER_SEC), (long)(deadline % NSEC_PER_SEC) };
	struct vcpu *v = &vcpus[cpu];

	pthread_mutex_lock(&v->lock);
	while (!v->kicked) {
		if (deadline == ~0ull)
			pthread_cond_wait(&v->cond, &v->lock);
		else if (pthread_cond_timedwait(&v->cond, &v->lock, &ts) == ETIMEDOUT)
			break;
	}
	v->kicked = false;
	pthread_mutex_unlock(&v->lock);
}

static void *kstack_alloc(void) { return aligned_alloc(KSTACK_SIZE, KSTACK_SIZE); }
static void kstack_free(void *base) { free(base); }

static const struct platform_ops fake_platform = {
	.name = "fake",
	.fpu_size = 64,
	.kick = kick,
	.idle = idle,
	.kstack_alloc = kstack_alloc,
	.kstack_free = kstack_free,
};

static void make_clock(void)
{
	struct clock_page *c = (void *)(direct_map + CLOCK_PAGE_PA);
	u64 ns = host_now(), tsc = rdtsc();

	while (host_now() - ns < 50 * NSEC_PER_MSEC)
		;
	c->tsc_hz = (rdtsc() - tsc) * NSEC_PER_SEC / (host_now() - ns);
	c->shift = 32;
	c->mult = (u64)(((unsigned __int128)NSEC_PER_SEC << 32) / c->tsc_hz);
	c->base_tsc = rdtsc();
	c->mono_ns = host_now();
}

/* ---- the checks ---- */

static struct waitq done_wait;
static _Atomic u32 finished;

static void finish_one(void)
{
	atomic_fetch_add(&finished, 1);
	wake_up_all(&done_wait);
}

static void run(const char *name, void (*fn)(void *), u32 n)
{
	u64 start = clock_mono_ns(), kicks_before = atomic_load(&kicks);

	atomic_store(&finished, 0);
	for (u64 i = 0; i < n; i++)
		BUG_ON(!kthread_create(fn, (void *)i, name));
	wait_event(done_wait, atomic_load(&finished) == n);
	printf("%-24s %8lu us, %lu kicks\n", name, (clock_mono_ns() - start) / 1000, atomic_load(&kicks) - kicks_before);
}

#define ROUNDS 100000u
static struct waitq ball_wait;
static _Atomic u32 ball;

static void ping_pong(void *arg)
{
	u32 me = (u32)(u64)arg;

	for (u32 i = 0; i < ROUNDS; i++) {
		wait_event(ball_wait, atomic_load(&ball) % 2 == me);
		atomic_fetch_add(&ball, 1);
		wake_up_all(&ball_wait);
	}
	finish_one();
}

static struct mutex mutex;
static u64 counter;

static void count_under_mutex(void *arg)
{
	(void)arg;
	for (u32 i = 0; i < 20000; i++) {
		mutex_lock(&mutex);
		WRITE_ONCE(counter, READ_ONCE(counter) + 1);
		if (i % 64 == 0)
			sched_yield_current();
		mutex_unlock(&mutex);
	}
	finish_one();
}

static struct rwsem rwsem;
static u64 pair[2];

static void read_and_write(void *arg)
{
	for (u32 i = 0; i < 20000; i++) {
		if ((i + (u64)arg) % 8 == 0) {
			down_write(&rwsem);
			WRITE_ONCE(pair[0], pair[0] + 1);
			if (i % 128 == 0)
				sched_yield_current();
			WRITE_ONCE(pair[1], pair[1] + 1);
			if (i % 256 == 0) {
				downgrade_write(&rwsem);
				up_read(&rwsem);
			} else {
				up_write(&rwsem);
			}
		} else {
			down_read(&rwsem);
			BUG_ON(READ_ONCE(pair[0]) != READ_ONCE(pair[1]));
			up_read(&rwsem);
		}
	}
	finish_one();
}

static void sleep_often(void *arg)
{
	for (u32 i = 0; i < 20; i++) {
		u64 deadline = clock_mono_ns() + (1 + ((u64)arg + i) % 5) * NSEC_PER_MSEC;

		set_current_state(TASK_UNINTERRUPTIBLE);
		BUG_ON(!schedule_until(deadline));
		BUG_ON(clock_mono_ns() < deadline);
	}
	finish_one();
}

static struct waitq one_by_one;
static _Atomic s32 tokens;

static bool take_token(void)
{
	s32 n = atomic_load(&tokens);

	while (n > 0)
		if (atomic_compare_exchange_weak(&tokens, &n, n - 1))
			return true;
	return false;
}

static void exclusive_waiter(void *arg)
{
	struct waiter w = { .exclusive = true };

	(void)arg;
	list_init(&w.node);
	for (;;) {
		prepare_to_wait(&one_by_one, &w, TASK_UNINTERRUPTIBLE);
		if (take_token())
			break;
		schedule();
	}
	finish_wait(&one_by_one, &w);
	atomic_fetch_add(&tokens, 1);
	wake_up(&one_by_one);
	finish_one();
}

static void short_lived(void *arg)
{
	(void)arg;
	finish_one();
}

static void all_checks(void *unused)
{
	(void)unused;
	waitq_init(&done_wait);
	waitq_init(&ball_wait);
	waitq_init(&one_by_one);
	mutex_init(&mutex);
	rwsem_init(&rwsem);
	run("ping-pong", ping_pong, 2);
	run("mutex", count_under_mutex, 16);
	BUG_ON(counter != 16 * 20000);
	run("rwsem", read_and_write, 16);
	run("sleep", sleep_often, 50);
	atomic_store(&tokens, 1);
	run("exclusive wake-ups", exclusive_waiter, 1000);
	for (u32 i = 0; i < 20; i++)
		run("short-lived tasks", short_lived, 500);
	exit(0);
}

/* ---- vCPUs on sentry stacks ---- */

static _Atomic bool ready;
static __thread u32 boot_cpu;

static void vcpu_main(void)
{
	u32 cpu = boot_cpu;

	if (cpu == 0) {
		sched_init(VCPUS);
		sched_boot_cpu(0);
		kthread_create(all_checks, NULL, "checks");
		atomic_store(&ready, true);
	} else {
		while (!atomic_load(&ready))
			sched_yield();
		sched_boot_cpu(cpu);
	}
	sched_idle_loop();
}

static void *vcpu_thread(void *arg)
{
	u64 *sp = (u64 *)KSTACK_TOP(kstack_alloc()), save;

	boot_cpu = (u32)(u64)arg;
	*--sp = 0;
	*--sp = (u64)vcpu_main;
	sp -= 6;
	memset(sp, 0, 48);
	switch_context(&save, (u64)sp);
	return NULL;
}

int main(void)
{
	pthread_condattr_t attr;

	direct_map = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	platform = &fake_platform;
	make_clock();
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	for (u64 i = 0; i < VCPUS; i++) {
		pthread_mutex_init(&vcpus[i].lock, NULL);
		pthread_cond_init(&vcpus[i].cond, &attr);
	}
	for (u64 i = 0; i < VCPUS; i++)
		pthread_create(&vcpus[i].thread, NULL, vcpu_thread, (void *)i);
	pthread_join(vcpus[0].thread, NULL);
	return 1;
}
