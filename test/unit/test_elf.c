/* The ELF decoder against a real header and a million broken ones: it answers, and what it accepts is within bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "platform/platform.h"
#include "sentry/kernel/exec.h"

#define MUTATIONS 1000000u

static u8 good[4096];
static size_t good_len;

static void read_self(void)
{
	FILE *f = fopen("/proc/self/exe", "r");

	assert_non_null(f);
	good_len = fread(good, 1, sizeof(good), f);
	fclose(f);
}

static int parse(const u8 *buf, size_t len, struct elf_image *img)
{
	int err = elf_parse_header(buf, len, img);

	if (err)
		return err;
	if (img->phoff >= len)
		return elf_parse_phdrs(buf, 0, img);
	return elf_parse_phdrs(buf + img->phoff, len - img->phoff, img);
}

static void check_bounds(const struct elf_image *img)
{
	assert_in_range(img->nsegs, 1, ELF_SEGMENTS_MAX);
	assert_true(img->hi >= img->lo && img->hi <= PAGE_ALIGN_UP(USER_MAX));
	assert_int_equal(img->align & (img->align - 1), 0);
	for (u32 i = 0; i < img->nsegs; i++) {
		const struct elf_segment *s = &img->seg[i];

		assert_true(s->filesz <= s->memsz);
		assert_true(s->vaddr >= img->lo && s->vaddr + s->memsz <= img->hi);
		assert_true(s->offset + s->filesz >= s->offset);
	}
}

static void own_header_is_accepted(void **state)
{
	struct elf_image img;

	(void)state;
	read_self();
	assert_int_equal(parse(good, good_len, &img), 0);
	check_bounds(&img);
}

static void truncated_headers_are_refused(void **state)
{
	struct elf_image img;

	(void)state;
	read_self();
	for (size_t n = 0; n < 64 + 56; n++)
		assert_int_not_equal(parse(good, n, &img), 0);
}

static u64 next_random(u64 *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static void mutated_headers_stay_in_bounds(void **state)
{
	static const u64 edges[] = { 0, 1, ~0ull, 1ull << 63, USER_MAX, PAGE_SIZE, 0x7fffffff, 0xffff };
	u64 seed = 88172645463325252ull;
	u32 accepted = 0;

	(void)state;
	read_self();
	for (u32 i = 0; i < MUTATIONS; i++) {
		struct elf_image img;
		u8 buf[1024];

		memcpy(buf, good, sizeof(buf));
		for (u32 n = 1 + next_random(&seed) % 4; n; n--) {
			u64 r = next_random(&seed), at = r % (sizeof(buf) - 8);

			if (r >> 60 < 8)
				buf[at] = (u8)(r >> 40);
			else
				memcpy(buf + (at & ~7ul), &edges[(r >> 50) % ARRAY_SIZE(edges)], 8);
		}
		if (!parse(buf, 64 + next_random(&seed) % (sizeof(buf) - 64), &img)) {
			accepted++;
			check_bounds(&img);
		}
	}
	assert_true(accepted > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_header_is_accepted),
		cmocka_unit_test(truncated_headers_are_refused),
		cmocka_unit_test(mutated_headers_stay_in_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
