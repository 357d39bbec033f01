/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The life of tasks: names, exec and exit.
 */
#pragma once

SEC("raw_tp/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *task)
{
	u32 tid = BPF_CORE_READ(task, pid);
	struct record *r;

	bpf_map_delete_elem(&tasks, &tid);
	if (tid == (u32)BPF_CORE_READ(task, tgid)) {
		name_task();
		r = begin(RECORD_EXIT);
		if (r)
			commit(r);
	}
	bpf_map_delete_elem(&named, &tid);
	return 0;
}

SEC("raw_tp/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task)
{
	u32 tid = BPF_CORE_READ(task, pid);
	struct record *r;

	bpf_map_delete_elem(&named, &tid);
	name_task();
	r = begin(RECORD_EXEC);
	if (r)
		commit(r);
	return 0;
}

SEC("raw_tp/task_rename")
int BPF_PROG(task_rename, struct task_struct *task)
{
	u32 tid = BPF_CORE_READ(task, pid);

	bpf_map_delete_elem(&named, &tid);
	return 0;
}
