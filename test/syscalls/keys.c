/* keyrings(7), add_key(2), request_key(2), keyctl(2). */
#include <errno.h>
#include <linux/keyctl.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define BAD 8l
#define SESSION KEY_SPEC_SESSION_KEYRING
#define THREAD KEY_SPEC_THREAD_KEYRING

static long add(const char *type, const char *desc, const void *payload, size_t len, int ring)
{
	return syscall(SYS_add_key, type, desc, payload, len, ring);
}

static long ctl(int op, long a, long b, long c, long d)
{
	return syscall(SYS_keyctl, op, a, b, c, d);
}

static void rings(void)
{
	long s, t, p;
	char text[128];

	FAILS(ctl(KEYCTL_GET_KEYRING_ID, THREAD, 0, 0, 0), ENOKEY);
	FAILS(ctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 0, 0, 0), ENOKEY);
	t = ctl(KEYCTL_GET_KEYRING_ID, THREAD, 1, 0, 0);
	p = ctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 1, 0, 0);
	CHECK(t > 0 && p > 0 && t != p);
	EQ(ctl(KEYCTL_GET_KEYRING_ID, THREAD, 0, 0, 0), t);
	EQ(ctl(KEYCTL_GET_KEYRING_ID, t, 0, 0, 0), t);
	s = ctl(KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0);
	CHECK(s > 0);
	EQ(ctl(KEYCTL_GET_KEYRING_ID, SESSION, 0, 0, 0), s);
	CHECK(ctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 0, 0, 0) > 0);
	CHECK(ctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_SESSION_KEYRING, 0, 0, 0) > 0);
	FAILS(ctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_GROUP_KEYRING, 0, 0, 0), EINVAL);
	FAILS(ctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_REQKEY_AUTH_KEY, 0, 0, 0), ENOKEY);
	FAILS(ctl(KEYCTL_GET_KEYRING_ID, 0, 0, 0, 0), EINVAL);
	FAILS(ctl(KEYCTL_GET_KEYRING_ID, -99, 0, 0, 0), EINVAL);
	EQ(ctl(KEYCTL_DESCRIBE, THREAD, (long)text, sizeof(text), 0), 26);
	EQ(strcmp(text, "keyring;0;0;3f010000;_tid"), 0);
	EQ(ctl(KEYCTL_DESCRIBE, THREAD, 0, 0, 0), 26);
	EQ(ctl(KEYCTL_DESCRIBE, SESSION, (long)text, sizeof(text), 0), 26);
	EQ(strcmp(text, "keyring;0;0;3f030000;_ses"), 0);
	FAILS(ctl(KEYCTL_DESCRIBE, THREAD, BAD, 100, 0), EFAULT);
	FAILS(ctl(9999, 0, 0, 0, 0), EOPNOTSUPP);
}

static void adding(void)
{
	char buf[64] = { 0 };
	long k, j;

	EQ(ctl(KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0) > 0, 1);
	k = add("user", "name", "secret", 6, SESSION);
	CHECK(k > 0);
	EQ(ctl(KEYCTL_READ, k, (long)buf, sizeof(buf), 0), 6);
	EQ(memcmp(buf, "secret", 6), 0);
	EQ(ctl(KEYCTL_READ, k, 0, 0, 0), 6);
	EQ(add("user", "name", "other", 5, SESSION), k); /* an update */
	EQ(ctl(KEYCTL_READ, k, (long)buf, sizeof(buf), 0), 5);
	EQ(ctl(KEYCTL_UPDATE, k, (long)"third", 5, 0), 0);
	EQ(ctl(KEYCTL_READ, k, (long)buf, sizeof(buf), 0), 5);
	EQ(memcmp(buf, "third", 5), 0);
	EQ(ctl(KEYCTL_DESCRIBE, k, (long)buf, sizeof(buf), 0), 23);
	EQ(strcmp(buf, "user;0;0;3f010000;name"), 0);
	j = add("logon", "a:b", "x", 1, SESSION);
	CHECK(j > 0);
	FAILS(ctl(KEYCTL_READ, j, (long)buf, sizeof(buf), 0), EOPNOTSUPP);
	FAILS(add("logon", "ab", "x", 1, SESSION), EINVAL);
	FAILS(add("logon", ":b", "x", 1, SESSION), EINVAL);
	FAILS(add("user", "name", "", 0, SESSION), EINVAL);
	FAILS(add("user", "", "x", 1, SESSION), EINVAL);
	FAILS(add("nonsense", "name", "x", 1, SESSION), ENODEV);
	FAILS(add(".user", "name", "x", 1, SESSION), EPERM);
	FAILS(add("", "name", "x", 1, SESSION), EINVAL);
	FAILS(add("keyring", ".name", NULL, 0, SESSION), EPERM);
	FAILS(add("keyring", "name", "x", 1, SESSION), EINVAL);
	FAILS(add("user", "name", "x", 1 << 20, SESSION), EINVAL);
	FAILS(add((char *)BAD, "name", "x", 1, SESSION), EFAULT);
	FAILS(add("user", (char *)BAD, "x", 1, SESSION), EFAULT);
	FAILS(add("user", "name", (char *)BAD, 1, SESSION), EFAULT);
	FAILS(add("user", "name", "x", 1, k), ENOTDIR);
	FAILS(add("user", "name", "x", 1, 0x3ffffff1), ENOKEY);
	FAILS(ctl(KEYCTL_UPDATE, SESSION, (long)"x", 1, 0), EOPNOTSUPP);
	FAILS(ctl(KEYCTL_UPDATE, k, BAD, 1, 0), EFAULT);
}

static void searching(void)
{
	long s = ctl(KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0), ring, k;
	int32_t list[8];

	ring = add("keyring", "inner", NULL, 0, SESSION);
	CHECK(ring > 0);
	k = add("user", "deep", "x", 1, (int)ring);
	CHECK(k > 0);
	EQ(ctl(KEYCTL_SEARCH, s, (long)"user", (long)"deep", 0), k);
	EQ(ctl(KEYCTL_SEARCH, SESSION, (long)"keyring", (long)"inner", 0), ring);
	FAILS(ctl(KEYCTL_SEARCH, SESSION, (long)"user", (long)"none", 0), ENOKEY);
	FAILS(ctl(KEYCTL_SEARCH, k, (long)"user", (long)"none", 0), ENOTDIR);
	EQ(syscall(SYS_request_key, "user", "deep", NULL, 0), k);
	FAILS(syscall(SYS_request_key, "user", "none", NULL, 0), ENOKEY);
	FAILS(syscall(SYS_request_key, "user", (char *)BAD, NULL, 0), EFAULT);
	FAILS(syscall(SYS_request_key, (char *)BAD, "x", NULL, 0), EFAULT);
	FAILS(syscall(SYS_request_key, ".x", "x", NULL, 0), EPERM);
	EQ(ctl(KEYCTL_READ, SESSION, (long)list, sizeof(list), 0), 4);
	EQ(list[0], ring);
	EQ(ctl(KEYCTL_LINK, k, SESSION, 0, 0), 0);
	EQ(ctl(KEYCTL_LINK, k, SESSION, 0, 0), 0);
	EQ(ctl(KEYCTL_READ, SESSION, (long)list, sizeof(list), 0), 8);
	EQ(ctl(KEYCTL_UNLINK, k, SESSION, 0, 0), 0);
	FAILS(ctl(KEYCTL_UNLINK, k, SESSION, 0, 0), ENOENT);
	FAILS(ctl(KEYCTL_UNLINK, k, k, 0, 0), ENOTDIR);
	FAILS(ctl(KEYCTL_LINK, s, ring, 0, 0), EDEADLK); /* a ring in itself */
	EQ(ctl(KEYCTL_MOVE, k, ring, SESSION, 0), 0);
	EQ(ctl(KEYCTL_READ, ring, 0, 0, 0), 0);
	EQ(ctl(KEYCTL_CLEAR, SESSION, 0, 0, 0), 0);
	EQ(ctl(KEYCTL_READ, SESSION, 0, 0, 0), 0);
	FAILS(ctl(KEYCTL_CLEAR, 0, 0, 0, 0), EINVAL);
}

static void rights(void)
{
	char buf[64];
	long k;

	CHECK(ctl(KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0) > 0);
	k = add("user", "mine", "x", 1, SESSION);
	FAILS(ctl(KEYCTL_SETPERM, k, 0x40, 0, 0), EINVAL);
	EQ(ctl(KEYCTL_SETPERM, k, 0x3f3f0000 & ~0x02020000 & ~0x08080000, 0, 0), 0);
	FAILS(ctl(KEYCTL_READ, k, (long)buf, sizeof(buf), 0), EACCES);
	FAILS(ctl(KEYCTL_SEARCH, SESSION, (long)"user", (long)"mine", 0), EACCES);
	EQ(ctl(KEYCTL_SETPERM, k, 0x3f3f0000 & ~0x01010000, 0, 0), 0);
	FAILS(ctl(KEYCTL_DESCRIBE, k, 0, 0, 0), EACCES);
	EQ(ctl(KEYCTL_SETPERM, k, 0x3f3f0000 & ~0x04040000, 0, 0), 0);
	FAILS(ctl(KEYCTL_UPDATE, k, (long)"y", 1, 0), EACCES);
	FAILS(add("user", "mine", "y", 1, SESSION), EACCES);
	EQ(ctl(KEYCTL_SETPERM, k, 0x1f1f0000, 0, 0), 0);
	FAILS(ctl(KEYCTL_SETPERM, k, 0x3f3f0000, 0, 0), EACCES); /* it was the last right to do so */
	FAILS(ctl(KEYCTL_SET_TIMEOUT, k, 10, 0, 0), EACCES);
	k = add("user", "owned", "x", 1, SESSION);
	EQ(ctl(KEYCTL_CHOWN, k, 1234, 4321, 0), 0);
	EQ(ctl(KEYCTL_DESCRIBE, k, (long)buf, sizeof(buf), 0), 30);
	EQ(strcmp(buf, "user;1234;4321;3f010000;owned"), 0);
	EQ(ctl(KEYCTL_GET_SECURITY, SESSION, (long)buf, sizeof(buf), 0) > 0, 1);
}

static void ends(void)
{
	char buf[8];
	long k, j;

	CHECK(ctl(KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0) > 0);
	k = add("user", "a", "x", 1, SESSION);
	EQ(ctl(KEYCTL_REVOKE, k, 0, 0, 0), 0);
	FAILS(ctl(KEYCTL_READ, k, (long)buf, sizeof(buf), 0), EKEYREVOKED);
	FAILS(ctl(KEYCTL_SEARCH, SESSION, (long)"user", (long)"a", 0), EKEYREVOKED);
	FAILS(ctl(KEYCTL_UPDATE, k, (long)"x", 1, 0), EKEYREVOKED);
	j = add("user", "a", "x", 1, SESSION); /* another in its place */
	CHECK(j > 0 && j != k);
	EQ(ctl(KEYCTL_SET_TIMEOUT, j, 1, 0, 0), 0);
	EQ(ctl(KEYCTL_SET_TIMEOUT, j, 0, 0, 0), 0);
	EQ(ctl(KEYCTL_SET_TIMEOUT, j, 1, 0, 0), 0);
	usleep(1100000);
	FAILS(ctl(KEYCTL_READ, j, (long)buf, sizeof(buf), 0), EKEYEXPIRED);
	FAILS(ctl(KEYCTL_SEARCH, SESSION, (long)"user", (long)"a", 0), EKEYEXPIRED);
}

static void sessions(void)
{
	long s = ctl(KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0), k = add("user", "shared", "x", 1, SESSION), n;
	int status;
	pid_t pid;

	ctl(KEYCTL_GET_KEYRING_ID, THREAD, 1, 0, 0);
	ctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 1, 0, 0);
	pid = fork();
	if (!pid) {
		int bad = ctl(KEYCTL_GET_KEYRING_ID, SESSION, 0, 0, 0) != s; /* inherited, */

		bad |= syscall(SYS_request_key, "user", "shared", NULL, 0) != k;
		bad |= ctl(KEYCTL_GET_KEYRING_ID, THREAD, 0, 0, 0) != -1; /* unlike these */
		bad |= ctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 0, 0, 0) != -1;
		bad |= ctl(KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0) == s;
		bad |= syscall(SYS_request_key, "user", "shared", NULL, 0) != -1;
		_exit(bad);
	}
	EQ(waitpid(pid, &status, 0), pid);
	EQ(status, 0);
	EQ(ctl(KEYCTL_GET_KEYRING_ID, SESSION, 0, 0, 0), s);
	n = ctl(KEYCTL_JOIN_SESSION_KEYRING, (long)"a named one", 0, 0, 0);
	CHECK(n > 0 && n != s);
	FAILS(ctl(KEYCTL_JOIN_SESSION_KEYRING, (long)".x", 0, 0, 0), EPERM);
	FAILS(ctl(KEYCTL_JOIN_SESSION_KEYRING, BAD, 0, 0, 0), EFAULT);
	EQ(ctl(KEYCTL_SET_REQKEY_KEYRING, KEY_REQKEY_DEFL_NO_CHANGE, 0, 0, 0), KEY_REQKEY_DEFL_DEFAULT);
	FAILS(ctl(KEYCTL_SET_REQKEY_KEYRING, 99, 0, 0, 0), EINVAL);
}

/* Many in one ring, in any order. */
static void many(void)
{
	long ring, k[100];
	char name[16];

	CHECK(ctl(KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0) > 0);
	ring = add("keyring", "many", NULL, 0, SESSION);
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "key %d", i);
		k[i] = add("user", name, name, strlen(name), (int)ring);
		CHECK(k[i] > 0);
	}
	EQ(ctl(KEYCTL_READ, ring, 0, 0, 0), 400);
	for (int i = 0; i < 100; i += 3)
		EQ(ctl(KEYCTL_UNLINK, k[i], ring, 0, 0), 0);
	EQ(ctl(KEYCTL_READ, ring, 0, 0, 0), 264);
	EQ(ctl(KEYCTL_SEARCH, ring, (long)"user", (long)"key 50", 0), k[50]);
	FAILS(ctl(KEYCTL_SEARCH, ring, (long)"user", (long)"key 51", 0), ENOKEY);
	EQ(ctl(KEYCTL_CLEAR, ring, 0, 0, 0), 0);
	EQ(ctl(KEYCTL_READ, ring, 0, 0, 0), 0);
}

/* persistent-keyring(7) */
static void persistent(void)
{
	char text[128];
	long p, ring;

	CHECK(ctl(KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0) > 0);
	ring = add("keyring", "dest", NULL, 0, SESSION);
	p = ctl(KEYCTL_GET_PERSISTENT, -1, ring, 0, 0);
	if (p < 0 && errno == EOPNOTSUPP) {
		printf("skip: no persistent keyrings here\n");
		return;
	}
	CHECK(p > 0);
	EQ(ctl(KEYCTL_GET_PERSISTENT, 0, ring, 0, 0), p);
	CHECK(ctl(KEYCTL_DESCRIBE, p, (long)text, sizeof(text), 0) > 0);
	EQ(strcmp(text, "keyring;0;65534;1f030000;_persistent.0"), 0); /* no group */
	EQ(ctl(KEYCTL_READ, ring, 0, 0, 0), 4);
	FAILS(ctl(KEYCTL_GET_PERSISTENT, 0, add("user", "no ring", "x", 1, SESSION), 0, 0), ENOTDIR);
	CHECK(ctl(KEYCTL_GET_PERSISTENT, 1234, ring, 0, 0) != p);
	if (!setresuid(1000, 1000, 1000)) {
		CHECK(ctl(KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0) > 0);
		FAILS(ctl(KEYCTL_GET_PERSISTENT, 0, SESSION, 0, 0), EPERM);
		CHECK(ctl(KEYCTL_GET_PERSISTENT, -1, SESSION, 0, 0) > 0);
	}
}

/* keyctl_restrict_keyring(3) */
static void restricted(void)
{
	long ring, k;

	CHECK(ctl(KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0) > 0);
	ring = add("keyring", "closed", NULL, 0, SESSION);
	k = add("user", "inside", "x", 1, (int)ring);
	CHECK(ring > 0 && k > 0);
	FAILS(ctl(KEYCTL_RESTRICT_KEYRING, ring, 0, (long)"x", 0), EINVAL);
	FAILS(ctl(KEYCTL_RESTRICT_KEYRING, ring, (long)"user", 0, 0), EINVAL);
	FAILS(ctl(KEYCTL_RESTRICT_KEYRING, ring, (long)"user", (long)"x", 0), ENOENT);
	FAILS(ctl(KEYCTL_RESTRICT_KEYRING, ring, (long)"no such type", (long)"x", 0), ENOKEY);
	FAILS(ctl(KEYCTL_RESTRICT_KEYRING, ring, BAD, (long)"x", 0), EFAULT);
	FAILS(ctl(KEYCTL_RESTRICT_KEYRING, k, 0, 0, 0), ENOTDIR);
	EQ(ctl(KEYCTL_RESTRICT_KEYRING, ring, 0, 0, 0), 0);
	FAILS(ctl(KEYCTL_RESTRICT_KEYRING, ring, 0, 0, 0), EEXIST);
	FAILS(add("user", "another", "x", 1, (int)ring), EPERM);
	FAILS(ctl(KEYCTL_LINK, add("user", "third", "x", 1, SESSION), ring, 0, 0), EPERM);
	EQ(ctl(KEYCTL_UNLINK, k, ring, 0, 0), 0);
	EQ(ctl(KEYCTL_READ, ring, 0, 0, 0), 0);
}

/* Nobody was asked to make a key. */
static void authority(void)
{
	EQ(ctl(KEYCTL_ASSUME_AUTHORITY, 0, 0, 0, 0), 0);
	FAILS(ctl(KEYCTL_ASSUME_AUTHORITY, -1, 0, 0, 0), EINVAL);
	FAILS(ctl(KEYCTL_ASSUME_AUTHORITY, 12345678, 0, 0, 0), ENOKEY);
	FAILS(ctl(KEYCTL_INSTANTIATE, 12345678, (long)"x", 1, 0), EPERM);
	FAILS(ctl(KEYCTL_NEGATE, 12345678, 1, 0, 0), EPERM);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (geteuid() || (ctl(KEYCTL_GET_KEYRING_ID, SESSION, 0, 0, 0) < 0 && errno == ENOSYS)) {
		printf("needs root, and a kernel with keys\n");
		return 0;
	}
#define CHILD(test)                                                                     \
	do {                                                                            \
		int before__ = check_failures;                                          \
		in_child(test);                                                         \
		printf("%s %s\n", check_failures == before__ ? "ok" : "FAIL", #test);   \
	} while (0)
	CHILD(rings);
	CHILD(adding);
	CHILD(searching);
	CHILD(rights);
	CHILD(ends);
	CHILD(sessions);
	CHILD(many);
	CHILD(persistent);
	CHILD(restricted);
	CHILD(authority);
	DONE();
}
