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

u64 magic[MAGIC_WORDS], magic_pfn, first_candidate, own_index, own_pages; /* in */
u64 found_page_offset, own_tgid, lru_folio, lru_index, page_struct_bytes; /* out */
u64 symbol_page_offset, symbol_vmemmap, zswap_knows_type;

SEC("raw_tp/sys_enter") /* never attached: BPF_PROG_TEST_RUN */
int read_symbols(void *context)
{
	if (&page_offset_base)
		bpf_probe_read_kernel(&symbol_page_offset, sizeof(u64), &page_offset_base);
	if (&vmemmap_base)
		bpf_probe_read_kernel(&symbol_vmemmap, sizeof(u64), &vmemmap_base);
	own_tgid = bpf_get_current_pid_tgid() >> 32; /* the kernel's number, whatever the PID namespace of the loader */
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

/*
 * A folio of the loader's that reaches the LRU, and which of its pages that is: an anonymous folio has its virtual page
 * number for index. pagemap tells the loader its frame, and vmemmap is the difference.
 */
SEC("raw_tp/mm_lru_insertion")
int BPF_PROG(learn_folio, void *folio)
{
	u64 index = folio_index(folio);

	if (lru_folio || bpf_get_current_pid_tgid() >> 32 != own_tgid || index - own_index >= own_pages)
		return 0;
	lru_index = index;
	lru_folio = (u64)folio;
	return 0;
}
