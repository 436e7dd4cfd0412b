/*
 * Random bytes: ChaCha20 (RFC 8439) with fast key erasure: the first half block of each keystream becomes the next key, so what
 * was given out cannot be computed back. Seeded once by the host side, which has the kernel's generator.
 */
#include <linux/errno.h>
#include <linux/random.h>

#include "base/lock.h"
#include "base/string.h"
#include "hostcall.h"
#include "sentry/kernel/boot.h"
#include "sentry/kernel/random.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/sys/syscall.h"

static spinlock_t lock = SPINLOCK_INIT;
static u32 key[8];
static u64 counter;

static u32 rotl(u32 v, u32 n)
{
	return v << n | v >> (32 - n);
}

static void quarter(u32 *x, u32 a, u32 b, u32 c, u32 d)
{
	x[a] += x[b], x[d] = rotl(x[d] ^ x[a], 16);
	x[c] += x[d], x[b] = rotl(x[b] ^ x[c], 12);
	x[a] += x[b], x[d] = rotl(x[d] ^ x[a], 8);
	x[c] += x[d], x[b] = rotl(x[b] ^ x[c], 7);
}

static void chacha_block(const u32 k[8], u64 block, u64 nonce, u32 out[16])
{
	u32 in[16] = { 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574, k[0],	   k[1],	       k[2],	   k[3],
		       k[4],	   k[5],       k[6],	   k[7],       (u32)block, (u32)(block >> 32), (u32)nonce, (u32)(nonce >> 32) };

	memcpy(out, in, sizeof(in));
	for (u32 i = 0; i < 10; i++) {
		quarter(out, 0, 4, 8, 12);
		quarter(out, 1, 5, 9, 13);
		quarter(out, 2, 6, 10, 14);
		quarter(out, 3, 7, 11, 15);
		quarter(out, 0, 5, 10, 15);
		quarter(out, 1, 6, 11, 12);
		quarter(out, 2, 7, 8, 13);
		quarter(out, 3, 4, 9, 14);
	}
	for (u32 i = 0; i < 16; i++)
		out[i] += in[i];
}

/* A key for one caller's bytes; the generator's own moves on. */
static void take_key(u32 out[8])
{
	u32 block[16];

	spin_lock(&lock);
	chacha_block(key, 0, ++counter, block);
	memcpy(key, block, sizeof(key));
	spin_unlock(&lock);
	memcpy(out, block + 8, 32);
}

void random_init(void)
{
	u32 seed[16];

	memcpy(seed, boot_params->random, sizeof(seed));
	for (u32 i = 0; i < 8; i++)
		key[i] = seed[i] ^ seed[i + 8];
}

void random_bytes(void *buf, size_t n)
{
	u32 k[8], block[16];
	u8 *out = buf;

	take_key(k);
	if (n <= sizeof(k)) {
		memcpy(buf, k, n);
		return;
	}
	for (u64 i = 0; n; i++) {
		size_t part = MIN(n, sizeof(block));

		chacha_block(k, i, 0, block);
		memcpy(out, block, part);
		out += part;
		n -= part;
	}
}

u64 random_u64(void)
{
	u64 v;

	random_bytes(&v, sizeof(v));
	return v;
}

SYSCALL3(getrandom, u64, ubuf, u64, n, u32, flags)
{
	u8 chunk[256];
	u64 done = 0;

	if (flags & ~(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE))
		return -EINVAL;
	if ((flags & (GRND_RANDOM | GRND_INSECURE)) == (GRND_RANDOM | GRND_INSECURE))
		return -EINVAL;
	n = MIN(n, (u64)INT32_MAX);
	while (done < n) {
		size_t part = MIN(n - done, sizeof(chunk));

		random_bytes(chunk, part);
		if (copy_to_user(ubuf + done, chunk, part))
			return done ? (long)done : -EFAULT;
		done += part;
		if (signal_pending() && done < n && done >= 4096)
			break;
	}
	return (long)done;
}
