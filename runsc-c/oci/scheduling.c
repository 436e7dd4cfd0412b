#include <linux/ioprio.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "oci/spec.h"

/* The value of a name in a list of both, or -1 after json_fail(). */
struct named {
	const char *name;
	s32 value;
};

static s32 value_of(const struct named *list, u32 n, const char *name, const char *where, struct json_reader *r)
{
	for (u32 i = 0; name && i < n; i++)
		if (!strcmp(list[i].name, name))
			return list[i].value;
	json_fail(r, "%s: %s: %s", r->document, where, name ? name : "missing");
	return -1;
}

static void read_flags(struct hc_scheduling *s, struct json_object *o, struct json_reader *r)
{
	char **flags = json_texts(r, o, "process.scheduler", "flags");

	for (u32 i = 0; flags && flags[i]; i++) {
		if (!strcmp(flags[i], "SCHED_FLAG_RESET_ON_FORK"))
			s->reset_on_fork = 1;
		else
			json_fail(r, "%s: process.scheduler.flags[%u]: %s: not supported", r->document, i, flags[i]);
	}
	free(flags);
}

static void read_scheduler(struct hc_scheduling *s, struct json_object *o, struct json_reader *r)
{
	static const struct named policies[] = { { "SCHED_OTHER", SCHED_OTHER },
						 { "SCHED_FIFO", SCHED_FIFO },
						 { "SCHED_RR", SCHED_RR },
						 { "SCHED_BATCH", SCHED_BATCH },
						 { "SCHED_IDLE", SCHED_IDLE } };
	s64 nice = 0, priority = 0;
	bool real_time;

	s->policy = value_of(policies, ARRAY_SIZE(policies), json_text(r, o, "process.scheduler", "policy"),
			     "process.scheduler.policy", r);
	real_time = s->policy == SCHED_FIFO || s->policy == SCHED_RR;
	json_s64(r, o, "process.scheduler", "nice", &nice);
	json_s64(r, o, "process.scheduler", "priority", &priority);
	read_flags(s, o, r);
	if (nice < -20 || nice > 19)
		json_fail(r, "%s: process.scheduler.nice: %lld: not from -20 to 19", r->document, (long long)nice);
	if (priority < (real_time ? 1 : 0) || priority > (real_time ? 99 : 0))
		json_fail(r, "%s: process.scheduler.priority: %lld: from 1 to 99 with SCHED_FIFO and SCHED_RR, else 0",
			  r->document, (long long)priority);
	s->nice = (s32)nice;
	s->rt_prio = (s32)priority;
}

static void read_io_priority(struct hc_scheduling *s, struct json_object *o, struct json_reader *r)
{
	static const struct named classes[] = { { "IOPRIO_CLASS_RT", IOPRIO_CLASS_RT },
						{ "IOPRIO_CLASS_BE", IOPRIO_CLASS_BE },
						{ "IOPRIO_CLASS_IDLE", IOPRIO_CLASS_IDLE } };
	s32 class = value_of(classes, ARRAY_SIZE(classes), json_text(r, o, "process.ioPriority", "class"),
			     "process.ioPriority.class", r);
	s64 priority = 0;

	json_s64(r, o, "process.ioPriority", "priority", &priority);
	if (priority < 0 || priority > 7)
		json_fail(r, "%s: process.ioPriority.priority: %lld: not from 0 to 7", r->document,
			  (long long)priority);
	if (!r->failed)
		s->ioprio = class << IOPRIO_CLASS_SHIFT | (s32)priority;
}

void spec_read_scheduling(struct hc_scheduling *s, struct json_object *process, struct json_reader *r)
{
	struct json_object *scheduler = json_member(r, process, "process", "scheduler", json_type_object);
	struct json_object *io = json_member(r, process, "process", "ioPriority", json_type_object);

	if (scheduler)
		read_scheduler(s, scheduler, r);
	if (io)
		read_io_priority(s, io, r);
}
