/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Base addresses: run by the loader before anything is recorded.
 */
#pragma once

#define MAGIC_WORDS 4
#define CANDIDATES 256   /* per run: more exceed the verifier's budget */
#define GIB_SHIFT 30     /* KASLR places the direct map at a multiple of 1 GiB */

extern const void page_offset_base __ksym __weak;
extern const void vmemmap_base __ksym __weak;

u64 magic[MAGIC_WORDS], magic_pfn, first_candidate; /* in */
u64 found_page_offset, lru_folio, lru_pfn, page_struct_bytes; /* out */
u64 symbol_page_offset, symbol_vmemmap, zswap_knows_type;

SEC("raw_tp/sys_enter") /* never attached: BPF_PROG_TEST_RUN */
int read_symbols(void *context)
{
	if (&page_offset_base)
		bpf_probe_read_kernel(&symbol_page_offset, sizeof(u64), &page_offset_base);
	if (&vmemmap_base)
		bpf_probe_read_kernel(&symbol_vmemmap, sizeof(u64), &vmemmap_base);
	page_struct_bytes = bpf_core_type_size(struct page);
	zswap_knows_type = bpf_core_field_exists(struct zswap_entry, swpentry) || !bpf_core_type_exists(struct zswap_entry);
	return 0;
}

/* Look for the page whose content and frame the loader knows, from the base that is nearest below a kernel object. */
SEC("raw_tp/sys_enter")
int find_page_offset(void *context)
{
	u64 top = (u64)bpf_get_current_task() >> GIB_SHIFT << GIB_SHIFT;

	for (int i = 0; i < CANDIDATES; i++) {
		u64 base = top - ((first_candidate + i) << GIB_SHIFT), words[MAGIC_WORDS] = {};

		if (bpf_probe_read_kernel(words, sizeof(words), (void *)(base + (magic_pfn << PAGE_SHIFT))))
			continue;
		if (words[0] == magic[0] && words[1] == magic[1] && words[2] == magic[2] && words[3] == magic[3]) {
			found_page_offset = base;
			return 1;
		}
	}
	return 0;
}

struct lru_insertion { /* events/pagemap/mm_lru_insertion/format */
	u64 common;
	u64 folio;
	u64 pfn;
};

/* A folio and its frame at once: vmemmap is the difference. */
SEC("tp/pagemap/mm_lru_insertion")
int learn_folio(struct lru_insertion *event)
{
	if (!lru_folio) {
		lru_pfn = event->pfn;
		lru_folio = event->folio;
	}
	return 0;
}
