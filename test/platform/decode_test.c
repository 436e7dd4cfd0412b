/*
 * The store decoder against the CPU: each instruction runs on memory that faults, and the page-fault error code that the
 * signal frame has must not contradict what the decoder says. "Write" must be true; "unsure" costs a second fault only.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ucontext.h>
#include <unistd.h>

#include "base/types.h"
#include "platform/platform.h"

enum access { ACCESS_READ, ACCESS_WRITE, ACCESS_UNSURE };
enum access decode_access(const u8 *code, size_t len, const struct user_regs *regs, u64 addr);

/* rdi and rsi: memory without rights. Every line is one instruction that faults on it. */
#define COMMON(X)                                                                       \
	X("mov (%rdi), %rax") X("mov %rax, (%rdi)") X("movb %al, 3(%rdi)") X("movw $1, (%rdi)") X("movl $1, 4(%rdi,%rcx,1)") \
	X("movq $-1, (%rdi)") X("add %eax, (%rdi)") X("add (%rdi), %eax") X("cmp %eax, (%rdi)") X("cmpb $1, (%rdi)") \
	X("subl $1, (%rdi)") X("orq $1, (%rdi)") X("testl $1, (%rdi)") X("notl (%rdi)") X("negq (%rdi)") X("mull (%rdi)") \
	X("divl (%rdi)") X("incl (%rdi)") X("decb (%rdi)") X("lock incq (%rdi)") X("xchg %eax, (%rdi)") \
	X("lock xadd %eax, (%rdi)") X("lock cmpxchg %ecx, (%rdi)") X("lock cmpxchg16b (%rdi)") X("shll $3, (%rdi)") \
	X("sarq (%rdi)") X("roll %cl, (%rdi)") X("shld $2, %eax, (%rdi)") X("btl $1, (%rdi)") X("btsl $1, (%rdi)") \
	X("lock btr %eax, (%rdi)") X("sete (%rdi)") X("movzbl (%rdi), %eax") X("movslq (%rdi), %rax") X("cmove (%rdi), %rax") \
	X("imul (%rdi), %rax") X("push (%rdi)") X("call *(%rdi)") X("jmp *(%rdi)") X("pop (%rdi)") X("mov %ds, (%rdi)") \
	X("stosb") X("rep stosq") X("movsb") X("rep movsl") X("lodsb") X("scasb") X("cmpsb") X("movnti %rax, (%rdi)") \
	X("movups (%rdi), %xmm0") X("movups %xmm0, (%rdi)") X("movaps %xmm0, (%rdi)") X("movdqa %xmm0, (%rdi)") \
	X("movdqu (%rdi), %xmm0") X("movd %xmm0, (%rdi)") X("movq %xmm0, (%rdi)") X("movq (%rdi), %xmm0") \
	X("movss %xmm0, (%rdi)") X("movsd (%rdi), %xmm0") X("movsd %xmm0, (%rdi)") X("movlps %xmm0, (%rdi)") \
	X("movhps %xmm0, (%rdi)") X("movhps (%rdi), %xmm0") X("movntdq %xmm0, (%rdi)") X("movntps %xmm0, (%rdi)") \
	X("paddd (%rdi), %xmm0") X("pextrd $1, %xmm0, (%rdi)") X("pinsrd $1, (%rdi), %xmm0") X("pshufb (%rdi), %xmm0") \
	X("pcmpistri $0, (%rdi), %xmm0") X("extractps $1, %xmm0, (%rdi)") X("fldl (%rdi)") X("fstl (%rdi)") X("fstps (%rdi)") \
	X("fstpt (%rdi)") X("fldt (%rdi)") X("fistpll (%rdi)") X("fildl (%rdi)") X("fnstcw (%rdi)") X("fldcw (%rdi)") \
	X("fnstenv (%rdi)") X("fnsave (%rdi)") X("fnstsw (%rdi)") X("fxsave (%rdi)") X("fxrstor (%rdi)") X("stmxcsr (%rdi)") \
	X("ldmxcsr (%rdi)") X("xsave (%rdi)") X("xsavec (%rdi)") X("movbe %eax, (%rdi)") X("movbe (%rdi), %eax") \
	X("crc32l (%rdi), %eax") X("popcnt (%rdi), %eax") X("prefetcht0 (%rdi); mov (%rdi), %al") X("cmpxchg8b (%rdi)") \
	X("addps (%rdi), %xmm0") X("sqrtsd (%rdi), %xmm0") X("ptest (%rdi), %xmm0") X("movntdqa (%rdi), %xmm0") \
	X("lddqu (%rdi), %xmm0") X("maskmovdqu %xmm1, %xmm0") X("mulsd (%rdi), %xmm0") X("adc %rax, (%rdi)") \
	X("mov %fs:(%rdi), %al") X("movabs %al, 0x10") X("movabs 0x10, %eax") X("bsf (%rdi), %eax") X("lea (%rdi), %rax; mov %eax, (%rax)")
#define AVX(X)                                                                          \
	X("vmovdqu %ymm0, (%rdi)") X("vmovdqu (%rdi), %ymm0") X("vmovaps %ymm0, (%rdi)") X("vmovups %xmm9, (%rdi)") \
	X("vmovntdq %ymm0, (%rdi)") X("vpmaskmovd %ymm0, %ymm1, (%rdi)") X("vmaskmovps (%rdi), %ymm1, %ymm2") \
	X("vextracti128 $1, %ymm0, (%rdi)") X("vpextrb $1, %xmm0, (%rdi)") X("vpaddd (%rdi), %ymm0, %ymm1") \
	X("vbroadcastss (%rdi), %ymm0") X("vinserti128 $1, (%rdi), %ymm0, %ymm1") X("vmovd %xmm0, (%rdi)") \
	X("vmovq (%rdi), %xmm0") X("vmovss %xmm0, (%rdi)") X("vpblendd $1, (%rdi), %ymm0, %ymm1") X("vucomisd (%rdi), %xmm0") \
	X("vmovhpd %xmm0, (%rdi)") X("vpcmpeqb (%rdi), %ymm0, %ymm1") X("vfmadd231ps (%rdi), %ymm0, %ymm1") \
	X("vpshufd $1, (%rdi), %ymm1") X("vandps (%rdi), %ymm0, %ymm1") X("sarx %eax, (%rdi), %ecx") X("andn (%rdi), %eax, %ecx")
#define AVX512(X)                                                                       \
	X("vmovdqu64 %zmm0, (%rdi)") X("vmovdqu8 %ymm17, (%rdi)") X("vmovdqu64 (%rdi), %zmm0") X("vmovups %zmm0, (%rdi)") \
	X("vpcompressd %zmm0, (%rdi)") X("vpmovdb %zmm0, (%rdi)") X("vextracti64x4 $1, %zmm0, (%rdi)") \
	X("vpaddd (%rdi), %zmm0, %zmm1") X("kmovw %k1, (%rdi)") X("kmovw (%rdi), %k1") X("vpternlogd $1, (%rdi), %zmm0, %zmm1") \
	X("vpermd (%rdi), %zmm0, %zmm1") X("vpcmpub $1, (%rdi), %zmm0, %k1") X("vpmovzxbd (%rdi), %zmm0") \
	X("vscatterdps %zmm0, (%rdi,%zmm1){%k2}") X("vgatherdps (%rdi,%zmm1), %zmm0{%k2}") X("vpexpandd (%rdi), %zmm1")

struct insn_case {
	const char *text;
	const u8 *code;
};
#define ENTRY(text) "	.quad 1f, 2f\n	.pushsection .rodata\n1:	.asciz \"" text "\"\n	.popsection\n" \
		    "	.pushsection .text\n2:	" text "\n	jmp insn_done\n	.popsection\n"
extern const struct insn_case cases_common[], cases_avx[], cases_avx512[], cases_end[];
__asm__(".pushsection .data.rel.ro, \"aw\"\n"
	"cases_common:\n" COMMON(ENTRY) "cases_avx:\n" AVX(ENTRY) "cases_avx512:\n" AVX512(ENTRY) "cases_end:\n"
	".popsection\n");

void run_insn(const u8 *code, char *memory);
extern const u8 insn_done[];
__asm__(".text\n"
	"run_insn:\n"
	"	push %rbx; push %rbp; push %r12\n"
	"	mov %rsp, saved_rsp(%rip)\n"
	"	mov %rdi, %rdx; mov %rsi, %rdi; add $2048, %rsi\n"
	"	xor %ecx, %ecx; inc %ecx; xor %eax, %eax; pcmpeqd %xmm0, %xmm0; pcmpeqd %xmm1, %xmm1\n"
	"	cmpb $0, use_avx512(%rip); je 1f\n"
	"	vpcmpeqd %ymm0, %ymm0, %ymm0; vpcmpeqd %ymm1, %ymm1, %ymm1; vpxord %zmm1, %zmm1, %zmm1; kxnorw %k2, %k2, %k2\n"
	"1:	jmp *%rdx\n"
	"insn_done:\n"
	"	cld; mov saved_rsp(%rip), %rsp\n"
	"	pop %r12; pop %rbp; pop %rbx; ret\n");
u64 saved_rsp;
u8 use_avx512;

static const struct insn_case *current_case;
static u32 faults, unsure, wrong;

static void on_fault(int sig, siginfo_t *info, void *context)
{
	greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
	struct user_regs regs = { .rip = (u64)g[REG_RIP], .rsp = (u64)g[REG_RSP], .rdi = (u64)g[REG_RDI],
				  .rsi = (u64)g[REG_RSI] };
	bool wrote = g[REG_ERR] & PF_WRITE;
	enum access said = decode_access((const u8 *)g[REG_RIP], 15, &regs, (u64)info->si_addr);

	(void)sig;
	faults++;
	if ((said == ACCESS_WRITE && !wrote) || (said == ACCESS_READ && wrote)) {
		printf("%s: decoded as a %s, the CPU says %s\n", current_case->text, said == ACCESS_WRITE ? "write" : "read",
		       wrote ? "write" : "read");
		wrong++;
	}
	if (said == ACCESS_UNSURE && wrote)
		unsure += printf("%s: a write that is not recognised\n", current_case->text) > 0;
	g[REG_RIP] = (greg_t)insn_done;
}

static void run_cases(const struct insn_case *from, const struct insn_case *to, char *memory)
{
	for (current_case = from; current_case < to; current_case++) {
		u32 before = faults;

		run_insn(current_case->code, memory);
		if (faults == before) {
			printf("%s: no fault\n", current_case->text);
			wrong++;
		}
	}
}

int main(void)
{
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER };
	char *memory = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	sigaction(SIGSEGV, &sa, NULL);
	run_cases(cases_common, cases_avx, memory);
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma"))
		run_cases(cases_avx, cases_avx512, memory);
	use_avx512 = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
	if (use_avx512)
		run_cases(cases_avx512, cases_end, memory);
	printf("%u faults, %u decoded wrongly, %u writes not recognised\n", faults, wrong, unsure);
	return wrong || unsure > 2;
}
