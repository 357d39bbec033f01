/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Faults on swap entries: the page table of the faulting task, and zero pages that come in without a read.
 */
#pragma once

#define PTE_PRESENT 1
#define PTE_HUGE 0x80
#define PTE_PROTNONE 0x100
#define PTE_ADDRESS 0x000ffffffffff000ULL
#define PTES_MASK 511

/* Read one level of the page table at `table`; return the next table, 0 where there is none. */
static __always_inline u64 next_table(u64 table, u64 va, u32 shift)
{
	u64 entry = 0;

	if (bpf_probe_read_kernel(&entry, sizeof(entry), (void *)(table + ((va >> shift) & PTES_MASK) * sizeof(entry))))
		return 0;
	if (!(entry & PTE_PRESENT) || entry & PTE_HUGE)
		return 0;
	return page_offset + (entry & PTE_ADDRESS);
}

/* The swap entry that the current task has at `va` (x86-64), 0 if it has none: slot 0 is the header. */
static __always_inline u64 swap_entry_at(u64 va)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	u64 table = (u64)BPF_CORE_READ(task, mm, pgd), pte = 0, type;

	if (table && five_levels)
		table = next_table(table, va, 48);
	if (table)
		table = next_table(table, va, 39);
	if (table)
		table = next_table(table, va, 30);
	if (table)
		table = next_table(table, va, 21);
	if (!table)
		return 0;
	if (bpf_probe_read_kernel(&pte, sizeof(pte), (void *)(table + ((va >> PAGE_SHIFT) & PTES_MASK) * sizeof(pte))))
		return 0;
	if (!pte || pte & (PTE_PRESENT | PTE_PROTNONE))
		return 0;
	type = pte >> 59; /* arch/x86/include/asm/pgtable_64.h: the offset is inverted against L1TF */
	if (type >= MAX_SWAP_TYPES)
		return 0;
	return type << SWP_TYPE_SHIFT | ((~pte << 5) >> 14);
}

static __always_inline int record_fault(u64 va, u64 error)
{
	u64 swp;
	struct record *r;

	if (!want_fault || !page_offset || error & 1) /* bit 0: the page is present */
		return 0;
	swp = swap_entry_at(va);
	if (!swp)
		return 0;
	name_task();
	r = begin(RECORD_FAULT);
	if (!r)
		return 0;
	r->swp = swp;
	r->va = va;
	r->flags = error & 2 ? FLAG_WRITE : 0;
	commit(r);
	return 0;
}

SEC("raw_tp/page_fault_user")
int BPF_PROG(fault_user, unsigned long va, struct pt_regs *regs, unsigned long error)
{
	return record_fault(va, error);
}

SEC("raw_tp/page_fault_kernel")
int BPF_PROG(fault_kernel, unsigned long va, struct pt_regs *regs, unsigned long error)
{
	return va >> 63 ? 0 : record_fault(va, error);
}

SEC("raw_tp/count_memcg_events")
int BPF_PROG(memcg_event, struct mem_cgroup *memcg, int item, unsigned long count)
{
	struct record *r;

	if (!bpf_core_enum_value_exists(enum vm_event_item, SWPIN_ZERO))
		return 0;
	if (item != (int)kernel_enum(vm_event_item, SWPIN_ZERO))
		return 0;
	name_task();
	r = begin(RECORD_ZERO_IN);
	if (!r)
		return 0;
	r->pages = count;
	r->memcg = memcg_id(memcg);
	commit(r);
	return 0;
}
