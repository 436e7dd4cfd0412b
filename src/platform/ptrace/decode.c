/*
 * Does an instruction write to the address it faulted on? Needed because ptrace(2) hides the page-fault error code.
 * WRITE is said only when sure: the sentry acts on it. Intel SDM 2, appendix A (opcode maps).
 */
#include "platform/ptrace/internal.h"

#define STACK_SLACK 64u /* a push, call or enter reaches this far below rsp */

struct insn {
	const u8 *p, *end;
	u32 map;    /* 0: one-byte opcodes, 1: 0f, 2: 0f 38, 3: 0f 3a */
	u8 op;
	u8 prefix;  /* mandatory prefix: 0, 66, f2, f3 */
	bool vector; /* VEX or EVEX */
	bool evex;
};

static int next(struct insn *in)
{
	return in->p < in->end ? *in->p++ : -1;
}

static bool is_legacy_prefix(u8 b)
{
	return b == 0x66 || b == 0x67 || b == 0xf0 || b == 0xf2 || b == 0xf3 || b == 0x2e || b == 0x36 || b == 0x3e ||
	       b == 0x26 || b == 0x64 || b == 0x65;
}

static bool set_vector(struct insn *in, u32 map, u8 pp)
{
	static const u8 prefixes[4] = { 0, 0x66, 0xf3, 0xf2 };
	int op = next(in);

	in->vector = true;
	in->map = map;
	in->prefix = prefixes[pp & 3];
	in->op = (u8)op;
	return op >= 0;
}

/* VEX: c5 RvvvvLpp, c4 RXBmmmmm WvvvvLpp; EVEX: 62 RXBR0mmm Wvvvv1pp zLLbVaaa. */
static bool parse_vector(struct insn *in, u8 lead)
{
	int b1 = next(in), b2;

	if (b1 < 0)
		return false;
	if (lead == 0xc5)
		return set_vector(in, 1, (u8)b1);
	b2 = next(in);
	if (b2 < 0)
		return false;
	if (lead == 0x62) {
		in->evex = true;
		if (next(in) < 0)
			return false;
		return set_vector(in, b1 & 7, (u8)b2);
	}
	return set_vector(in, b1 & 31, (u8)b2);
}

/* Up to and including the opcode. */
static bool parse_opcode(struct insn *in)
{
	int b = next(in);

	while (b >= 0 && is_legacy_prefix((u8)b)) {
		if (b == 0x66 && !in->prefix)
			in->prefix = 0x66;
		else if (b == 0xf2 || b == 0xf3)
			in->prefix = (u8)b;
		b = next(in);
	}
	if (b == 0xc4 || b == 0xc5 || b == 0x62)
		return parse_vector(in, (u8)b);
	if (b >= 0x40 && b <= 0x4f) /* REX */
		b = next(in);
	if (b == 0x0f) {
		in->map = 1;
		b = next(in);
		if (b == 0x38 || b == 0x3a) {
			in->map = b == 0x38 ? 2 : 3;
			b = next(in);
		}
	}
	in->op = (u8)b;
	return b >= 0;
}

static enum access write_if(bool yes)
{
	return yes ? ACCESS_WRITE : ACCESS_READ;
}

static bool near(u64 addr, u64 base, u64 below, u64 above)
{
	return addr - (base - below) < below + above;
}

/* Is addr where a push would write? Not when it may as well be the instruction's own operand. */
static enum access stack_write(const struct user_regs *regs, u64 addr)
{
	return near(addr, regs->rsp, STACK_SLACK, 0) ? ACCESS_WRITE : ACCESS_UNSURE;
}

/* Opcodes whose ModRM operand is memory; reg is the ModRM reg field. */
static enum access one_byte_modrm(u8 op, u8 reg, const struct user_regs *regs, u64 addr)
{
	if (op < 0x40) /* add or adc sbb and sub xor cmp: Eb,Gb and Ev,Gv write but for cmp */
		return write_if((op & 7) < 2 && (op & 0x38) != 0x38);
	switch (op) {
	case 0x80: case 0x81: case 0x83: /* group 1 */
		return write_if(reg != 7);
	case 0x86: case 0x87: /* xchg */
	case 0x88: case 0x89: case 0x8c: /* mov */
	case 0xc6: case 0xc7:
	case 0xc0: case 0xc1: case 0xd0: case 0xd1: case 0xd2: case 0xd3: /* shifts */
		return ACCESS_WRITE;
	case 0x8f: /* pop: reads the stack, writes the operand */
		return near(addr, regs->rsp, 0, 8) ? ACCESS_UNSURE : ACCESS_WRITE;
	case 0xf6: case 0xf7: /* test, not, neg, mul ... */
		return write_if(reg == 2 || reg == 3);
	case 0xfe:
		return write_if(reg < 2);
	case 0xff: /* inc, dec, call, callf, jmp, jmpf, push */
		if (reg < 2)
			return ACCESS_WRITE;
		return reg == 2 || reg == 3 || reg == 6 ? stack_write(regs, addr) : ACCESS_READ;
	case 0xd9: /* fst, fstp, fnstenv, fnstcw */
		return write_if(reg == 2 || reg == 3 || reg >= 6);
	case 0xdb: /* fisttp, fist, fistp, fstp m80 */
		return write_if(reg == 1 || reg == 2 || reg == 3 || reg == 7);
	case 0xdd: /* fisttp, fst, fstp, fnsave, fnstsw */
		return write_if(reg == 1 || reg == 2 || reg == 3 || reg >= 6);
	case 0xdf: /* fisttp, fist, fistp, fbstp, fistp m64 */
		return write_if(reg == 1 || reg == 2 || reg == 3 || reg >= 6);
	}
	return ACCESS_UNSURE;
}

static enum access two_byte_modrm(const struct insn *in, u8 reg)
{
	u8 op = in->op;

	if (op >= 0x90 && op <= 0x9f && !in->vector) /* setcc */
		return ACCESS_WRITE;
	switch (op) {
	case 0x11: case 0x13: case 0x17: case 0x29: case 0x2b: /* movups, movlps, movhps, movaps, movntps and kin */
	case 0x7f: /* movdqa, movdqu, movq */
	case 0xe7: /* movntq, movntdq */
	case 0xd6: /* movq */
		return ACCESS_WRITE;
	case 0x7e: /* movd, movq to memory; f3: a load */
		return write_if(in->prefix != 0xf3);
	case 0xc3: /* movnti */
		return in->vector ? ACCESS_UNSURE : ACCESS_WRITE;
	}
	if (in->vector)
		return op == 0x91 ? ACCESS_WRITE : ACCESS_UNSURE; /* kmov to memory */
	switch (op) {
	case 0xa4: case 0xa5: case 0xac: case 0xad: /* shld, shrd */
	case 0xab: case 0xb3: case 0xbb:	    /* bts, btr, btc */
	case 0xb0: case 0xb1: case 0xc0: case 0xc1: /* cmpxchg, xadd */
		return ACCESS_WRITE;
	case 0xba:
		return write_if(reg >= 5);
	case 0xc7: /* cmpxchg8b/16b; xsavec, xsaves */
		return write_if(reg == 1 || reg == 4 || reg == 5);
	case 0xae: /* fxsave, stmxcsr, xsave, xsaveopt */
		return write_if(reg == 0 || reg == 3 || reg == 4 || (reg == 6 && !in->prefix));
	}
	return ACCESS_UNSURE;
}

static enum access three_byte_modrm(const struct insn *in)
{
	if (in->map == 3) /* pextr, extractps, vextract */
		return write_if((in->op >= 0x14 && in->op <= 0x17) || (in->vector && (in->op == 0x19 || in->op == 0x39 ||
										      in->op == 0x1b || in->op == 0x3b ||
										      in->op == 0x1d)));
	if (in->evex) /* vpmov down-conversions have f3; compress and scatter */
		return write_if((in->prefix == 0xf3 && in->op >= 0x10 && in->op <= 0x35 && (in->op & 0xf) < 6) ||
				in->op == 0x8a || in->op == 0x8b || (in->op == 0x63 && in->prefix == 0x66) ||
				(in->op >= 0xa0 && in->op <= 0xa3));
	if (in->vector) /* vmaskmov, vpmaskmov stores */
		return write_if(in->op == 0x2e || in->op == 0x2f || in->op == 0x8e);
	return write_if(in->op == 0xf1 && in->prefix != 0xf2); /* movbe; f2: crc32 */
}

static enum access without_modrm(u8 op, const struct user_regs *regs, u64 addr)
{
	switch (op) {
	case 0xaa: case 0xab: /* stos */
	case 0x6c: case 0x6d: /* ins */
	case 0xa2: case 0xa3: /* mov to an absolute address */
		return ACCESS_WRITE;
	case 0xa4: case 0xa5: /* movs: which of the two? */
		if (near(addr, regs->rsi, 8, PAGE_SIZE))
			return near(addr, regs->rdi, 0, 8) && !near(addr, regs->rsi, 0, 8) ? ACCESS_WRITE : ACCESS_UNSURE;
		return near(addr, regs->rdi, 8, PAGE_SIZE) ? ACCESS_WRITE : ACCESS_UNSURE;
	case 0xe8: case 0x68: case 0x6a: case 0x9c: case 0xc8: /* call, push, pushf, enter */
		return stack_write(regs, addr);
	}
	if (op >= 0x50 && op <= 0x57)
		return stack_write(regs, addr);
	return ACCESS_UNSURE;
}

static bool has_modrm(const struct insn *in)
{
	u8 op = in->op;

	if (in->map)
		return true;
	if (op < 0x40)
		return (op & 7) < 4;
	return (op >= 0x80 && op <= 0x8f) || op == 0xc0 || op == 0xc1 || op == 0xc6 || op == 0xc7 ||
	       (op >= 0xd0 && op <= 0xd3) || (op >= 0xd8 && op <= 0xdf) || op == 0xf6 || op == 0xf7 || op == 0xfe ||
	       op == 0xff;
}

enum access decode_access(const u8 *code, size_t len, const struct user_regs *regs, u64 addr)
{
	struct insn in = { .p = code, .end = code + len };
	u8 reg;
	int modrm;

	if (!parse_opcode(&in))
		return ACCESS_UNSURE;
	if (!has_modrm(&in))
		return without_modrm(in.op, regs, addr);
	modrm = next(&in);
	if (modrm < 0 || modrm >> 6 == 3)
		return in.map == 1 && in.op == 0xf7 ? ACCESS_WRITE : ACCESS_UNSURE; /* maskmovdqu writes at rdi */
	reg = (u8)modrm >> 3 & 7;
	if (in.map == 0)
		return one_byte_modrm(in.op, reg, regs, addr);
	if (in.map == 1)
		return two_byte_modrm(&in, reg);
	return in.map <= 3 ? three_byte_modrm(&in) : ACCESS_UNSURE;
}
