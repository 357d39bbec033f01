/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Reading a folio: struct folio, and struct page before 5.16.
 */
#pragma once

static __always_inline u64 folio_flags(void *folio)
{
	u64 flags = 0;

	bpf_probe_read_kernel(&flags, sizeof(flags), folio); /* the first word, whatever type it has */
	return flags;
}

static __always_inline u64 folio_swap(void *folio)
{
	if (bpf_core_type_exists(struct folio))
		return (u64)BPF_CORE_READ((struct folio *)folio, private);
	return BPF_CORE_READ((struct page *)folio, private);
}

static __always_inline u64 folio_mapping(void *folio)
{
	if (bpf_core_type_exists(struct folio))
		return (u64)BPF_CORE_READ((struct folio *)folio, mapping);
	return (u64)BPF_CORE_READ((struct page *)folio, mapping);
}

static __always_inline u64 folio_index(void *folio)
{
	if (bpf_core_type_exists(struct folio))
		return BPF_CORE_READ((struct folio *)folio, index);
	return BPF_CORE_READ((struct page *)folio, index);
}

static __always_inline u64 folio_pfn(void *folio)
{
	return vmemmap ? ((u64)folio - vmemmap) / bpf_core_type_size(struct page) : 0;
}

static __always_inline u32 folio_order(void *folio)
{
	struct page___compound *second;

	if (!(folio_flags(folio) & page_flag(PG_head)))
		return 0;
	if (bpf_core_field_exists(struct folio___order, _folio_order))
		return BPF_CORE_READ((struct folio___order *)folio, _folio_order) & 15;
	if (bpf_core_type_exists(struct folio))
		return BPF_CORE_READ((struct folio *)folio, _flags_1) & 15;
	second = folio + bpf_core_type_size(struct page);
	return BPF_CORE_READ(second, compound_order) & 15;
}

static __always_inline struct mem_cgroup *folio_memcg(void *folio)
{
	u64 data = 0;

	if (bpf_core_type_exists(struct folio))
		data = BPF_CORE_READ((struct folio *)folio, memcg_data);
	else if (bpf_core_field_exists(struct page___memcg_data, memcg_data))
		data = BPF_CORE_READ((struct page___memcg_data *)folio, memcg_data);
	else
		data = (u64)BPF_CORE_READ((struct page___mem_cgroup *)folio, mem_cgroup);
	return data & 3 ? 0 : (struct mem_cgroup *)(data & ~7ULL); /* 1, 2: object cgroups and kernel memory */
}

static __always_inline u64 memcg_id(struct mem_cgroup *memcg)
{
	return memcg ? BPF_CORE_READ(memcg, css.cgroup, kn, id) : 0;
}
