/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Writing a record about the current task.
 */
#pragma once

/* Reserve a record about the current task. Every call pairs with a commit(). */
static __always_inline struct record *begin(u8 kind)
{
	struct record *r = bpf_ringbuf_reserve(&records, sizeof(*r), 0);
	u64 id = bpf_get_current_pid_tgid();

	if (!r) {
		__sync_fetch_and_add(&lost[kind & (RECORD_KINDS - 1)], 1);
		return 0;
	}
	__builtin_memset(r, 0, sizeof(*r));
	r->ts = bpf_ktime_get_ns();
	r->tgid = id >> 32;
	r->tid = (u32)id;
	r->cpu = bpf_get_smp_processor_id();
	r->kind = kind;
	r->pages = 1;
	return r;
}

static __always_inline void commit(void *r)
{
	bpf_ringbuf_submit(r, BPF_RB_NO_WAKEUP); /* the reader polls: a wakeup per page would cost more than the record */
}

/* Record the name of the current task if it is not known yet. */
static __always_inline void name_task(void)
{
	u32 tid = (u32)bpf_get_current_pid_tgid();
	u8 yes = 1;
	struct record *r;

	if (bpf_map_lookup_elem(&named, &tid))
		return;
	r = begin(RECORD_COMM);
	if (!r)
		return;
	bpf_get_current_comm(&r->hash, 16);
	commit(r);
	bpf_map_update_elem(&named, &tid, &yes, BPF_ANY);
}

static __always_inline struct task_state *state_of_task(void)
{
	struct task_state fresh = {}, *state;
	u32 tid = (u32)bpf_get_current_pid_tgid();

	state = bpf_map_lookup_elem(&tasks, &tid);
	if (state)
		return state;
	bpf_map_update_elem(&tasks, &tid, &fresh, BPF_ANY);
	return bpf_map_lookup_elem(&tasks, &tid);
}
