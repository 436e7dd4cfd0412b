/* Socket filters: socket(7), SO_ATTACH_FILTER; networking/filter.rst of the Linux documentation has the language. */
#include <linux/filter.h>

#include "base/string.h"
#include "net/ifconf.h"
#include "sentry/kernel/bpf.h"
#include "sentry/kernel/random.h"

/* What is known of a packet besides its bytes. False: not here, and then the packet is dropped. */
static bool load_ancillary(const struct bpf_packet *p, u32 what, u32 *a, u32 x)
{
	switch (what) {
	case SKF_AD_PROTOCOL:
		*a = p->protocol;
		return true;
	case SKF_AD_PKTTYPE:
		*a = p->type;
		return true;
	case SKF_AD_IFINDEX:
		*a = p->ifindex;
		return true;
	case SKF_AD_HATYPE:
		*a = LO_HATYPE;
		return true;
	case SKF_AD_ALU_XOR_X:
		*a ^= x;
		return true;
	case SKF_AD_RANDOM:
		random_bytes(a, sizeof(*a));
		return true;
	case SKF_AD_MARK:
	case SKF_AD_QUEUE:
	case SKF_AD_RXHASH:
	case SKF_AD_CPU:
	case SKF_AD_VLAN_TAG:
	case SKF_AD_VLAN_TAG_PRESENT:
	case SKF_AD_VLAN_TPID:
		*a = 0;
		return true;
	}
	return false;
}

static bool load(const struct bpf_packet *p, s64 off, u32 size, u32 *v)
{
	const u8 *from = p->data;

	if (off < 0 && off >= SKF_NET_OFF) {
		from = p->net;
		off -= SKF_NET_OFF;
	} else if (off < 0 && off >= SKF_LL_OFF) {
		from = p->mac;
		off -= SKF_LL_OFF;
	}
	if (!from || off < 0 || off + size > p->end - from)
		return false;
	from += off;
	*v = size == 1 ? from[0] : size == 2 ? (u32)from[0] << 8 | from[1] : (u32)from[0] << 24 | from[1] << 16 | from[2] << 8 | from[3];
	return true;
}

static u32 size_of(u16 code)
{
	return BPF_SIZE(code) == BPF_W ? 4 : BPF_SIZE(code) == BPF_H ? 2 : 1;
}

/* A load into a, or into x. */
static bool load_insn(const struct sock_filter *f, const struct bpf_packet *p, const u32 *mem, u32 *a, u32 *x)
{
	bool to_x = BPF_CLASS(f->code) == BPF_LDX;
	u32 v;

	switch (BPF_MODE(f->code)) {
	case BPF_ABS:
		if (f->k >= (u32)SKF_AD_OFF && f->k < (u32)SKF_AD_OFF + SKF_AD_MAX)
			return load_ancillary(p, f->k - (u32)SKF_AD_OFF, a, *x);
		return load(p, (s32)f->k, size_of(f->code), a);
	case BPF_IND:
		return load(p, (s64)(s32)f->k + *x, size_of(f->code), a);
	case BPF_MSH:
		if (!load(p, (s32)f->k, 1, &v))
			return false;
		*x = (v & 0xf) << 2;
		return true;
	case BPF_LEN:
		v = p->len;
		break;
	case BPF_MEM:
		v = mem[f->k];
		break;
	default:
		v = f->k;
	}
	*(to_x ? x : a) = v;
	return true;
}

u32 bpf_run_packet(const struct sock_filter *prog, const struct bpf_packet *p)
{
	u32 mem[BPF_MEMWORDS] = { 0 }, a = 0, x = 0;

	for (const struct sock_filter *f = prog;; f++) {
		u32 operand = BPF_SRC(f->code) == BPF_X ? x : f->k;

		switch (BPF_CLASS(f->code)) {
		case BPF_RET:
			return BPF_RVAL(f->code) == BPF_A ? a : f->k;
		case BPF_LD:
		case BPF_LDX:
			if (!load_insn(f, p, mem, &a, &x))
				return 0;
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
