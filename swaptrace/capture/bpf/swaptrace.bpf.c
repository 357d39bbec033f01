// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * The BPF tier of `swaptrace record`: what the kernel does with every swapped page, from raw tracepoints alone.
 *
 * Every program writes fixed-size records into one ring buffer. swaptrace/ingest/bpf/records.py reads them; the two
 * layouts are compared by a test. Reading page content and page tables needs two base addresses, which the loader
 * puts into `page_offset` and `vmemmap` after it found them with the programs of src/bases.bpf.h.
 *
 * raw_tp, not tp_btf: the verifier forbids arithmetic on the typed pointers of tp_btf.
 */
#include "src/kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#include "src/records.bpf.h"
#include "src/settings.bpf.h"
#include "src/state.bpf.h"
#include "src/emit.bpf.h"
#include "src/folio.bpf.h"
#include "src/content.bpf.h"
#include "src/owner.bpf.h"
#include "src/swap_out.bpf.h"
#include "src/device_io.bpf.h"
#include "src/fault.bpf.h"
#include "src/free.bpf.h"
#include "src/tasks.bpf.h"
#include "src/bases.bpf.h"
