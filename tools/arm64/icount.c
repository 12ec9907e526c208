/* A plugin for qemu-user that counts the instructions of the emulated program and prints them at its end: `instructions: N` on stderr.
 * It declares what it needs of QEMU's plugin interface (version 1) itself, because Debian's qemu-user brings no header.
 * Build: cc -O2 -shared -fPIC icount.c -o icount.so */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef uint64_t plugin_id;
struct block; /* A translated block: instructions that run in one go. */

extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct block *));
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct block *, void (*)(unsigned, void *), int flags, void *);
extern size_t qemu_plugin_tb_n_insns(const struct block *);
extern void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *);

#define EXPORTED __attribute__((visibility("default")))
#define CPUS 4096 /* A power of two; in user mode each thread is a CPU. */

EXPORTED int qemu_plugin_version = 1;

static uint64_t executed[CPUS];

static void block_runs(unsigned cpu, void *instructions)
{
    executed[cpu % CPUS] += (uintptr_t)instructions;
}

static void block_is_translated(plugin_id id, struct block *block)
{
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_cb(block, block_runs, 0, (void *)(uintptr_t)qemu_plugin_tb_n_insns(block));
}

static void program_ends(plugin_id id, void *nothing)
{
    uint64_t sum = 0;
    (void)id;
    (void)nothing;
    for (int cpu = 0; cpu < CPUS; cpu++)
        sum += executed[cpu];
    fprintf(stderr, "instructions: %llu\n", (unsigned long long)sum);
}

EXPORTED int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    (void)info;
    (void)argc;
    (void)argv;
    qemu_plugin_register_vcpu_tb_trans_cb(id, block_is_translated);
    qemu_plugin_register_atexit_cb(id, program_ends, NULL);
    return 0;
}
