/* A bundle's config.json: the parser, and the reading of all that the runtime takes from it. The bundle is whoever's calls the engine. */
#include <stdlib.h>
#include <string.h>

#include "oci/spec.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void forget(struct spec *spec)
{
	free(spec->rootfs);
	free(spec->process.args);
	free(spec->process.env);
	free(spec->process.groups);
	for (u32 i = 0; i < spec->nmounts; i++)
		free(spec->mounts[i].data);
	free(spec->seccomp.program);
	free(spec->devices);
	free(spec->masked_paths);
	free(spec->readonly_paths);
	json_object_put(spec->document);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct json_reader r = { .document = "config.json" };
	static struct spec spec;

	memset(&spec, 0, sizeof(spec));
	spec.document = json_parse(&r, (const char *)data, size);
	/* A reader that failed has said why. */
	if (!spec_read(&spec, "/", &r) && (!r.failed || !r.error[0]))
		abort();
	forget(&spec);
	return 0;
}
