/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* What a module of another communication library offers to `tandem bench collective`: it runs in the same processes as
   ours, in turns with ours. Every rank loads it; `start` meets the others. */
extern "C" {

struct TandemCollectiveCall {
  const char* operation; /* all_reduce, reduce_scatter, ... as the command names them */
  const char* type;      /* nccl-tests' word */
  const char* reduction; /* sum, prod, max, min, avg; "" where nothing is combined */
  int root;
  int64_t count; /* as our call takes it */
  /* Parts of the uneven operations, one a rank (all_to_all_v: what this rank sends, which is what it receives). */
  const int64_t* counts;
  const int64_t* displacements;
  const void* in;
  void* out;
};

struct TandemCollectivePeer {
  const char* name;
  const char* (*version)(void); /* after start */
  /* 0, or what went wrong. `meeting` is a folder of this run only, for libraries that meet through files. */
  const char* (*start)(int rank, int ranks, const char* meeting);
  /* A call to repeat, or null where the library has none of this kind. */
  void* (*make)(const struct TandemCollectiveCall* call);
  int (*run)(void* call); /* 0 */
  void (*drop)(void* call);
  void (*stop)(void);
};

/* The one symbol of a module. */
__attribute__((visibility("default"))) const struct TandemCollectivePeer* tandem_collective_peer(void);
}
