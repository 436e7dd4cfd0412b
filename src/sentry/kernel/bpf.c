#include "sentry/kernel/bpf.h"

#include <linux/filter.h>

/* The instructions that read the input, and BPF_MOD, differ by what it is. words 0: a packet. */
static bool valid_insn(const struct sock_filter *f, u32 at, u32 len, u32 words)
{
	u32 left = len - at - 1;

	switch (f->code) {
	case BPF_LD | BPF_W | BPF_ABS:
		return !words || (f->k % 4 == 0 && f->k < words * 4);
	case BPF_LD | BPF_H | BPF_ABS:
	case BPF_LD | BPF_B | BPF_ABS:
	case BPF_LD | BPF_W | BPF_IND:
	case BPF_LD | BPF_H | BPF_IND:
	case BPF_LD | BPF_B | BPF_IND:
	case BPF_LDX | BPF_B | BPF_MSH:
		return !words;
	case BPF_LD | BPF_W | BPF_LEN:
	case BPF_LDX | BPF_W | BPF_LEN:
	case BPF_LD | BPF_IMM:
	case BPF_LDX | BPF_IMM:
	case BPF_MISC | BPF_TAX:
	case BPF_MISC | BPF_TXA:
	case BPF_RET | BPF_K:
	case BPF_RET | BPF_A:
	case BPF_ALU | BPF_NEG:
		return true;
	case BPF_LD | BPF_MEM:
	case BPF_LDX | BPF_MEM:
	case BPF_ST:
	case BPF_STX:
		return f->k < BPF_MEMWORDS;
	case BPF_JMP | BPF_JA:
		return f->k < left;
	default:
		break;
	}
	if (BPF_CLASS(f->code) == BPF_JMP && f->code <= (BPF_JMP | BPF_JSET | BPF_X) && (f->code & 0xf0) >= BPF_JEQ)
		return f->jt < left && f->jf < left;
	if (BPF_CLASS(f->code) != BPF_ALU || (f->code & 0xf0) > BPF_XOR || (f->code & 0xf0) == BPF_NEG ||
	    ((f->code & 0xf0) == BPF_MOD && words) || f->code & ~0xff)
		return false;
	if (BPF_SRC(f->code) == BPF_X)
		return true;
	if (BPF_OP(f->code) == BPF_DIV || BPF_OP(f->code) == BPF_MOD)
		return f->k != 0;
	return (BPF_OP(f->code) != BPF_LSH && BPF_OP(f->code) != BPF_RSH) || f->k < 32;
}

bool bpf_valid(const struct sock_filter *prog, u32 len, u32 words)
{
	if (!len || len > BPF_MAXINSNS || BPF_CLASS(prog[len - 1].code) != BPF_RET)
		return false;
	for (u32 i = 0; i < len; i++)
		if (!valid_insn(&prog[i], i, len, words))
			return false;
	return true;
}

bool bpf_jump_taken(u16 op, u32 a, u32 b)
{
	switch (op) {
	case BPF_JEQ: return a == b;
	case BPF_JGT: return a > b;
	case BPF_JGE: return a >= b;
	default: return a & b;
	}
}

bool bpf_alu(u16 op, u32 *a, u32 b)
{
	switch (op) {
	case BPF_ADD: *a += b; break;
	case BPF_SUB: *a -= b; break;
	case BPF_MUL: *a *= b; break;
	case BPF_DIV:
		if (!b)
			return false;
		*a /= b;
		break;
	case BPF_MOD:
		if (!b)
			return false;
		*a %= b;
		break;
	case BPF_OR: *a |= b; break;
	case BPF_AND: *a &= b; break;
	case BPF_XOR: *a ^= b; break;
	case BPF_LSH: *a <<= b & 31; break;
	case BPF_RSH: *a >>= b & 31; break;
	default: *a = -*a; break;
	}
	return true;
}

u32 bpf_run(const struct sock_filter *prog, const u32 *data, u32 words)
{
	u32 mem[BPF_MEMWORDS] = { 0 }, a = 0, x = 0;

	for (const struct sock_filter *f = prog;; f++) {
		u32 operand = BPF_SRC(f->code) == BPF_X ? x : f->k;

		switch (BPF_CLASS(f->code)) {
		case BPF_RET:
			return BPF_RVAL(f->code) == BPF_A ? a : f->k;
		case BPF_LD:
			a = BPF_MODE(f->code) == BPF_ABS   ? data[f->k / 4]
			    : BPF_MODE(f->code) == BPF_LEN ? words * 4
			    : BPF_MODE(f->code) == BPF_MEM ? mem[f->k]
							   : f->k;
			break;
		case BPF_LDX:
			x = BPF_MODE(f->code) == BPF_LEN ? words * 4 : BPF_MODE(f->code) == BPF_MEM ? mem[f->k] : f->k;
			break;
		case BPF_ST:
			mem[f->k] = a;
			break;
		case BPF_STX:
			mem[f->k] = x;
			break;
		case BPF_JMP:
			if (BPF_OP(f->code) == BPF_JA)
				f += f->k;
			else
				f += bpf_jump_taken(BPF_OP(f->code), a, operand) ? f->jt : f->jf;
			break;
		case BPF_MISC:
			if (BPF_MISCOP(f->code) == BPF_TAX)
				x = a;
			else
				a = x;
			break;
		default:
			if (!bpf_alu(BPF_OP(f->code), &a, operand))
				return 0;
		}
	}
}
